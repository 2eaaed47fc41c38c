"""The safetensors copy of a weights file: the same, faster, and never of another file."""

from __future__ import annotations

import hashlib
import logging
import resource
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from safetensors import safe_open
from safetensors.torch import load_file, save_file

from stream.errors import WeightsError
from stream.models.base import DepthModel
from stream.models.cache import converted_path
from stream.models.checkpoint.reader import read_stored
from stream.models.checkpoint.safetensors_copy import check_copy, read_via_copy, write_copy
from stream.models.checkpoint.verification import verify
from stream.models.download.fetch import pull
from stream.models.tiny import TINY
from stream.models.weights import load_state, random_state

Offer = Callable[..., DepthModel]
STATE = {"a.weight": torch.arange(6.0).view(2, 3), "a.half": torch.tensor([0.1, 2.0]).half(), "n": torch.tensor(3)}
DIGEST = "d" * 64


@pytest.fixture
def original(tmp_path: Path) -> Path:
    """A torch file."""
    torch.save(STATE, tmp_path / "weights.pt")
    return tmp_path / "weights.pt"


def same(one: dict[str, torch.Tensor], other: dict[str, torch.Tensor]) -> bool:
    return set(one) == set(other) and all(
        one[name].dtype == other[name].dtype and torch.equal(one[name], other[name]) for name in one
    )


def test_a_copy_has_the_values_types_and_names_of_its_original(original: Path, tmp_path: Path) -> None:
    """Half precision stays half, whole numbers stay whole; it names the original's hash."""
    copy = tmp_path / "deep" / "copy"
    assert same(read_via_copy(original, DIGEST, None, copy), STATE)
    assert same(load_file(copy), STATE)
    with safe_open(copy, framework="pt") as file:
        assert file.metadata()["made_from_sha256"] == DIGEST
    assert [path.name for path in copy.parent.iterdir()] == ["copy"]
    assert copy.stat().st_mode == original.stat().st_mode


@pytest.mark.slow
def test_a_pull_leaves_a_copy_that_loading_uses(offered: Offer, site) -> None:
    """The original could as well be unreadable; only its hash is needed."""
    model = offered()
    path = pull(model)
    copy = converted_path(model)
    made = copy.stat()
    assert same(load_state(model), read_stored(path))
    assert copy.stat().st_mtime_ns == made.st_mtime_ns
    marked = load_file(copy) | {"head.bias": torch.tensor([42.0])}
    write_copy(copy, marked, hashlib.sha256(site.content).hexdigest(), None)
    assert load_state(model)["head.bias"].tolist() == [42.0]


def test_weights_put_there_by_hand_get_a_copy_when_they_are_loaded(offered: Offer, site, cache: Path) -> None:
    """And one that was deleted is made again."""
    (cache / "weights").mkdir(parents=True)
    (cache / "weights" / "tiny.pt").write_bytes(site.content)
    for _ in range(2):
        state = load_state(offered())
        assert same(load_file(converted_path(offered())), state)
        converted_path(offered()).unlink()


@pytest.mark.slow
def test_another_original_gets_another_copy(offered: Offer, site, pack) -> None:
    """Of the same name and size; the old numbers are not used again."""
    old = load_state_after_pull(offered())
    new = random_state(TINY, 5)
    content = pack(new, "zip")
    assert len(content) == len(site.content)
    (converted_path(offered()).parents[1] / "weights" / "tiny.pt").write_bytes(content)
    assert same(load_state(offered()), new)
    assert not same(new, old)


def load_state_after_pull(model: DepthModel) -> dict[str, torch.Tensor]:
    pull(model)
    return load_state(model)


def test_another_entry_of_the_same_file_gets_another_copy(original: Path, tmp_path: Path) -> None:
    """The copy says which entry it holds."""
    copy, two = tmp_path / "copy", tmp_path / "two.pt"
    torch.save({"one": {"x": torch.zeros(1)}, "other": {"x": torch.ones(1)}}, two)
    assert read_via_copy(two, DIGEST, "one", copy)["x"].item() == 0
    assert read_via_copy(two, DIGEST, "other", copy)["x"].item() == 1


