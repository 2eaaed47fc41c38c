"""Options of a request: network, output format and colour map. Errors suggest the nearest known word."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple, cast

from stream.core.suggest import nearest
from stream.core.view_controls import COLORMAPS
from stream.web.depth_api.responses import OUTPUTS, Output
from stream.web.http_errors import RequestError

OPTIONS = ("model", "output", "colormap")
_IGNORED = frozenset({"token"})
"""Query parameters that belong to the access guard."""


class RequestOptions(NamedTuple):
    """The parsed options of one request."""

    model: str
    output: Output
    colormap: str
    """Empty for outputs that have no colours."""


class RequestKey(NamedTuple):
    """An image and the options for it: equal for requests that get the same response."""

    digest: str
    """SHA-256 of the image's bytes, in hexadecimal."""
    options: RequestOptions

    @property
    def etag(self) -> str:
        """Value for the ETag header (RFC 9110, 8.8.3)."""
        return f'"{"-".join(part for part in (self.digest, *self.options) if part)}"'


def parse_options(values: Mapping[str, str], models: Sequence[str]) -> RequestOptions:
    """Parse query parameters and form fields.

    The defaults are the first of ``models``, the output "color" and the first colour map. Raises RequestError 400.
    """
    for name in values:
        if name not in OPTIONS and name not in _IGNORED:
            raise RequestError(400, f'there is no option "{_short(name)}"{nearest(name, OPTIONS)}')
    model = _one_of("model", values.get("model") or models[0], models)
    output = cast(Output, _one_of("output", values.get("output") or "color", OUTPUTS))
    colormap = _one_of("colormap", values.get("colormap") or COLORMAPS[0], COLORMAPS)
    return RequestOptions(model, output, colormap if output == "color" else "")


def _one_of(option: str, value: str, known: Sequence[str]) -> str:
    if value not in known:
        raise RequestError(400, f'{option} = "{_short(value)}" does not exist here{nearest(_short(value), known)}')
    return value


def _short(text: str) -> str:
    """One line of ASCII, however long or strange the text is."""
    return ascii(text[:40])[1:-1]
