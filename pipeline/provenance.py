"""What a transcript's JSON says of itself: which recording, model and options made it, and whether it was edited.

`provenance` is the last key of the document and the document's own hash the last key of that, so that a few
kilobytes at its end tell whose it is, and a file that was cut short tells nothing.
"""

from __future__ import annotations

import errno
import hashlib
import json
import os
import re
import stat
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import msgspec

from pipeline.formats import Segments, rfc3339, transcript

if TYPE_CHECKING:
    from collections.abc import Iterator

    from pipeline.tasks import Fingerprint

PROGRAM = "whisper-transcription"
_UNSEALED = "0" * 64
_CLOSING = len('"}}')  # what follows the seal
_NEAR, _FAR = 64 * 1024, 1024 * 1024  # how much of a file's end is read before it counts as foreign
_KEY = re.compile(rb'"provenance"\s*:\s*(?=\{)')
_OPEN = (
    os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
)  # a FIFO must not block, a link not lead away


class SourceRecord(msgspec.Struct, frozen=True, kw_only=True):
    """The recording, as it was when it was decoded."""

    name: str  # as `display` shows it
    size: int
    mtime_ns: int
    mtime: str
    sha256: str


class ModelRecord(msgspec.Struct, frozen=True, kw_only=True):
    """The weights."""

    name: str
    sha256: str


class Duration(msgspec.Struct, frozen=True, kw_only=True):
    """Seconds of audio: what the container claims, and what could be decoded."""

    declared: float | None
    decoded: float


class Provenance(msgspec.Struct, frozen=True, kw_only=True):
    """The `provenance` of a transcript's JSON."""

    program: str = PROGRAM
    version: str
    source: SourceRecord
    model: ModelRecord
    options: dict[str, Any]  # by name: those that change the text, and those of the rendering
    language: str | None  # spoken: as asked, else as detected
    duration: Duration
    warnings: tuple[str, ...] = ()
    names_taken: tuple[str, ...] = ()  # those of the warnings that tell why an output has another name
    outputs: dict[str, str] = {}  # the other files made from this JSON: name -> SHA-256
    json_sha256: str = _UNSEALED  # of this file with these 64 digits as zeros


class Document(msgspec.Struct, frozen=True, kw_only=True):
    """A transcript's JSON: whisper's result, and where it comes from."""

    text: str
    segments: Sequence[Mapping[str, Any]]  # id, seek, start, end, text, tokens, …; whisper/transcribe.py
    language: str | None
    provenance: Provenance


def source_record(name: str, fingerprint: Fingerprint, sha256: str) -> SourceRecord:
    """Describe a recording."""
    return SourceRecord(
        name=name,
        size=fingerprint.size,
        mtime_ns=fingerprint.mtime_ns,
        mtime=rfc3339(fingerprint.mtime_ns / 1e9),
        sha256=sha256,
    )


def json_document(segments: Segments, provenance: Provenance) -> bytes:
    """Return whisper's result (text, segments, language) and its provenance as sealed JSON."""
    unsealed = msgspec.structs.replace(provenance, json_sha256=_UNSEALED)
    document = Document(
        text=transcript(segments), segments=segments, language=provenance.language, provenance=unsealed
    )
    raw = msgspec.json.encode(document)
    return _with_seal(raw, hashlib.sha256(raw).hexdigest())


def is_sealed(raw: bytes) -> bool:
    """Tell whether the document is as we wrote it."""
    unsealed = _with_seal(raw, _UNSEALED)
    return len(unsealed) == len(raw) and _with_seal(raw, hashlib.sha256(unsealed).hexdigest()) == raw


def _with_seal(raw: bytes, seal: str) -> bytes:
    return raw[: -len(seal) - _CLOSING] + seal.encode() + raw[-_CLOSING:]


def open_regular(name: bytes, directory: int) -> int:
    """Open a file of `directory` for reading; raises OSError for all but a regular file."""
    fd = os.open(name, _OPEN, dir_fd=directory)
    if stat.S_ISREG(os.fstat(fd).st_mode):
        return fd
    os.close(fd)
    raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR), name)


def read_provenance(name: bytes, directory: int) -> Provenance | None:
    """Return the provenance in a JSON file of `directory`; None if it is not ours.

    Reads little of a large file. Raises OSError when there is no such regular file that can be read.
    """
    fd = open_regular(name, directory)
    try:
        found = (parse_provenance(piece) for piece in _pieces(fd))
        return next((each for each in found if each), None)
    finally:
        os.close(fd)


def parse_provenance(raw: bytes) -> Provenance | None:
    """Return the provenance found in the end of a document (or in all of it), if it is one of ours."""
    start = max((match.end() for match in _KEY.finditer(raw)), default=None)
    if start is None:
        return None
    try:
        value, _ = json.JSONDecoder().raw_decode(raw[start:].decode("utf-8", "replace"))
        provenance = msgspec.convert(value, Provenance)
    except (ValueError, RecursionError, msgspec.ValidationError):
        return None
    return provenance if provenance.program == PROGRAM else None


def _pieces(fd: int) -> Iterator[bytes]:
    """Yield the file's end, more of its end, then its beginning (where an editor may have sorted the keys)."""
    size = os.fstat(fd).st_size
    for length in (_NEAR, _FAR):
        yield os.pread(fd, length, max(0, size - length))
        if size <= length:
            return
    yield os.pread(fd, _NEAR, 0)
