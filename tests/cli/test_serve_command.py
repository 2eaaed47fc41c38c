"""`serve`, and `--web` on `rtsp`, `webcam` and `demo`, as a user at a terminal sees them."""

from __future__ import annotations

import json
import signal
import socket
import subprocess
import sys
import threading
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import pytest
from websockets.sync.client import connect

from pipelines.cli.web_option import DEFAULT_ADDRESS, with_address
from stream.settings import WebSettings

CONFIG = Path(__file__).parents[2] / "configs" / "serve.toml"
SMALL = ("--set", "cameras.0.width=96", "--set", "cameras.0.height=64")
ANY_PORT = ("--set", "web.address=127.0.0.1:0")
ANNOUNCED = "to look, open "
Command = Callable[..., Any]


@pytest.fixture
def taken() -> Iterator[int]:
    """A port that another program listens at."""
    with socket.create_server(("127.0.0.1", 0)) as other:
        yield other.getsockname()[1]


@contextmanager
def started(cache: Path, folder: Path, *arguments: str) -> Iterator[tuple[subprocess.Popen[str], str]]:
    """``depthstream`` in a process of its own, and the address that it prints."""
    process = subprocess.Popen(
        [sys.executable, "-m", "pipelines", *arguments],
        cwd=folder,
        env={"DEPTHSTREAM_CACHE": str(cache), "PATH": "", "HOME": str(folder)},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert process.stderr is not None
    with process:
        try:
            line = next((line for line in process.stderr if line.startswith(ANNOUNCED)), "")
            assert line, "it ended without an address"
            yield process, line.removeprefix(ANNOUNCED).strip()
        finally:
            process.kill()


def frame_heads(url: str, camera: str) -> Iterator[dict[str, Any]]:
    """A viewer: what the server says of each frame it sends."""
    with connect(url.replace("http", "ws", 1) + "ws", proxy=None) as socket_:
        socket_.send(json.dumps({"type": "watch", "cameras": {camera: "both"}}))
        for message in socket_:
            if isinstance(message, bytes):
                head = json.loads(message[4 : 4 + int.from_bytes(message[:4], "little")])
                socket_.send(json.dumps({"type": "shown", "camera": camera, "seq": head["seq"]}))
                yield head


def moving(url: str, camera: str) -> list[int]:
    """Numbers of the first five frames of a viewer."""
    return [head["seq"] for _, head in zip(range(5), frame_heads(url, camera), strict=False)]


def until_healthy(url: str) -> Any:
    """What /healthz says at last: the server answers before the pipeline runs."""
    pause = threading.Event()
    for _ in range(300):
        with suppress(urllib.error.HTTPError), urllib.request.urlopen(f"{url}healthz", timeout=30) as answer:
            return json.load(answer)
        pause.wait(0.1)
    raise AssertionError("still not healthy after 30 s")


@pytest.mark.slow
@pytest.mark.parametrize(("number", "status"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_serving_ends_on_a_signal_although_a_viewer_is_connected(
    number: signal.Signals, status: int, cache_folder: Path, tmp_path: Path
) -> None:
    """The viewer's connection ends, the table is printed, nothing is lost and nothing hangs."""
    with started(cache_folder, tmp_path, "serve", str(CONFIG), *SMALL, *ANY_PORT) as (process, url):
        viewer = frame_heads(url, "front")
        numbers = [next(viewer)["seq"] for _ in range(5)]
        process.send_signal(number)
        out, err = process.communicate(timeout=60)
        viewer.close()
    assert numbers == sorted(set(numbers))
    assert process.returncode == status, err
    assert "captured =" in out
    assert "in flight" not in out
    assert "Traceback" not in err


@pytest.mark.slow
def test_another_address_asks_for_the_token_that_is_printed_once(cache_folder: Path, tmp_path: Path) -> None:
    """With it the page opens; without it access is refused."""
    address = ("--set", "web.address=0.0.0.0:0")
    with started(cache_folder, tmp_path, "serve", str(CONFIG), *SMALL, *address) as (process, url):
        place, _, token = url.partition("?token=")
        assert len(token) >= 16
        port = place.rstrip("/").rpartition(":")[2]
        own = f"http://127.0.0.1:{port}/"
        request = urllib.request.Request(own, headers={"Authorization": f"Bearer {token}"})
        with urllib.request.urlopen(request, timeout=30) as answer:
            assert answer.status == 200
        with pytest.raises(urllib.error.HTTPError) as refused:
            urllib.request.urlopen(own, timeout=30)
        refused.value.close()
        assert refused.value.code == 401
        process.send_signal(signal.SIGINT)
        out, err = process.communicate(timeout=60)
    assert token not in out + err, "it was printed with the address, and not again"


@pytest.mark.slow
@pytest.mark.parametrize("command", [("rtsp", "lavfi:testsrc2=size=160x120:rate=10"), ("demo", "-o", "d.mp4")])
def test_web_shows_the_images_of_other_commands(command: tuple[str, ...], cache_folder: Path, tmp_path: Path) -> None:
    """Until Ctrl-C, the demonstration as well."""
    name = {"rtsp": "lavfi", "demo": "synthetic"}[command[0]]
    with started(cache_folder, tmp_path, *command, "--web", "127.0.0.1:0") as (process, url):
        numbers = moving(url, name)
        process.send_signal(signal.SIGINT)
        out, err = process.communicate(timeout=60)
    assert numbers == sorted(set(numbers))
    assert process.returncode == 130, err
    assert "captured =" in out


@pytest.mark.slow
def test_run_serves_a_serving_config_as_well(cache_folder: Path, tmp_path: Path) -> None:
    """`depthstream run` runs any config; that of an image service is one."""
    config = tmp_path / "images.toml"
    config.write_text('pipeline = "serve"\n', encoding="utf-8")
    with started(cache_folder, tmp_path, "run", str(config), *ANY_PORT) as (process, url):
        assert until_healthy(url) == {"status": "ok"}
        process.send_signal(signal.SIGINT)
        out, _ = process.communicate(timeout=60)
    assert process.returncode == 130
    assert "images" in out, "the table says what was done"


@pytest.mark.slow
def test_seconds_end_it_by_itself(depthstream: Command, tmp_path: Path) -> None:
    """With the statistics of its images in the JSON."""
    called = depthstream("serve", CONFIG, *SMALL, *ANY_PORT, "--seconds", 0.5, "--json", "s.json")
    assert called.status == 0, called.err
    assert called.err.count(ANNOUNCED) == 1
    data = json.loads((tmp_path / "s.json").read_text())
    assert data["unaccounted"] == 0
    assert "images" in data["statistics"]


def test_a_port_that_is_taken_is_reported_and_not_replaced(depthstream: Command, taken: int, tmp_path: Path) -> None:
    """In one line, before a camera is opened or a file is written; for `serve` and for `--web`."""
    serving = depthstream("serve", CONFIG, "--set", f"web.address=127.0.0.1:{taken}")
    demo = depthstream("demo", "--web", f"127.0.0.1:{taken}")
    for called in (serving, demo):
        assert called.status == 1
        assert f"127.0.0.1:{taken}" in called.err
        assert len(called.err.strip().splitlines()) == 1, called.err
        assert called.out == ""
    assert list(tmp_path.iterdir()) == []


@pytest.mark.slow
def test_a_run_that_cannot_publish_announces_no_page(depthstream: Command, taken: int) -> None:
    """The page's address is printed only once everything is bound, and never when the run is about to end."""
    called = depthstream("serve", CONFIG, *SMALL, *ANY_PORT, "--set", f"publish.endpoints=['tcp://127.0.0.1:{taken}']")
    assert called.status == 1
    assert f"127.0.0.1:{taken}" in called.err
    assert ANNOUNCED not in called.err


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (
            ("serve", CONFIG.with_name("rtsp.toml")),
            'pipeline = "rtsp" serves no page: "depthstream config serve"',
        ),
        (("serve", CONFIG, "--set", "web.address=8080"), "8080"),
        (("serve", CONFIG, "--set", "web.models=['tinny']"), 'did you mean "tiny"?'),
        (("serve", CONFIG, "--set", "web.jpeg_quality=0"), "[web] jpeg_quality = 0"),
        (("demo", "--web=nowhere"), "nowhere"),
    ],
)
def test_an_error_is_one_line(depthstream: Command, arguments: tuple[Any, ...], message: str) -> None:
    """And nothing is started."""
    called = depthstream(*arguments)
    assert called.status == 2, called.err
    assert message in called.err
    assert len(called.err.strip().splitlines()) == 1


@pytest.mark.parametrize(
    ("words", "address", "others"),
    [
        (["--web"], DEFAULT_ADDRESS, []),
        (["--web", "0.0.0.0:80", "0"], "0.0.0.0:80", ["0"]),
        (["--web", "[::1]:8080"], "[::1]:8080", []),
        (["--web", "localhost:9000", "--fps", "5"], "localhost:9000", ["--fps", "5"]),
        (["--web=10.0.0.7:1"], "10.0.0.7:1", []),
        (["--web", "rtsp://camera:554/main"], DEFAULT_ADDRESS, ["rtsp://camera:554/main"]),
        (["0", "--web", "2"], DEFAULT_ADDRESS, ["0", "2"]),
        (["--web", "--seconds", "5"], DEFAULT_ADDRESS, ["--seconds", "5"]),
        (["--web", "--", "127.0.0.1:80"], DEFAULT_ADDRESS, ["--", "127.0.0.1:80"]),
    ],
)
def test_web_takes_the_next_word_only_if_it_is_an_address(words: list[str], address: str, others: list[str]) -> None:
    """Cameras and other options stay what they are."""
    given = list(with_address(words))
    place = next(i for i, word in enumerate(given) if word.startswith("--web"))
    _, equals, value = given[place].partition("=")
    taken = 1 if equals else 2
    assert (value or given[place + 1]) == address
    assert given[:place] + given[place + taken :] == others


def test_behind_two_dashes_everything_is_a_camera() -> None:
    """As everywhere on a command line."""
    assert list(with_address(["--", "--web"])) == ["--", "--web"]


def test_web_alone_means_the_settings_address() -> None:
    """Written down twice, because reading the settings takes longer than `--help` may."""
    assert WebSettings().address == DEFAULT_ADDRESS
