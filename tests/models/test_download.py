"""Fetching weights from a real server that cuts, changes, refuses and lies."""

from __future__ import annotations

import fcntl
import hashlib
import resource
import socket
import threading
from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from stream.errors import DownloadError
from stream.models.base import DepthModel
from stream.models.checkpoint.verification import verify
from stream.models.download.fetch import pull
from stream.models.tiny import TINY
from stream.models.weights import load_state, random_state

Offer = Callable[..., DepthModel]


def fails(model: DepthModel, **options: float) -> str:
    """The message of the DownloadError that pulling ends with: one line, with the address and the file's place."""
    with pytest.raises(DownloadError) as caught:
        pull(model, **options)
    message = str(caught.value)
    assert "\n" not in message
    return message


def parts(cache: Path) -> list[str]:
    return sorted(path.name for path in (cache / "weights").iterdir())


def test_weights_arrive_whole_and_fit_the_network(offered: Offer, site, cache: Path) -> None:
    """The file lies in the cache folder under its name, nothing else does, and it loads."""
    seen: list[tuple[int, int | None]] = []
    path = pull(offered(), on_progress=lambda done, total: seen.append((done, total)))
    assert path == cache / "weights" / "tiny.pt"
    assert path.read_bytes() == site.content
    assert parts(cache) == ["tiny.pt"]
    assert seen[0] == (0, len(site.content))
    assert seen[-1] == (len(site.content), len(site.content))
    assert seen == sorted(seen)
    assert verify(offered()).tensors == len(load_state(offered()))


@pytest.mark.parametrize(
    ("kind", "entry"),
    [("zip", None), ("zip", "state_dict"), ("legacy", None), ("legacy", "model_state_dict"), ("safetensors", None)],
)
def test_every_kind_of_checkpoint_arrives(offered: Offer, site, pack, kind: str, entry: str | None) -> None:
    """As the official ones are: named tensors alone or under a key, in a torch file of either kind, or safetensors."""
    state = random_state(TINY, 3)
    site.content = pack(state, kind, entry)
    model = offered(entry=entry, filename="some.weights")
    pull(model)
    loaded = load_state(model)
    assert set(loaded) == set(state)
    assert all(torch.equal(loaded[name], state[name]) for name in state)


def test_what_is_there_is_not_fetched_again(offered: Offer, site) -> None:
    """A second pull sends no request."""
    pull(offered())
    pull(offered())
    assert len(site.asked) == 1


def test_weights_of_the_package_need_no_network() -> None:
    """Pulling a model that comes with the package returns its file."""
    assert pull(TINY).name == "tiny.safetensors"


def test_a_cut_download_continues_where_it_stopped(offered: Offer, site, cache: Path) -> None:
    """What arrived is kept, the message says so, and the next pull asks for the rest only."""
    site.cut_after = 1_000_000
    message = fails(offered())
    assert "stopped after 1.0 MB of" in message
    assert "again to continue" in message
    assert parts(cache) == ["tiny.pt.part", "tiny.pt.part.json"]
    site.cut_after = None
    path = pull(offered())
    assert site.asked[1]["Range"] == "bytes=1000000-"
    assert site.asked[1]["If-Range"] == '"one"'
    assert path.read_bytes() == site.content


@pytest.mark.parametrize("etag", ['"one"', 'W/"weak"', None])
def test_a_server_without_ranges_starts_over(offered: Offer, site, etag: str | None) -> None:
    """A server that sends everything again is taken by its word: nothing is appended to the old part."""
    site.etag, site.ranges, site.cut_after = etag, False, 500_000
    fails(offered())
    site.cut_after = None
    assert pull(offered()).read_bytes() == site.content


@pytest.mark.parametrize("honours_if_range", [True, False])
def test_a_file_that_changed_meanwhile_starts_over(
    offered: Offer, site, honours_if_range: bool, checkpoint: bytes
) -> None:
    """The beginning of one file and the end of another never become one."""
    site.content, site.cut_after = b"x" * len(checkpoint), 500_000
    fails(offered())
    site.content, site.cut_after, site.etag, site.honours_if_range = checkpoint, None, '"two"', honours_if_range
    assert pull(offered()).read_bytes() == checkpoint


@pytest.mark.parametrize("size", [100_000, 600_000])
def test_without_a_tag_the_total_size_tells_that_the_file_changed(
    offered: Offer, site, size: int, checkpoint: bytes
) -> None:
    """A server that names no version: a range that is not there (416) or of another whole starts over."""
    site.content, site.etag, site.cut_after = checkpoint + b"longer", None, 500_000
    fails(offered())
    site.content, site.cut_after = checkpoint[:size], None
    assert "unusable" in fails(offered())
    site.content = checkpoint
    assert pull(offered()).read_bytes() == checkpoint


