"""Fetching weights: under a licence that somebody accepted where it must be, checked before anybody can see them."""

from __future__ import annotations

from pathlib import Path

from stream.errors import DownloadError, WeightsError
from stream.models.base import Trained
from stream.models.cache import converted_path, weights_path
from stream.models.checkpoint.reader import is_safetensors, read_stored
from stream.models.checkpoint.safetensors_copy import write_copy
from stream.models.checkpoint.verification import Verification, verify_file
from stream.models.download.http import OnProgress, by_hand, fetch, in_words
from stream.models.download.licences import accept, check_accepted
from stream.models.download.partial_file import Partial
from stream.models.weights import locate

TIMEOUT_S = 30.0
"""For the connection, and for every silence after it."""


def pull(
    model: Trained,
    on_progress: OnProgress = lambda done, total: None,
    timeout_s: float = TIMEOUT_S,
    *,
    accept_licence: bool = False,
) -> Path:
    """The model's weights, fetched if they are not there yet; the file is put in place only after it was checked.

    Checked means: the hash where it is known, and a strict load into the network. Raises DownloadError with the
    address and with the way by hand; UsageError, and nothing is asked of the server, if the licence must be accepted
    and was not, neither now (``accept_licence``) nor earlier. Bytes that arrived before a failure are kept and
    continued next time.
    """
    target = weights_path(model)
    if model.weights.url is None or target.is_file():
        return locate(model)
    if not accept_licence:
        check_accepted(model)
    try:
        if accept_licence and model.weights.must_accept:
            accept(model)
        _fetch_checked(model, model.weights.url, target, on_progress, timeout_s)
    except OSError as error:
        raise DownloadError(
            f"{model.name}: cannot write {target}: {in_words(error)}: make room, or set DEPTHSTREAM_CACHE to a folder "
            f"that can be written"
        ) from error
    return target


def _fetch_checked(model: Trained, url: str, target: Path, on_progress: OnProgress, timeout_s: float) -> None:
    with Partial.open(target) as partial:
        if target.is_file():  # another process has just finished
            return
        fetch(model, url, partial, on_progress, timeout_s)
        found = _check(model, partial)
        partial.become(target)
    if not is_safetensors(target):
        entry = model.weights.entry
        write_copy(converted_path(model), read_stored(target, entry), found.sha256, entry)


def _check(model: Trained, partial: Partial) -> Verification:
    try:
        return verify_file(model, partial.path)
    except WeightsError as error:
        partial.discard()
        raise DownloadError(
            f"{model.name}: what came from {model.weights.url} is useless and was deleted: {error}; {by_hand(model)}"
        ) from error
