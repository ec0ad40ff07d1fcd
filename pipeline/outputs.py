"""Where a recording's outputs lie and how they are named; finds the JSON of one that is done. Writes nothing.

`talk.mp3` has `talk.txt`; where that name is taken, `talk.mp3.txt`, then `talk.mp3.2.txt` and so on, for each output
by itself.
"""

from __future__ import annotations

import errno
import hashlib
import itertools
import os
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from pipeline.descent import descended
from pipeline.options import FORMATS
from pipeline.provenance import Provenance, is_sealed, open_regular, read_provenance
from pipeline.tasks import Fingerprint, display

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping
    from pathlib import Path

NAME_MAX = 255  # bytes in a file's name on every usual file system
STATUS_JSON = b"transcription-status.json"
STATUS_TXT = b"transcription-status.txt"
RESERVED = frozenset({STATUS_JSON, STATUS_TXT})
TEMPORARY_SUFFIX = b".wtmp"
LAST_NUMBER = 999
NOT_OURS = frozenset(  # a name that is free, a folder, a link, a socket, a file that others locked
    {errno.ENOENT, errno.ENOTDIR, errno.EISDIR, errno.ELOOP, errno.ENXIO, errno.EACCES, errno.EPERM}
)


@dataclass(frozen=True, slots=True)
class Written:
    """A transcript that lies there: its JSON, and what that says of itself."""

    base: bytes  # the workdir or output_dir
    folder: bytes  # below it
    name: bytes  # the JSON's
    provenance: Provenance
    outputs: tuple[str, ...]  # display paths, relative to the workdir or to output_dir; the JSON last

    @property
    def json(self) -> bytes:
        """The JSON's path, for messages."""
        return b"/".join((self.base, self.folder, self.name))

    def read(self) -> bytes:
        """Return the JSON. Raises OSError where it is gone, or a link lies in its way."""
        with (
            opened_directory(self.base, self.folder) as directory,
            os.fdopen(open_regular(self.name, directory), "rb") as file,
        ):
            return file.read()

    @property
    def language(self) -> str | None:
        """The language spoken, as asked or detected."""
        return self.provenance.language

    @property
    def options(self) -> Mapping[str, Any]:
        """The options it was made with."""
        return self.provenance.options

    @property
    def fingerprint(self) -> Fingerprint:
        """The source's, when it was decoded."""
        return Fingerprint(self.provenance.source.size, self.provenance.source.mtime_ns)

    @property
    def sha256(self) -> str:
        """The source's."""
        return self.provenance.source.sha256

    @property
    def duration(self) -> float | None:
        """Seconds of audio, as declared, else as decoded."""
        declared = self.provenance.duration.declared
        return self.provenance.duration.decoded if declared is None else declared

    @property
    def warnings(self) -> tuple[str, ...]:
        """What was odd."""
        return self.provenance.warnings

    @property
    def intact(self) -> bool:
        """Whether the JSON is as we wrote it (reads all of it)."""
        try:
            return is_sealed(self.read())
        except OSError:
            return False


@contextmanager
def opened_directory(base: bytes, relative: bytes) -> Iterator[int]:
    """Open a directory below `base` part by part; a link is followed only where it stays inside.

    Raises OSError; ELOOP where a link leads out of `base` or was put there just now.
    """
    with descended(os.path.realpath(base), real_parts(base, relative)) as directory:
        yield directory


def real_parts(base: bytes, relative: bytes) -> list[bytes]:
    """Return the parts of the path that `relative` really is below `base`. Raises OSError where it is not."""
    root = os.path.realpath(base)
    inside = os.path.relpath(os.path.realpath(root + b"/" + relative), root)
    parts = [] if inside == b"." else inside.split(b"/")
    if b".." in parts:
        raise OSError(errno.ELOOP, "a link leads out of the directory", relative)
    return parts


