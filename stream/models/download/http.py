"""A file over HTTP, continued where it stopped (ranges: RFC 9110, 14).

Nothing that a server does puts the beginning of one file before the end of another.
"""

from __future__ import annotations

import http
import http.client
import re
import shutil
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from email.message import Message
from typing import Protocol

from stream.errors import DownloadError
from stream.models.base import Trained
from stream.models.cache import weights_path
from stream.models.download.partial_file import Origin, Partial

OnProgress = Callable[[int, int | None], object]
"""Called with the bytes that are there and the bytes there will be, None while unknown."""

CHUNK_BYTES = 1 << 18


class _Response(Protocol):
    """The part of urllib's response that we use."""

    headers: Message

    @property
    def status(self) -> int | None: ...

    def read(self, amount: int, /) -> bytes: ...

    def close(self) -> None: ...


def fetch(model: Trained, url: str, partial: Partial, on_progress: OnProgress, timeout_s: float) -> None:
    """Add to ``partial`` what is missing of the file at ``url``. Raises DownloadError, and OSError of our own disk."""
    if partial.size_bytes and _finished(partial, url):
        return
    response = _ask(model, url, partial, timeout_s)
    try:
        total = _begin(response, url, partial)
        _check_room(model, partial, total)
        on_progress(partial.size_bytes, total)
        for chunk in _chunks(model, response, partial, total):
            partial.file.write(chunk)
            partial.file.flush()
            on_progress(partial.size_bytes, total)
    finally:
        response.close()


def _finished(partial: Partial, url: str) -> bool:
    origin = partial.origin
    return origin is not None and origin.url == url and origin.total_bytes == partial.size_bytes


def _ask(model: Trained, url: str, partial: Partial, timeout_s: float) -> _Response:
    """The server's answer: 206 with the bytes that are missing, or 200 with all of them."""
    asked = _range(url, partial)
    response = _send(model, url, asked, timeout_s)
    if asked and not _fits(response, partial):
        response.close()
        asked, response = {}, _send(model, url, {}, timeout_s)
    status = response.status or 0
    if status == http.HTTPStatus.OK or (asked and status == http.HTTPStatus.PARTIAL_CONTENT):
        return response
    response.close()
    raise _failure(model, f"the server answered {status} {http.client.responses.get(status, '')}")


def _send(model: Trained, url: str, headers: dict[str, str], timeout_s: float) -> _Response:
    request = urllib.request.Request(url, headers={"User-Agent": "depthstream", **headers})
    try:
        response: _Response = urllib.request.urlopen(request, timeout=timeout_s)
    except urllib.error.HTTPError as error:
        return error  # an answer too; its status says no
    except (OSError, http.client.HTTPException) as error:
        raise _failure(model, in_words(error)) from error
    return response


def _range(url: str, partial: Partial) -> dict[str, str]:
    """Asks for the rest, unless nothing tells whether the rest belongs to what we have."""
    origin, have = partial.origin, partial.size_bytes
    if origin is None or origin.url != url or not have or origin.total_bytes is None:
        return {}
    return {"Range": f"bytes={have}-"} | ({"If-Range": origin.validator} if origin.validator else {})


def _fits(response: _Response, partial: Partial) -> bool:
    """Whether the answer to our request for the rest can be used: not if the file has changed on the server."""
    if response.status != http.HTTPStatus.PARTIAL_CONTENT:
        return response.status != http.HTTPStatus.REQUESTED_RANGE_NOT_SATISFIABLE
    match = re.fullmatch(r"bytes (\d+)-\d+/(\d+)", response.headers.get("Content-Range", ""))
    origin, validator = partial.origin, _validator(response.headers)
    if match is None or origin is None or (origin.validator and validator and validator != origin.validator):
        return False
    return (int(match[1]), int(match[2])) == (partial.size_bytes, origin.total_bytes)


def _begin(response: _Response, url: str, partial: Partial) -> int | None:
    """The size of the whole file; ``partial`` then holds what comes before the response's first byte."""
    if response.status == http.HTTPStatus.OK:
        length = response.headers.get("Content-Length", "")
        partial.begin(Origin(url, int(length) if length.isdigit() else None, _validator(response.headers)))
    return partial.origin.total_bytes if partial.origin else None


def _validator(headers: Message) -> str | None:
    """What ``If-Range`` may carry: a strong ETag, else the date (RFC 9110, 13.1.5 forbids weak ones)."""
    etag = headers.get("ETag", "")
    return etag if etag.startswith('"') else headers.get("Last-Modified")


def _chunks(model: Trained, response: _Response, partial: Partial, total: int | None) -> Iterator[bytes]:
    while chunk := _read(model, response, partial, total):
        yield chunk
    if total is not None and partial.size_bytes != total:
        raise _interrupted(model, "the connection was closed", partial, total)


def _read(model: Trained, response: _Response, partial: Partial, total: int | None) -> bytes:
    try:
        return response.read(CHUNK_BYTES)
    except (OSError, http.client.HTTPException) as error:
        raise _interrupted(model, in_words(error), partial, total) from error


def _check_room(model: Trained, partial: Partial, total: int | None) -> None:
    free = shutil.disk_usage(partial.path.parent).free
    if total is not None and total - partial.size_bytes > free:
        raise DownloadError(
            f"{model.name}: {partial.path.parent} has {mb(free)} free, the weights need {mb(total)}: make room, "
            f"or set DEPTHSTREAM_CACHE to a folder on another disk"
        )


def _failure(model: Trained, reason: str) -> DownloadError:
    return DownloadError(f"{model.name}: cannot fetch {model.weights.url}: {reason.strip()}; {by_hand(model)}")


def _interrupted(model: Trained, reason: str, partial: Partial, total: int | None) -> DownloadError:
    of_total = "" if total is None else f" of {mb(total)}"
    return DownloadError(
        f"{model.name}: {model.weights.url} stopped after {mb(partial.size_bytes)}{of_total}: {reason}; what arrived "
        f"is kept in {partial.path}: run the same command again to continue; {by_hand(model)}"
    )


def by_hand(model: Trained) -> str:
    """How to do without us."""
    return f"or by hand: download {model.weights.url} and save it as {weights_path(model)}"


def mb(size_bytes: int) -> str:
    """For people."""
    return f"{size_bytes / 1e6:.1f} MB"


def in_words(error: BaseException) -> str:
    """One line: urllib wraps the cause, and time-outs have no words of their own."""
    cause = getattr(error, "reason", error)
    if isinstance(cause, TimeoutError):
        return "no answer in time"
    if isinstance(cause, OSError) and cause.strerror:
        return cause.strerror
    return " ".join(str(cause).split()) or type(cause).__name__