@pytest.mark.parametrize("kept", [0, 5, 100, -1])
def test_a_damaged_copy_is_made_again(
    original: Path, tmp_path: Path, kept: int, caplog: pytest.LogCaptureFixture
) -> None:
    """Cut anywhere: the log says so, and the numbers are the original's."""
    copy = tmp_path / "copy"
    read_via_copy(original, DIGEST, None, copy)
    copy.write_bytes(copy.read_bytes()[:kept])
    assert same(read_via_copy(original, DIGEST, None, copy), STATE)
    assert "is made again" in caplog.text
    assert same(load_file(copy), STATE)


def test_a_damaged_original_is_not_copied(original: Path, tmp_path: Path) -> None:
    """Its checksums are verified first; nothing would notice the flipped bit later."""
    data = bytearray(original.read_bytes())
    data[data.index(STATE["a.weight"].numpy().tobytes()) + 3] ^= 1
    original.write_bytes(data)
    with pytest.raises(WeightsError, match="checksum"):
        read_via_copy(original, DIGEST, None, tmp_path / "copy")
    assert not (tmp_path / "copy").exists()


def test_a_cache_that_cannot_be_written_costs_a_line_in_the_log(
    original: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """A file is where the folder should be."""
    (tmp_path / "folder").write_text("in the way")
    assert same(read_via_copy(original, DIGEST, None, tmp_path / "folder" / "copy"), STATE)
    assert [record.levelno for record in caplog.records] == [logging.WARNING]
    assert "cannot be written" in caplog.text


def test_a_disk_that_fills_up_leaves_nothing_behind(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """The kernel refuses to let the file grow."""
    big = {"a": torch.zeros(100_000)}
    torch.save(big, tmp_path / "big.pt")
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, hard))
    try:
        assert same(read_via_copy(tmp_path / "big.pt", DIGEST, None, tmp_path / "made" / "copy"), big)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert "cannot be written" in caplog.text
    assert list((tmp_path / "made").iterdir()) == []


def test_tensors_that_share_memory_or_have_gaps_are_copied_right(tmp_path: Path) -> None:
    """Tied weights, and views into larger tensors."""
    whole = torch.arange(20.0)
    state = {"whole": whole, "tied": whole, "part": whole[3:7], "gaps": whole[::2], "turned": whole.view(4, 5).t()}
    torch.save(state, tmp_path / "weights.pt")
    assert same(read_via_copy(tmp_path / "weights.pt", DIGEST, None, tmp_path / "copy"), state)
    assert same(load_file(tmp_path / "copy"), {name: tensor.contiguous() for name, tensor in state.items()})


def test_what_is_safetensors_already_needs_no_copy(tmp_path: Path) -> None:
    """It is read as it is."""
    save_file(STATE, tmp_path / "weights")
    assert same(read_via_copy(tmp_path / "weights", DIGEST, None, tmp_path / "copy"), STATE)
    assert not (tmp_path / "copy").exists()


def test_a_copy_is_compared_bit_by_bit(tmp_path: Path) -> None:
    """NaN is equal to itself here, and a tensor too many is as bad as a wrong one."""
    state, copy = {"a": torch.tensor([float("nan"), 1.0]), "b": torch.ones(2)}, tmp_path / "copy"
    check_copy(copy, state, DIGEST, None)
    write_copy(copy, state, DIGEST, None)
    check_copy(copy, state, DIGEST, None)
    with pytest.raises(WeightsError, match='1 tensors differ from the original\'s, first "b": delete this copy'):
        check_copy(copy, state | {"b": torch.tensor([1.0, 1.0000001])}, DIGEST, None)
    with pytest.raises(WeightsError, match="delete this copy"):
        check_copy(copy, {"a": state["a"]}, DIGEST, None)


@pytest.mark.slow
def test_verification_finds_a_copy_that_is_not_what_it_says(offered: Offer, site) -> None:
    """A flipped bit in the copy, which has no checksums of its own."""
    model = offered()
    pull(model)
    copy = converted_path(model)
    data = bytearray(copy.read_bytes())
    data[-1] ^= 1
    copy.write_bytes(data)
    with pytest.raises(WeightsError, match="delete this copy"):
        verify(model)
    copy.unlink()
    verify(model)
