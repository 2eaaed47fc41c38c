"""What the payload formats of H.264 and H.265 share: NAL units become a byte stream with start codes (Annex B)."""

from __future__ import annotations

from typing import Literal

Beginning = Literal["image", "rest", "other"]
"""image: an access unit begins here. rest: it belongs to an image that began before. other: neither is sure."""
START_CODE = b"\0\0\0\1"
LARGEST_UNIT_BYTES = 16 * 1024 * 1024
"""Bytes of one access unit: four times that of a key frame at 4K and 100 Mbit/s. A camera that sends more is broken."""


class NalStream:
    """The access unit that is being put together.

    A fragment that is missing ends its NAL unit where it is: decoders use what came before.
    """

    def __init__(self) -> None:
        self.data = bytearray()
        self.has_image = False
        """It contains a slice, not only parameter sets and messages."""
        self.keyframe = False
        """Decoding can begin here."""
        self.is_broken = False
        """A part of it is missing."""
        self.begins_inside = False
        """Its beginning is missing: its first packet is not the first one of an image."""
        self._in_fragments = False

    def begin(self) -> None:
        """Start the next access unit."""
        self.data = bytearray()
        self.has_image = self.keyframe = self.is_broken = self.begins_inside = False

    @property
    def is_complete(self) -> bool:
        """Whether no fragmented NAL unit is open, so that the access unit may end here."""
        return not self._in_fragments

    def finished(self) -> bytes:
        """The access unit; a fragmented NAL unit that is still open lacks its end."""
        self.is_broken |= self._in_fragments
        self._in_fragments = False
        return bytes(self.data)

    def lost(self) -> None:
        """Packets before the next one are missing."""
        self.is_broken |= self._in_fragments
        self._in_fragments = False

    def _whole(self, unit: memoryview) -> None:
        """Append a NAL unit that came in one piece."""
        self.is_broken |= self._in_fragments  # the last fragment of the one before never came
        self._in_fragments = False
        self._notice(unit)
        self.data += START_CODE
        self.data += unit

    def _first_fragment(self, header: bytes, part: memoryview, *, is_last: bool) -> None:
        self.is_broken |= self._in_fragments
        self._in_fragments = not is_last
        # The first bytes are enough to tell what it is.
        self._notice(memoryview(header + bytes(part[:64])))
        self.data += START_CODE
        self.data += header
        self.data += part

    def _next_fragment(self, part: memoryview, *, is_last: bool) -> None:
        if not self._in_fragments:  # its beginning was lost, and nothing can be done with the rest
            self.begins_inside |= not self.data
            self.is_broken = True
            return
        self.data += part
        if is_last:
            self._in_fragments = False
        elif len(self.data) > LARGEST_UNIT_BYTES:
            self.lost()

    def _notice(self, unit: memoryview) -> None:
        """Look at a NAL unit of at least one byte, or at its first bytes."""
        raise NotImplementedError
