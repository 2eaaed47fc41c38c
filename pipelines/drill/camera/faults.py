"""Loses or damages packets and records the images that they belong to."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

from pipelines.drill.camera.clip import Clip

Fault = Literal["lose", "corrupt"]

SPARED_BYTES = 8
"""Bytes of the payload's headers that stay intact, so that decoders see damaged images, not bad packets."""
FLIP_EVERY = 7
FLIP = 0x55


@dataclass
class _Orders:
    left: int
    keyframe: bool


@dataclass
class Faults:
    """The faults ordered for the next packets of one path."""

    damaged: list[int] = field(default_factory=list)
    """Numbers of the access units (their place in the clip) that were hit, in the order of sending."""
    _orders: dict[Fault, _Orders] = field(default_factory=dict)

    def order(self, fault: Fault, count: int, *, keyframe: bool) -> None:
        """Damage the next ``count`` packets, those of a clip's key frames only if ``keyframe``."""
        left = self._orders[fault].left if fault in self._orders else 0
        self._orders[fault] = _Orders(left + count, keyframe)

    def applied(self, clip: Clip, number: int) -> list[bytes | None]:
        """The payloads of an access unit after the faults; None for a lost one."""
        spared, whole = clip.is_spared(number), clip.units[number].payloads
        payloads: list[bytes | None] = list(whole)
        for place, payload in enumerate(whole):
            if self._take("lose", spared):
                payloads[place] = None
            elif self._take("corrupt", spared):
                payloads[place] = _corrupted(payload)
            else:
                break  # the next packets, one after the other
        if payloads != list(whole):
            self.damaged.append(number)
        return payloads

    def _take(self, fault: Fault, spared: bool) -> bool:
        orders = self._orders.get(fault)
        if orders is None or orders.left == 0 or (spared and not orders.keyframe):
            return False
        orders.left -= 1
        return True


def _corrupted(payload: bytes) -> bytes:
    damaged = bytearray(payload)
    start = min(max(len(payload) // 3, SPARED_BYTES), len(payload) - 1)
    for place in range(start, len(payload), FLIP_EVERY):
        damaged[place] ^= FLIP
    return bytes(damaged)
