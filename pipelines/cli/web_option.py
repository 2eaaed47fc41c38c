"""The option `--web [HOST:PORT]`, whose value may be left out."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from typing import Annotated, Any, TypeAlias

import typer
from typer.core import TyperCommand

DEFAULT_ADDRESS = "127.0.0.1:8080"
"""Equal to the default of WebSettings, which would take half a second to import; a test compares the two."""
_ADDRESS = re.compile(r"([\w.-]+|\[[0-9a-f:.%]+\]):\d+", re.IGNORECASE)

Web: TypeAlias = Annotated[
    str | None,
    typer.Option(metavar="[HOST:PORT]", help=f"Show the images in the browser (default: {DEFAULT_ADDRESS})."),
]


class WebCommand(TyperCommand):
    """A command whose ``--web`` takes the next argument only if it looks like an address.

    ``depthstream rtsp --web rtsp://camera/main`` and ``depthstream webcam --web 0`` therefore keep their cameras.
    """

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """Parse ``args``. ``ctx`` is click's context, whose class Typer re-exports differently in each version."""
        return super().parse_args(ctx, list(with_address(args)))


def with_address(arguments: Sequence[str]) -> Iterator[str]:
    """Add the default address to each ``--web`` that has none; arguments after ``--`` are left alone."""
    end = arguments.index("--") if "--" in arguments else len(arguments)
    for index, argument in enumerate(arguments):
        following = arguments[index + 1] if index + 1 < end else ""
        lacks_address = argument == "--web" and index < end and not _ADDRESS.fullmatch(following)
        yield f"--web={DEFAULT_ADDRESS}" if lacks_address else argument
