"""What the keys of the preview window do."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal, TypeAlias

Action: TypeAlias = Literal["end", "colormap", "range", "freeze", "help"]
ESCAPE = 27
ACTIONS: Mapping[str, Action] = {
    "q": "end",
    chr(ESCAPE): "end",
    "c": "colormap",
    "r": "range",
    " ": "freeze",
    "h": "help",
}
KEY_BITS = 0xFFFF
"""GTK puts the modifiers (Num Lock, say) above these bits. Not 0xFF: the left arrow, 0xFF51, would become a Q."""


def action_for(code: int) -> Action | None:
    """What a key code of ``cv2.waitKeyEx`` asks for; capital letters count, too; None for every other key."""
    code &= KEY_BITS
    return ACTIONS.get(chr(code).lower()) if code < 128 else None
