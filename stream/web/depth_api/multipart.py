"""multipart/form-data (RFC 7578), taken in as it comes: one image and a few names; nothing goes to a disk."""

from __future__ import annotations

from python_multipart.exceptions import FormParserError
from python_multipart.multipart import Field, File, create_form_parser

from stream.web.http_errors import Refusal

PART = "image"
"""Name of the form field that holds the image, as our own messages and documents write it."""
ACCEPTED_PARTS = (PART, "file", "picture")
"""Names that are taken for it: what other programs call their field."""
MAX_PARTS = 16
MAX_FIELD_BYTES = 1000
"""Of the other parts, which are names of things."""
AROUND_BYTES = 16_384
"""What a form may have around its image."""


class Form:
    """``write`` it whole, then ``finish``; each raises Refusal 400 for a form that is none of ours."""

    def __init__(self, content_type: str) -> None:
        self.fields: dict[str, str] = {}
        self._image: bytes | None = None
        self._parts, self._ended = 0, False
        headers, config = {"Content-Type": content_type.encode("latin-1")}, {"MAX_MEMORY_FILE_SIZE": float("inf")}
        try:
            self._parser = create_form_parser(headers, self._take_field, self._take_file, config=config)
        except FormParserError as error:
            raise Refusal(400, "the form has no boundary of use: let the program that sends it set one") from error
        self._parser.on_end = self._end

    def write(self, piece: bytes) -> None:
        try:
            self._parser.write(piece)
        except FormParserError as error:
            raise Refusal(400, "the form is damaged: send it again") from error

    def finish(self) -> bytes:
        """The image."""
        self._parser.finalize()
        if not self._ended:
            raise Refusal(400, "the form ends in its middle: send it again")
        if self._image is None:
            raise Refusal(400, f'the form has no file "{PART}": curl -F {PART}=@street.jpg sends one')
        return self._image

    def _end(self) -> None:
        self._ended = True

    def _take_field(self, part: Field) -> None:
        self._count()
        name, value = (part.field_name or b"").decode("utf-8", "replace"), part.value or b""
        if name in ACCEPTED_PARTS:
            self._take_image(value)
        elif len(value) > MAX_FIELD_BYTES:
            raise Refusal(400, f"a field of the form has more than {MAX_FIELD_BYTES} bytes")
        else:
            self.fields[name] = value.decode("utf-8", "replace")

    def _take_file(self, part: File) -> None:
        self._count()
        if (part.field_name or b"").decode("utf-8", "replace") in ACCEPTED_PARTS:
            part.file_object.seek(0)
            self._take_image(part.file_object.read())
        part.close()

    def _take_image(self, data: bytes) -> None:
        if self._image is not None:
            raise Refusal(400, f'the form has more than one "{PART}": send them one by one')
        self._image = data

    def _count(self) -> None:
        self._parts += 1
        if self._parts > MAX_PARTS:
            raise Refusal(400, f"the form has more than {MAX_PARTS} parts")
