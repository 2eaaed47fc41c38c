"""Reading a downloaded file of named tensors. No code in it is run, and every kind of damage is a WeightsError."""

from __future__ import annotations

import pickle
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from stream.errors import WeightsError, first_line

if TYPE_CHECKING:
    from torch import Tensor

_ZIP = b"PK\x03\x04"
"""First bytes of a file by torch.save since torch 1.6."""
_LEGACY = b"\x80\x02\x8a\x0a\x6c\xfc\x9c\x46\xf9\x20\x6a\xa8\x50\x19"
"""First bytes of a file by older torch.save: a pickle that starts with torch.serialization.MAGIC_NUMBER."""

_DAMAGE = (
    pickle.UnpicklingError,
    RuntimeError,
    OSError,
    EOFError,
    ValueError,
    LookupError,
    TypeError,
    AttributeError,
    AssertionError,
    zipfile.BadZipFile,
)
"""What torch.load raises for files with flipped or missing bytes (found by flipping them: 640 damaged files)."""


def read_state(path: Path, entry: str | None = None) -> dict[str, Tensor]:
    """The tensors in a safetensors or torch file by name, on the CPU; half precision becomes float32.

    ``entry``: the key of the tensors in a torch file. Raises WeightsError, whose message starts with the path and says
    what is wrong with the file.
    """
    return to_float32(read_stored(path, entry))


def read_stored(path: Path, entry: str | None = None) -> dict[str, Tensor]:
    """The tensors as ``read_state`` gives them, but in the file's own types; memory-mapped where the file allows it."""
    magic = _magic(path)
    try:
        content = _read(path, magic)
    except _DAMAGE as error:
        raise WeightsError(f"{path}: damaged: {first_line(error)}") from error
    return _tensors(path, content, entry)


def to_float32(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """The same tensors with those in half precision converted to float32."""
    import torch

    return {name: value.float() if value.dtype == torch.float16 else value for name, value in state.items()}


def is_safetensors(path: Path) -> bool:
    """True for a safetensors file, False for a torch file. Raises WeightsError for any other file."""
    return not _magic(path)


def verify_checksums(path: Path) -> None:
    """Raises WeightsError if a torch file contradicts its own checksums, which torch.load does not verify."""
    if _magic(path) != _ZIP:
        return
    try:
        with zipfile.ZipFile(path) as archive:
            wrong = archive.testzip()
    except _DAMAGE as error:
        raise WeightsError(f"{path}: damaged: {first_line(error)}") from error
    if wrong is not None:
        raise WeightsError(f"{path}: damaged: the checksum of {wrong} is wrong")


def _magic(path: Path) -> bytes:
    """The magic bytes of the file's format: _ZIP, _LEGACY, or empty for safetensors."""
    try:
        with path.open("rb") as file:
            head = file.read(64)
    except OSError as error:
        raise WeightsError(f"{path}: cannot be read: {error.strerror}") from error
    for known in (_ZIP, _LEGACY):
        if head.startswith(known):
            return known
    if head[8:9] == b"{":  # safetensors: eight bytes with the header's length, then the header, a JSON object
        return b""
    raise WeightsError(f"{path}: not a file of weights: {f'it starts with {head[:16]!r}' if head else 'it is empty'}")


def _read(path: Path, magic: bytes) -> Any:
    if magic:
        import torch

        # weights_only: no code in the file is run
        return torch.load(path, map_location="cpu", weights_only=True, mmap=magic == _ZIP and _is_uncompressed(path))
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    try:
        return load_file(path)
    except SafetensorError as error:
        raise ValueError(str(error)) from error


def _is_uncompressed(path: Path) -> bool:
    """False for an archive that was repacked with compression: torch would take the compressed bytes for numbers."""
    with zipfile.ZipFile(path) as archive:
        return all(part.compress_type == zipfile.ZIP_STORED for part in archive.infolist())


def _tensors(path: Path, content: Any, entry: str | None) -> dict[str, Tensor]:
    import torch

    if entry is not None:
        content = _entry(path, content, entry)
    elif isinstance(content, dict) and "optimizer" in content:
        content = content.get("model")  # a training checkpoint: isl-org/MiDaS, midas/base_model.py reads both forms
    elif isinstance(content, dict) and "state_dict" in content:
        content = content["state_dict"]  # mit-han-lab/efficientvit, load_state_dict_from_file reads both forms, too
    if not isinstance(content, dict) or not content or not all(isinstance(v, torch.Tensor) for v in content.values()):
        raise WeightsError(f"{path}: holds something other than named tensors")
    return {str(name): value for name, value in content.items()}


def _entry(path: Path, content: Any, entry: str) -> Any:
    if isinstance(content, dict) and entry in content:
        return content[entry]
    has = f"{len(content)} others, first {next(iter(content))!r}" if isinstance(content, dict) and content else "none"
    raise WeightsError(f'{path}: has no entry "{entry}", where its tensors should be, but {has}')
