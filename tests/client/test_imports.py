"""A robot needs neither torch nor OpenCV."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]
PROGRAM = """
import sys
from importlib.abc import MetaPathFinder

class Absent(MetaPathFinder):
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in {blocked}:
            raise ImportError(f"{{name}} is not installed here")

sys.meta_path.insert(0, Absent())
"""
IMPORT_ALL = """
import pkgutil
from importlib import import_module
import stream.client
names = [module.name for module in pkgutil.iter_modules(stream.client.__path__, "stream.client.")]
assert "stream.client.subscriber" in names
for name in names:
    import_module(name)
"""
READ = """
import threading
from stream.client.subscriber import Subscriber
from stream.client.point_cloud import points
from stream.wire.codes import Compression, Encoding
from tests.client.sending import Sending, depth_map, packed

with Sending() as sending, Subscriber(sending.endpoint, "front", latest=False) as reader:
    sending.wait_for("depth/front")
    ways = [(Encoding.F32, Compression.RAW), (Encoding.F16, Compression.ZSTD), (Encoding.U16, Compression.DELTA_ZSTD)]
    for encoding, compression in ways:
        sending.send_raw(packed(depth_map(2), encoding=encoding, compression=compression))
        message = reader.read(10)
        assert message.header.compression == compression
        assert abs(message.depth() - 3).max() < 1e-6
        assert points(message).shape == (48, 3)
print("read", len(ways))
"""


FACE = """
import stream.client
from stream.client import ClientKeys, Subscriber
from stream.client import client_keys, subscriber
assert (ClientKeys, Subscriber) == (client_keys.ClientKeys, subscriber.Subscriber)
assert stream.client.__all__ == ["ClientKeys", "Subscriber"]
"""
BLOCKED = {"torch", "cv2", "av", "zmq", "rich", "typer", "pydantic"}


def test_importing_needs_neither_torch_nor_opencv_nor_a_socket() -> None:
    """Nothing heavy, and zmq only when a reader is made."""
    _run(PROGRAM.format(blocked=BLOCKED) + IMPORT_ALL)


def test_the_package_exports_the_subscriber_and_its_keys() -> None:
    """The short import needs nothing heavy, and no ZeroMQ before a reader is made."""
    _run(PROGRAM.format(blocked=BLOCKED) + FACE)


def test_raw_and_zstd_messages_are_read_without_opencv() -> None:
    """From a real socket."""
    assert _run(PROGRAM.format(blocked={"torch", "cv2", "av"}) + READ) == "read 3\n"


def _run(program: str) -> str:
    command = [sys.executable, "-W", "error", "-c", program]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout
