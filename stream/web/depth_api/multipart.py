"""multipart/form-data (RFC 7578), parsed while it arrives: one image and a few short fields, all in memory."""

from __future__ import annotations

from python_multipart.exceptions import FormParserError
from python_multipart.multipart import Field, File, create_form_parser

from stream.web.http_errors import RequestError

IMAGE_FIELD = "image"
"""Name of the form field that holds the image, as our messages and documents write it."""
ACCEPTED_FIELDS = (IMAGE_FIELD, "file", "picture")
"""Names that are accepted for it, because other programs use them."""
MAX_PARTS = 16
MAX_FIELD_BYTES = 1000
"""Size of a field that is not the image; these fields hold option names."""
FORM_OVERHEAD_BYTES = 16_384
"""Bytes that a form may have besides its image."""


class Form:
    """``write`` the whole body, then ``finish``. Every method raises RequestError 400 for an invalid form."""

    def __init__(self, content_type: str) -> None:
        self.fields: dict[str, str] = {}
        self._image: bytes | None = None
        self._parts, self._ended = 0, False
        # Without the limit the parser would write larger files to the disk.
        headers, config = {"Content-Type": content_type.encode("latin-1")}, {"MAX_MEMORY_FILE_SIZE": float("inf")}
        try:
            self._parser = create_form_parser(headers, self._take_field, self._take_file, config=config)
        except FormParserError as error:
            message = "the form has no usable boundary: let the program that sends it set one"
            raise RequestError(400, message) from error
        self._parser.on_end = self._end

    def write(self, chunk: bytes) -> None:
        """Parse the next bytes of the body."""
        try:
            self._parser.write(chunk)
        except FormParserError as error:
            raise RequestError(400, "the form is damaged: send it again") from error

    def finish(self) -> bytes:
        """Check that the form is complete, and return the image's bytes."""
        self._parser.finalize()
        if not self._ended:
            raise RequestError(400, "the form ends in its middle: send it again")
        if self._image is None:
            message = f'the form has no file "{IMAGE_FIELD}": curl -F {IMAGE_FIELD}=@street.jpg sends one'
            raise RequestError(400, message)
        return self._image

    def _end(self) -> None:
        self._ended = True

    def _take_field(self, part: Field) -> None:
        self._count_part()
        name, value = (part.field_name or b"").decode("utf-8", "replace"), part.value or b""
        if name in ACCEPTED_FIELDS:
            self._take_image(value)  # a part without a file name is a field, whatever it holds
        elif len(value) > MAX_FIELD_BYTES:
            raise RequestError(400, f"a field of the form has more than {MAX_FIELD_BYTES} bytes")
        else:
            self.fields[name] = value.decode("utf-8", "replace")

    def _take_file(self, part: File) -> None:
        self._count_part()
        if (part.field_name or b"").decode("utf-8", "replace") in ACCEPTED_FIELDS:
            part.file_object.seek(0)
            self._take_image(part.file_object.read())
        part.close()

    def _take_image(self, data: bytes) -> None:
        if self._image is not None:
            raise RequestError(400, f'the form has more than one "{IMAGE_FIELD}": send them one by one')
        self._image = data

    def _count_part(self) -> None:
        self._parts += 1
        if self._parts > MAX_PARTS:
            raise RequestError(400, f"the form has more than {MAX_PARTS} parts")
