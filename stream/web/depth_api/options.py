"""What a request asks for: which network, which form, which colours; every mistake with the nearest known word."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple, cast

from stream.core.suggest import nearest
from stream.core.view_controls import COLORMAPS
from stream.web.depth_api.responses import OUTPUTS, Output
from stream.web.http_errors import Refusal

OPTIONS = ("model", "output", "colormap")
_NOT_OURS = frozenset({"token"})
"""The guard's."""


class Options(NamedTuple):
    """Of one request."""

    model: str
    output: Output
    colormap: str
    """Empty where nothing is painted."""


class Asked(NamedTuple):
    """An image and what is asked about it: equal for requests that get the same answer."""

    digest: str
    """SHA-256 of the image's bytes, in hexadecimal."""
    options: Options

    @property
    def tag(self) -> str:
        """For the ETag header (RFC 9110, 8.8.3)."""
        return f'"{"-".join(part for part in (self.digest, *self.options) if part)}"'


def read_options(given: Mapping[str, str], models: Sequence[str]) -> Options:
    """The first of ``models``, colours and the first colour map where nothing is said. Raises Refusal 400."""
    for name in given:
        if name not in OPTIONS and name not in _NOT_OURS:
            raise Refusal(400, f'there is no option "{_short(name)}"{nearest(name, OPTIONS)}')
    model = _one_of("model", given.get("model") or models[0], models)
    output = cast(Output, _one_of("output", given.get("output") or "color", OUTPUTS))
    colormap = _one_of("colormap", given.get("colormap") or COLORMAPS[0], COLORMAPS)
    return Options(model, output, colormap if output == "color" else "")


def _one_of(option: str, value: str, known: Sequence[str]) -> str:
    if value not in known:
        raise Refusal(400, f'{option} = "{_short(value)}" does not exist here{nearest(_short(value), known)}')
    return value


def _short(text: str) -> str:
    """One line, however long or strange the text is."""
    return ascii(text[:40])[1:-1]
