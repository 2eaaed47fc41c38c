"""Downloading a model's weights: the licence is accepted first where it must be, and the file is checked before use."""

from __future__ import annotations

from pathlib import Path

from stream.errors import DownloadError, WeightsError
from stream.models.base import HasWeights
from stream.models.cache import converted_path, weights_path
from stream.models.checkpoint.reader import is_safetensors, read_stored
from stream.models.checkpoint.safetensors_copy import write_copy
from stream.models.checkpoint.verification import Verification, verify_file
from stream.models.download.http import OnProgress, describe_error, fetch, manual_download
from stream.models.download.licences import accept, check_accepted
from stream.models.download.partial_file import PartialFile
from stream.models.weights import locate

TIMEOUT_S = 30.0
"""Limit for the connection, and for every pause in the transfer."""


def pull(
    model: HasWeights,
    on_progress: OnProgress = lambda done, total: None,
    timeout_s: float = TIMEOUT_S,
    *,
    accept_licence: bool = False,
) -> Path:
    """The path of the model's weights, which are downloaded if they are missing.

    The file gets its name only after it was checked: its hash where that is known, and a strict load into the network.
    Bytes that arrived before a failure are kept, and the next call continues from them. Raises DownloadError, which
    gives the address and how to download by hand; and UsageError, without contacting the server, if the licence must
    be accepted and was accepted neither now (``accept_licence``) nor earlier.
    """
    target = weights_path(model)
    if model.weights.url is None or target.is_file():
        return locate(model)
    if not accept_licence:
        check_accepted(model)
    try:
        if accept_licence and model.weights.requires_acceptance:
            accept(model)
        _fetch_checked(model, model.weights.url, target, on_progress, timeout_s)
    except OSError as error:
        raise DownloadError(
            f"{model.name}: cannot write {target}: {describe_error(error)}: make room, or set DEPTHSTREAM_CACHE to a "
            f"folder that can be written"
        ) from error
    return target


def _fetch_checked(model: HasWeights, url: str, target: Path, on_progress: OnProgress, timeout_s: float) -> None:
    with PartialFile.open(target) as partial:
        if target.is_file():  # another process has just finished
            return
        fetch(model, url, partial, on_progress, timeout_s)
        verification = _check(model, partial)
        partial.move_to(target)
    if not is_safetensors(target):
        entry = model.weights.entry
        write_copy(converted_path(model), read_stored(target, entry), verification.sha256, entry)


def _check(model: HasWeights, partial: PartialFile) -> Verification:
    try:
        return verify_file(model, partial.path)
    except WeightsError as error:
        partial.discard()
        raise DownloadError(
            f"{model.name}: the file from {model.weights.url} is unusable and was deleted: {error}; "
            f"{manual_download(model)}"
        ) from error
