"""`--web [HOST:PORT]`: an option that may stand alone."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from typing import Annotated, Any, TypeAlias

import typer
from typer.core import TyperCommand

DEFAULT_ADDRESS = "127.0.0.1:8080"
"""That of the settings, which would cost half a second to import (the tests compare)."""
_ADDRESS = re.compile(r"([\w.-]+|\[[0-9a-f:.%]+\]):\d+", re.IGNORECASE)

Web: TypeAlias = Annotated[
    str | None,
    typer.Option(metavar="[HOST:PORT]", help=f"Show everything in the browser; alone: {DEFAULT_ADDRESS}."),
]


class WebCommand(TyperCommand):
    """A command whose ``--web`` takes the next word only if that can be an address.

    So that in ``depthstream rtsp --web rtsp://camera/main`` and ``depthstream webcam --web 0`` cameras stay cameras.
    """

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """``ctx`` is click's, which typer brings under another name in each version."""
        return super().parse_args(ctx, list(with_address(args)))


def with_address(words: Sequence[str]) -> Iterator[str]:
    """``words`` with the default address given to each ``--web`` that has none; what follows ``--`` is left alone."""
    end = words.index("--") if "--" in words else len(words)
    for place, word in enumerate(words):
        following = words[place + 1] if place + 1 < end else ""
        stands_alone = word == "--web" and place < end and not _ADDRESS.fullmatch(following)
        yield f"--web={DEFAULT_ADDRESS}" if stands_alone else word
