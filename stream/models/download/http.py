"""Downloading a file over HTTP, continued where an earlier run stopped (range requests: RFC 9110, section 14).

Whatever a server answers, the result never joins the beginning of one file to the end of another.
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
from stream.models.base import HasWeights
from stream.models.cache import weights_path
from stream.models.download.partial_file import Origin, PartialFile

OnProgress = Callable[[int, int | None], object]
"""Called with the bytes so far and the total, which is None while unknown."""

CHUNK_BYTES = 1 << 18


class _Response(Protocol):
    """The part of urllib's response that we use."""

    headers: Message

    @property
    def status(self) -> int | None: ...

    def read(self, amount: int, /) -> bytes: ...

    def close(self) -> None: ...


def fetch(model: HasWeights, url: str, partial: PartialFile, on_progress: OnProgress, timeout_s: float) -> None:
    """Append to ``partial`` what it lacks of the file at ``url``.

    Raises DownloadError, and OSError where the local disk fails.
    """
    # An earlier run may have stopped after the last byte; a server answers a range behind the end with 416.
    if partial.size_bytes and _finished(partial, url):
        return
    response = _request(model, url, partial, timeout_s)
    try:
        total = _begin(response, url, partial)
        _check_free_space(model, partial, total)
        on_progress(partial.size_bytes, total)
        for chunk in _chunks(model, response, partial, total):
            partial.file.write(chunk)
            partial.file.flush()  # ``size_bytes`` asks the file system
            on_progress(partial.size_bytes, total)
    finally:
        response.close()


def _finished(partial: PartialFile, url: str) -> bool:
    origin = partial.origin
    return origin is not None and origin.url == url and origin.total_bytes == partial.size_bytes


def _request(model: HasWeights, url: str, partial: PartialFile, timeout_s: float) -> _Response:
    """The server's response: 206 with the missing bytes, or 200 with the whole file."""
    range_headers = _range_headers(url, partial)
    response = _send(model, url, range_headers, timeout_s)
    if range_headers and not _can_use(response, partial):
        response.close()
        range_headers, response = {}, _send(model, url, {}, timeout_s)
    status = response.status or 0
    # 206 without our having sent a range would be part of a file that we know nothing about
    if status == http.HTTPStatus.OK or (range_headers and status == http.HTTPStatus.PARTIAL_CONTENT):
        return response
    response.close()
    raise _failure(model, f"the server answered {status} {http.client.responses.get(status, '')}")


def _send(model: HasWeights, url: str, headers: dict[str, str], timeout_s: float) -> _Response:
    request = urllib.request.Request(url, headers={"User-Agent": "depthstream", **headers})
    try:
        response: _Response = urllib.request.urlopen(request, timeout=timeout_s)
    except urllib.error.HTTPError as error:
        return error  # it is a response, too; the caller looks at its status
    except (OSError, http.client.HTTPException) as error:  # the latter, for malformed answers, is no OSError
        raise _failure(model, describe_error(error)) from error
    return response


def _range_headers(url: str, partial: PartialFile) -> dict[str, str]:
    """Headers that request the rest; empty if it is unknown whether the rest belongs to the bytes so far."""
    origin, size_bytes = partial.origin, partial.size_bytes
    if origin is None or origin.url != url or not size_bytes or origin.total_bytes is None:
        return {}
    return {"Range": f"bytes={size_bytes}-"} | ({"If-Range": origin.validator} if origin.validator else {})


def _can_use(response: _Response, partial: PartialFile) -> bool:
    """False if the response to a range request does not continue ``partial``: the file has changed on the server."""
    # 200 is the whole file: the server knows no ranges, or If-Range found another version (RFC 9110, 13.1.5).
    if response.status != http.HTTPStatus.PARTIAL_CONTENT:
        return response.status != http.HTTPStatus.REQUESTED_RANGE_NOT_SATISFIABLE
    match = re.fullmatch(r"bytes (\d+)-\d+/(\d+)", response.headers.get("Content-Range", ""))
    origin, validator = partial.origin, _validator(response.headers)
    if match is None or origin is None or (origin.validator and validator and validator != origin.validator):
        return False
    return (int(match[1]), int(match[2])) == (partial.size_bytes, origin.total_bytes)


def _begin(response: _Response, url: str, partial: PartialFile) -> int | None:
    """The size of the whole file in bytes; afterwards ``partial`` ends where the response's body starts."""
    if response.status == http.HTTPStatus.OK:
        length = response.headers.get("Content-Length", "")
        partial.restart(Origin(url, int(length) if length.isdigit() else None, _validator(response.headers)))
    return partial.origin.total_bytes if partial.origin else None


def _validator(headers: Message) -> str | None:
    """A value for ``If-Range``: a strong ETag, else the date (RFC 9110, section 13.1.5, forbids weak ETags)."""
    etag = headers.get("ETag", "")
    return etag if etag.startswith('"') else headers.get("Last-Modified")


def _chunks(model: HasWeights, response: _Response, partial: PartialFile, total: int | None) -> Iterator[bytes]:
    while chunk := _read(model, response, partial, total):
        yield chunk
    # http.client reports no error where the body is shorter than its Content-Length and is read in pieces.
    if total is not None and partial.size_bytes != total:
        raise _interrupted(model, "the connection was closed", partial, total)


def _read(model: HasWeights, response: _Response, partial: PartialFile, total: int | None) -> bytes:
    try:
        return response.read(CHUNK_BYTES)
    except (OSError, http.client.HTTPException) as error:
        raise _interrupted(model, describe_error(error), partial, total) from error


def _check_free_space(model: HasWeights, partial: PartialFile, total: int | None) -> None:
    free = shutil.disk_usage(partial.path.parent).free
    if total is not None and total - partial.size_bytes > free:
        raise DownloadError(
            f"{model.name}: {partial.path.parent} has {format_mb(free)} free, the weights need {format_mb(total)}: "
            f"make room, or set DEPTHSTREAM_CACHE to a folder on another disk"
        )


def _failure(model: HasWeights, reason: str) -> DownloadError:
    return DownloadError(f"{model.name}: cannot fetch {model.weights.url}: {reason.strip()}; {manual_download(model)}")


def _interrupted(model: HasWeights, reason: str, partial: PartialFile, total: int | None) -> DownloadError:
    of_total = "" if total is None else f" of {format_mb(total)}"
    return DownloadError(
        f"{model.name}: {model.weights.url} stopped after {format_mb(partial.size_bytes)}{of_total}: {reason}; what "
        f"arrived is kept in {partial.path}: run the same command again to continue; {manual_download(model)}"
    )


def manual_download(model: HasWeights) -> str:
    """The instruction that ends every error message: how to get the file without this program."""
    return f"or by hand: download {model.weights.url} and save it as {weights_path(model)}"


def format_mb(size_bytes: int) -> str:
    """A size for people, in units of 1e6 bytes."""
    return f"{size_bytes / 1e6:.1f} MB"


def describe_error(error: BaseException) -> str:
    """One line. urllib wraps the cause, and time-outs have no message of their own."""
    cause = getattr(error, "reason", error)
    if isinstance(cause, TimeoutError):
        return "no answer in time"
    if isinstance(cause, OSError) and cause.strerror:
        return cause.strerror
    return " ".join(str(cause).split()) or type(cause).__name__
