"""multipart/form-data (RFC 7578) as it arrives: fields are kept, files handed on piece by piece."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Protocol
from urllib.parse import unquote_to_bytes

from python_multipart.exceptions import FormParserError
from python_multipart.multipart import MultipartParser, parse_options_header

from api.problems import TooLargeError
from pipeline.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from python_multipart.multipart import MultipartCallbacks

MAX_FIELD_BYTES = 2**17  # names and values together
FIELD_COST = 32  # a field takes this much, however short it is
_SPELT_OUT = re.compile(rb";\s*filename\*=utf-8'[^';]*'([^;\s]+)", re.IGNORECASE)


class Sink(Protocol):
    """Where files go: begun under the names that the client gave, written piece by piece, ended."""

    def begin(self, filename: bytes) -> None: ...  # noqa: D102 - its class says it

    def write(self, data: bytes) -> None: ...  # noqa: D102 - its class says it

    def end(self) -> None: ...  # noqa: D102 - its class says it


class Multipart:
    """One body, fed as it arrives. `fields` are the values so far, in order; a name may come twice.

    Raises UsageError for what is malformed and for files of another name than `files`; and what the sink raises.
    """

    def __init__(self, content_type: str, sink: Sink, *, files: str) -> None:
        kind, options = parse_options_header(content_type)
        if kind != b"multipart/form-data" or not options.get(b"boundary"):
            raise UsageError("send multipart/form-data with its boundary, as curl -F and browsers do")
        self.fields: list[tuple[str, str]] = []
        self._sink = sink
        self._files = files
        self._room = MAX_FIELD_BYTES
        self._ended = False
        self._header, self._value = bytearray(), bytearray()
        self._disposition = b""
        self._name = ""
        self._text: bytearray | None = None  # of the field that is being read; None in a file
        try:
            self._parser = MultipartParser(options[b"boundary"], self._callbacks())
        except FormParserError as error:
            raise UsageError(f"the multipart body cannot be read: {error}") from error

    def feed(self, chunk: bytes) -> None:
        """Take in the next piece of the body."""
        try:
            self._parser.write(chunk)
        except FormParserError as error:
            raise UsageError(f"the multipart body is malformed: {error}") from error

    def close(self) -> None:
        """Take note that no more comes."""
        if not self._ended:
            raise UsageError("the multipart body ends before its last boundary; send it whole")

    def _callbacks(self) -> MultipartCallbacks:
        return {
            "on_part_begin": self._part_begins,
            "on_header_field": lambda data, start, end: self._header.extend(data[start:end]),
            "on_header_value": lambda data, start, end: self._value.extend(data[start:end]),
            "on_header_end": self._header_ends,
            "on_headers_finished": self._content_begins,
            "on_part_data": self._content,
            "on_part_end": self._part_ends,
            "on_end": self._ends,
        }

    def _part_begins(self) -> None:
        self._disposition = b""

    def _header_ends(self) -> None:
        if self._header.lower() == b"content-disposition":
            self._disposition = bytes(self._value)
        self._header.clear()
        self._value.clear()

    def _content_begins(self) -> None:
        _, options = parse_options_header(self._disposition)
        if b"name" not in options:
            raise UsageError("a part of the multipart body has no name")
        self._name = _text(options[b"name"])
        filename = _filename(self._disposition, options)
        if filename is not None:
            self._begin_file(filename)
        else:
            self._text = bytearray()
            self._take(len(self._name) + FIELD_COST)

    def _begin_file(self, filename: bytes) -> None:
        if self._name != self._files:
            raise UsageError(f"{self._name!r} is not known here; files are sent as {self._files!r}")
        self._text = None
        self._sink.begin(filename)

    def _content(self, data: bytes, start: int, end: int) -> None:
        if self._text is None:
            self._sink.write(data[start:end])
        else:
            self._take(end - start)
            self._text += data[start:end]

    def _part_ends(self) -> None:
        if self._text is None:
            self._sink.end()
        else:
            self.fields.append((self._name, _text(bytes(self._text))))

    def _ends(self) -> None:
        self._ended = True

    def _take(self, size: int) -> None:
        self._room -= size
        if self._room < 0:
            raise TooLargeError(f"the form's fields are larger than {MAX_FIELD_BYTES} bytes")


def _filename(disposition: bytes, options: Mapping[bytes, bytes]) -> bytes | None:
    """Return the name that a part's file was given; None for a field.

    RFC 7578 wants it in UTF-8. .NET encodes it as in mail where it is not ASCII, and says it in `filename*` (RFC 5987).
    """
    spelt_out = _SPELT_OUT.search(disposition)
    return unquote_to_bytes(spelt_out[1]) if spelt_out else options.get(b"filename")


def _text(raw: bytes) -> str:
    try:
        return raw.decode()
    except UnicodeDecodeError as error:
        raise UsageError("a field of the multipart body is not UTF-8") from error
