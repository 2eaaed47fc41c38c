"""Files of tensors that came from elsewhere."""

from __future__ import annotations

import pickle
import zipfile
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file

from stream.errors import WeightsError
from stream.models.checkpoint.reader import read_state, read_stored, verify_checksums

STATE = {"a.weight": torch.arange(2000.0).view(40, 50), "a.count": torch.tensor(3)}


def write(path: Path, kind: str) -> Path:
    if kind == "safetensors":
        save_file(STATE, path)
    else:
        torch.save(STATE, path, _use_new_zipfile_serialization=kind == "zip")
    return path


@pytest.mark.parametrize("kind", ["zip", "legacy", "safetensors"])
def test_every_kind_of_file_is_read(tmp_path: Path, kind: str) -> None:
    """By what is in it: the name says nothing."""
    state = read_state(write(tmp_path / "weights.part", kind))
    assert set(state) == set(STATE)
    assert all(torch.equal(state[name], STATE[name]) for name in STATE)


@pytest.mark.parametrize("kind", ["zip", "legacy", "safetensors"])
@pytest.mark.parametrize("kept", [0, 5, 100, 0.5, 0.99])
def test_a_cut_file_is_damaged(tmp_path: Path, kind: str, kept: float) -> None:
    """Wherever it was cut."""
    path = write(tmp_path / "weights", kind)
    data = path.read_bytes()
    path.write_bytes(data[: int(kept * len(data)) if kept < 1 else int(kept)])
    with pytest.raises(WeightsError, match=r"damaged|not a file of weights") as caught:
        read_state(path)
    assert "\n" not in str(caught.value)


def test_a_flipped_bit_is_found_by_the_check_sum(tmp_path: Path) -> None:
    """torch.load does not notice it."""
    path = write(tmp_path / "weights", "zip")
    verify_checksums(path)
    data = bytearray(path.read_bytes())
    data[data.index(STATE["a.weight"].numpy().tobytes()) + 999] ^= 1
    path.write_bytes(data)
    assert not torch.equal(read_state(path)["a.weight"], STATE["a.weight"])
    with pytest.raises(WeightsError, match="checksum"):
        verify_checksums(path)


def test_a_training_checkpoint_is_unwrapped(tmp_path: Path) -> None:
    """The official MiDaS loader takes the part called "model" if the file also has an optimizer."""
    torch.save({"model": STATE, "optimizer": {"lr": 0.1}}, tmp_path / "weights")
    assert set(read_state(tmp_path / "weights")) == set(STATE)


def test_a_state_dict_with_others_beside_it_is_unwrapped(tmp_path: Path) -> None:
    """The official EfficientViT loader takes it where there is one, and the whole file where there is none."""
    torch.save({"state_dict": STATE, "epoch": 3}, tmp_path / "weights")
    assert set(read_state(tmp_path / "weights")) == set(STATE)


@pytest.mark.parametrize("content", [{}, {"epoch": 3}, [torch.zeros(1)], {"optimizer": {}}])
def test_other_content_is_refused(tmp_path: Path, content: object) -> None:
    """A torch file that holds something else."""
    torch.save(content, tmp_path / "weights")
    with pytest.raises(WeightsError, match="something other than named tensors"):
        read_state(tmp_path / "weights")


class _Trap:
    def __reduce__(self) -> tuple[object, ...]:
        return (Path.touch, (Path("trap-was-sprung"),))


@pytest.mark.parametrize("kind", ["zip", "legacy", "pickle"])
def test_code_in_a_file_is_not_run(tmp_path: Path, kind: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """A pickle can call anything when it is read; ours is not read that way."""
    monkeypatch.chdir(tmp_path)
    if kind == "pickle":
        Path("weights").write_bytes(pickle.dumps(_Trap()))
    else:
        torch.save({"a": _Trap()}, "weights", _use_new_zipfile_serialization=kind == "zip")
    with pytest.raises(WeightsError):
        read_state(Path("weights"))
    assert not Path("trap-was-sprung").exists()


def test_half_precision_becomes_float32(tmp_path: Path) -> None:
    """Exactly: every float16 is a float32; whole numbers stay whole."""
    save_file({"half": torch.tensor([0.1, 2.0]).half(), "count": torch.tensor(3)}, tmp_path / "weights")
    state = read_state(tmp_path / "weights")
    assert state["half"].dtype == torch.float32
    assert state["half"].tolist() == torch.tensor([0.1, 2.0]).half().tolist()
    assert state["count"].dtype == torch.int64


@pytest.mark.parametrize("kind", ["zip", "legacy"])
def test_tensors_are_found_under_their_entry(tmp_path: Path, kind: str) -> None:
    """Whatever else the file holds, even an optimizer."""
    content = {"epoch": 3, "optimizer": {"lr": 0.1}, "model_state_dict": STATE}
    torch.save(content, tmp_path / "weights", _use_new_zipfile_serialization=kind == "zip")
    state = read_state(tmp_path / "weights", "model_state_dict")
    assert {name: tensor.tolist() for name, tensor in state.items()} == {n: t.tolist() for n, t in STATE.items()}


@pytest.mark.parametrize(
    ("content", "has"), [(STATE, "2 others, first 'a.weight'"), ({}, "none"), ([torch.zeros(1)], "none")]
)
def test_a_missing_entry_is_named(tmp_path: Path, content: object, has: str) -> None:
    """And what the file has instead."""
    torch.save(content, tmp_path / "weights")
    with pytest.raises(WeightsError, match=f'has no entry "state_dict", where its tensors should be, but {has}'):
        read_state(tmp_path / "weights", "state_dict")


def test_an_entry_that_holds_something_else_is_refused(tmp_path: Path) -> None:
    """A key of the right name with a number under it."""
    torch.save({"state_dict": 3}, tmp_path / "weights")
    with pytest.raises(WeightsError, match="something other than named tensors"):
        read_state(tmp_path / "weights", "state_dict")


@pytest.mark.parametrize("kind", ["zip", "legacy", "safetensors"])
def test_what_is_stored_in_half_precision_can_be_read_so(tmp_path: Path, kind: str) -> None:
    """For copies, and for checks that should not take twice the memory."""
    half = {"half": torch.tensor([0.1, 2.0]).half()}
    if kind == "safetensors":
        save_file(half, tmp_path / "weights")
    else:
        torch.save(half, tmp_path / "weights", _use_new_zipfile_serialization=kind == "zip")
    assert read_stored(tmp_path / "weights")["half"].dtype == torch.float16


def test_a_file_that_was_packed_again_is_read_right(tmp_path: Path) -> None:
    """Compressed parts cannot be mapped into memory as they are; they would be taken for numbers."""
    plain, again = write(tmp_path / "plain", "zip"), tmp_path / "again"
    with zipfile.ZipFile(plain) as old, zipfile.ZipFile(again, "w", zipfile.ZIP_DEFLATED) as new:
        for part in old.infolist():
            new.writestr(part.filename, old.read(part))
    assert again.stat().st_size < plain.stat().st_size / 2
    state = read_state(again)
    assert all(torch.equal(state[name], STATE[name]) for name in STATE)