def test_a_part_nobody_knows_is_not_continued(offered: Offer, site, cache: Path) -> None:
    """Bytes without a note about their origin are thrown away."""
    (cache / "weights").mkdir(parents=True)
    (cache / "weights" / "tiny.pt.part").write_bytes(b"left by something else")
    pull(offered())
    assert "Range" not in site.asked[0]


def test_a_part_that_is_complete_is_only_checked(offered: Offer, site, cache: Path) -> None:
    """A process that was killed between the last byte and the check costs no second download."""
    site.cut_after = 1000
    fails(offered())
    (cache / "weights" / "tiny.pt.part").write_bytes(site.content)
    pull(offered())
    assert len(site.asked) == 1


@pytest.mark.parametrize("status", [403, 404, 500])
def test_a_refusal_names_the_address_and_the_way_by_hand(offered: Offer, site, cache: Path, status: int) -> None:
    """The server's answer, the address and the file's place are in the message."""
    site.status = status
    message = fails(offered())
    assert f"answered {status}" in message
    assert site.url in message
    assert str(cache / "weights" / "tiny.pt") in message


def test_no_network_is_said_in_one_line(offered: Offer) -> None:
    """No server listens at the address."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{free.getsockname()[1]}/tiny.pt"
        message = fails(offered(url=url))
    assert "refused" in message
    assert url in message


def test_a_server_that_never_answers_is_given_up(offered: Offer, site) -> None:
    """The time-out bounds the wait."""
    site.silent = threading.Event()
    assert "no answer in time" in fails(offered(), timeout_s=0.1)
    site.silent.set()


def test_another_hash_is_refused_and_deleted(offered: Offer, site, cache: Path) -> None:
    """Neither the file nor its part stays."""
    message = fails(offered(sha256="0" * 64))
    assert hashlib.sha256(site.content).hexdigest() in message
    assert parts(cache) == []


def test_a_known_hash_is_compared(offered: Offer, site) -> None:
    """The right hash passes, and the report says that it was known."""
    model = offered(sha256=hashlib.sha256(site.content).hexdigest())
    pull(model)
    assert verify(model).hash_known


def test_a_web_page_is_refused(offered: Offer, site, cache: Path) -> None:
    """A page that asks for a login is not taken for weights, even where no hash is known."""
    site.content = b"<!DOCTYPE html><html>Sign in to the hotel's network</html>"
    assert "not a file of weights" in fails(offered())
    assert parts(cache) == []


def test_an_empty_answer_is_refused(offered: Offer, site, cache: Path) -> None:
    """A server that says yes and sends nothing."""
    site.announces_size, site.cut_after = False, 0
    assert "it is empty" in fails(offered())
    assert parts(cache) == []


def test_a_short_file_of_unknown_size_is_found_out(offered: Offer, site, cache: Path) -> None:
    """Without a Content-Length only the check can tell that the end is missing."""
    site.announces_size, site.cut_after = False, 2_000_000
    assert "damaged" in fails(offered())
    assert parts(cache) == []


def test_two_processes_do_not_write_one_file(offered: Offer, cache: Path) -> None:
    """The second one's error says to wait."""
    (cache / "weights").mkdir(parents=True)
    with (cache / "weights" / "tiny.pt.part").open("wb") as held:
        fcntl.flock(held, fcntl.LOCK_EX)
        assert "another process" in fails(offered())


def test_a_full_disk_is_reported_and_the_part_is_kept(offered: Offer, site, cache: Path) -> None:
    """The kernel refuses to let the file grow: the message names the folder; with room again the rest is fetched."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1_000_000, hard))
    try:
        message = fails(offered())
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert "make room" in message
    assert (cache / "weights" / "tiny.pt.part").stat().st_size == 1_000_000
    assert pull(offered()).read_bytes() == site.content


def test_too_little_room_is_noticed_before_the_download(offered: Offer, site, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing is written when the disk cannot hold the file."""
    monkeypatch.setattr("shutil.disk_usage", lambda path: type("Usage", (), {"free": 1_000_000})())
    assert "has 1.0 MB free" in fails(offered())


def test_a_folder_that_cannot_be_made_is_reported(offered: Offer, cache: Path) -> None:
    """The cache folder is a file."""
    cache.write_text("in the way")
    assert "cannot write" in fails(offered())