def written_for(root: Path, output_dir: Path | None, path: bytes) -> Written | None:
    """Return the transcript of exactly this source (path relative to `root`), wherever naming put its JSON.

    Costs a few failed opens where there is none. Raises OSError where the file system cannot say: a mount that has
    the hiccups must not look like work that was never done.
    """
    base, (folder, source) = os.fsencode(output_dir or root), split(path)
    try:
        with opened_directory(base, folder) as directory:
            found = records(source, directory)
    except OSError as error:
        if error.errno in NOT_OURS:
            return None
        raise
    if not found:
        return None
    name, provenance = found[-1]
    return Written(base, folder, name, provenance, output_paths(path, name, provenance))


def is_current(written: Written, fingerprint: Fingerprint, hash_source: Callable[[], str]) -> bool:
    """Tell whether a transcript is of this version of its source; hashes it only if size alone is equal."""
    if written.fingerprint == fingerprint:
        return True
    return written.fingerprint.size == fingerprint.size and written.sha256 == hash_source()


def records(source: bytes, directory: int) -> list[tuple[bytes, Provenance]]:
    """Return name and provenance of every JSON of this source in a directory, the newest last.

    There are several only where somebody edited one: it was kept, and its successor took the next name. Raises
    OSError where the file system cannot say what a file is.
    """
    found = []
    for number, base in enumerate(bases(source)):
        name = output_name(base, "json")
        try:
            provenance = None if name in RESERVED else read_provenance(name, directory)
        except FileNotFoundError:
            if number < 2:  # noqa: PLR2004 - stem and full name; numbers follow without a gap
                continue
            break
        except OSError as error:
            if error.errno in NOT_OURS:
                continue
            raise
        if provenance and provenance.source.name == display(source):
            found.append((name, provenance))
    return found


def output_paths(path: bytes, json_name: bytes, provenance: Provenance) -> tuple[str, ...]:
    """Return the display paths of all outputs that a source's JSON names, the JSON last."""
    folder, _ = split(path)
    within = "" if folder == b"." else f"{display(folder)}/"
    return tuple(within + name for name in (*provenance.outputs, display(json_name)))


def split(path: bytes) -> tuple[bytes, bytes]:
    """Return a relative path's directory (b"." for none) and name."""
    folder, _, name = path.rpartition(b"/")
    return folder or b".", name


def bases(source: bytes) -> Iterator[bytes]:
    """Yield what an output's name may begin with, best first: stem, full name, full name and a number."""
    stem = os.path.splitext(source)[0]  # noqa: PTH122 - bytes
    if stem != source:
        yield stem
    yield source
    for number in range(2, LAST_NUMBER + 1):
        yield b"%s.%d" % (source, number)


def output_name(base: bytes, format_: str) -> bytes:
    """Return the name of an output, shortened where the file system would refuse it."""
    return _fit(base, b"." + format_.encode())


def temporary_name(name: bytes, token: str) -> bytes:
    """Return the hidden name under which an output is written before it is put in place."""
    return _fit(b"." + name, b".%s%s" % (token.encode(), TEMPORARY_SUFFIX))


def recorded_names(source: bytes, provenance: Provenance) -> dict[bytes, str]:
    """Return the outputs that a source's JSON names, as bytes, with their SHA-256.

    Only names that we would give: what a file says must not lead us to others.
    """
    wanted = dict(provenance.outputs)
    found = {}
    for base, format_ in itertools.product(bases(source), FORMATS):
        if not wanted:
            break
        name = output_name(base, format_)
        if (sha256 := wanted.pop(display(name), None)) is not None:
            found[name] = sha256
    return found


def sha256_of(name: bytes, directory: int) -> str | None:
    """Return the SHA-256 of a file of `directory`; None if there is none. Raises OSError for what is no file."""
    try:
        fd = open_regular(name, directory)
    except FileNotFoundError:
        return None
    with os.fdopen(fd, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _fit(base: bytes, suffix: bytes) -> bytes:
    """Return base + suffix within NAME_MAX: a cut base ends with a hash of the whole one."""
    if len(base) + len(suffix) <= NAME_MAX:
        return base + suffix
    mark = b"~" + hashlib.sha256(base).hexdigest()[:8].encode()
    keep = NAME_MAX - len(suffix) - len(mark)
    while keep and base[keep] & 0xC0 == 0x80:  # not amid a UTF-8 character  # noqa: PLR2004
        keep -= 1
    return base[:keep] + mark + suffix
