"""Transcripts become files: every output whole or not at all, the JSON last, nothing of anybody else's touched.

    prepare  names and bytes are decided; nothing is written
    put      temporary files, flushed | txt, srt, vtt, tsv renamed | directory flushed | JSON renamed | flushed

A crash before the first rename leaves everything as it was. From then on all temporary files are on the disk, so
`is_there` completes what was begun.
"""

from __future__ import annotations

import errno
import logging
import os
import threading
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

from pipeline.errors import NotFoundError, OutputsUnwritableError
from pipeline.outputs import (
    bases,
    output_name,
    output_paths,
    recorded_names,
    records,
    sha256_of,
    split,
    temporary_name,
    written_for,
)
from pipeline.provenance import read_provenance
from pipeline.relay import atomic, drafts
from pipeline.relay.drafts import Prepared
from pipeline.relay.naming import Claims, Placed, choose_names, format_of
from pipeline.tasks import display

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    from pipeline.options import Options
    from pipeline.relay.drafts import Draft
    from pipeline.relay.messages import Result
    from pipeline.tasks import Fingerprint, MediaFile

__all__ = ["Committer", "Prepared", "Put"]

logger = logging.getLogger(__name__)

SWEPT = 1000  # directories that are remembered as swept: those that are worked on follow each other
_WORDS = {
    errno.ENOSPC: "the disk is full; free some space",
    errno.EDQUOT: "the disk quota is used up; free some space",
    errno.EROFS: "the file system is read-only; mount it writable, or give an --output_dir",
    errno.EACCES: "permission denied; give the service's user write access, or an --output_dir",
    errno.EPERM: "not permitted; give the service's user write access, or an --output_dir",
    errno.ENOENT: "the directory is gone",
    errno.EEXIST: "a file of that name appeared meanwhile; it was kept",
    errno.ELOOP: "a link leads out of the directory",
}


@dataclass(frozen=True, slots=True)
class Put:
    """What lies there now: display paths, the JSON last, and what was odd."""

    outputs: tuple[str, ...]
    warnings: tuple[str, ...]


class Committer:
    """The one writer of transcripts below a workdir, or below an output directory of the same shape."""

    def __init__(self, root: Path, output_dir: Path | None, version: str) -> None:
        self.root = root
        self.output_dir = output_dir
        self._version = version
        self._lock = threading.Lock()
        self._placed: dict[bytes, set[Placed]] = {}  # by source: in place, but no JSON there names it yet
        self._swept: set[bytes] = set()

    def prepare(self, file: MediaFile, result: Result, options: Options) -> Prepared:
        """Decide names and contents of a file's outputs; touches nothing."""
        return self._prepare(drafts.from_result(file.path, result, options, self._version))

    def put(self, prepared: Prepared) -> Put:
        """Write the outputs; may be called again after OutputsUnwritableError."""
        folder, _ = split(prepared.path)
        with self._lock, self._directory(folder, create=True) as directory:
            try:
                self._write_temporaries(directory, prepared)
                self._publish(directory, prepared.path, prepared.hashes)
            finally:
                atomic.remove(
                    directory, [temporary_name(name, _token(prepared.sha256)) for name, _ in prepared.files]
                )
        return Put(prepared.outputs, prepared.warnings)

    def can_put(self, path: bytes) -> bool:
        """Tell whether the place of a source's outputs is there and writable."""
        folder, _ = split(path)
        try:
            with self._directory(folder, create=True) as directory:
                return os.access(b".", os.W_OK | os.X_OK, dir_fd=directory, effective_ids=True)
        except OutputsUnwritableError:
            return False

    def is_there(self, file: MediaFile) -> Put | None:
        """Return the outputs of a file whose commit was begun before a crash, completing it if it can be; else None."""
        if not file.output_sha256:
            return None
        folder, source = split(file.path)
        try:
            with self._lock, self._directory(folder) as directory:
                self._complete(directory, file.path, file.output_sha256)
                for name, provenance in records(source, directory):
                    if sha256_of(name, directory) == file.output_sha256:
                        return Put(output_paths(file.path, name, provenance), provenance.warnings)
        except OutputsUnwritableError:
            return None
        return None

    def copy(self, source: MediaFile, path: bytes, fingerprint: Fingerprint) -> Put:
        """Give a recording found at a new path the outputs that it has at `source`. Raises NotFoundError."""
        draft = self._written(source.path)
        if draft.provenance.source.sha256 != source.sha256:
            raise NotFoundError(f"{display(source.path)}: its transcript is of another version of it")
        return self.put(self._prepare(drafts.moved(draft, path, fingerprint)))

    def render(self, path: bytes, options: Options) -> Put:
        """Make formats and line widths anew from the JSON. Raises NotFoundError."""
        return self.put(self._prepare(drafts.laid_out(self._written(path), options)))

    def erase(self, path: bytes) -> list[bytes]:
        """Remove a source's outputs, those that nobody edited; return their paths."""
        folder, source = split(path)
        try:
            with self._lock, self._directory(folder) as directory:
                names = Claims(source, directory).own_files()
                for name in names:
                    os.unlink(name, dir_fd=directory)
                os.fsync(directory)
        except OutputsUnwritableError as error:
            if error.errno == errno.ENOENT:
                return []
            raise
        return [name if folder == b"." else folder + b"/" + name for name in names]

    # ---- inside ----

    def _written(self, path: bytes) -> Draft:
        written = written_for(self.root, self.output_dir, path)
        if written is None:
            raise NotFoundError(f"{display(path)} has no transcript")
        return drafts.from_written(path, written)

    def _prepare(self, draft: Draft) -> Prepared:
        """Name and render a draft: in the formats it asks for, and in those that lie there already.

        So a format that is not asked for any more neither grows stale nor disappears.
        """
        folder, source = split(draft.path)
        try:
            with self._directory(folder) as directory:
                return _named(draft, Claims(source, directory, self._placed.get(draft.path, ())))
        except OutputsUnwritableError as error:
            if error.errno != errno.ENOENT:
                raise
        return _named(draft, Claims(source, None))  # the directory comes with the first output

    def _write_temporaries(self, directory: int, prepared: Prepared) -> None:
        like = atomic.stat_source(self.root, prepared.path)
        token = _token(prepared.sha256)
        for name, content in prepared.files:
            temporary = atomic.write_temporary(directory, name, token, content, like)
        folder, _ = split(prepared.path)
        if folder not in self._swept:
            atomic.clean_temporaries(directory, now=os.stat(temporary, dir_fd=directory).st_mtime)
            if len(self._swept) >= SWEPT:
                self._swept.clear()
            self._swept.add(folder)

    def _publish(self, directory: int, path: bytes, hashes: Sequence[Placed]) -> None:
        """Give the temporary files their names, the JSON's after the others are on the disk."""
        _, source = split(path)
        placed = self._placed.setdefault(path, set())
        claims = Claims(source, directory, placed)
        token = _token(hashes[-1][1])
        for each in hashes:
            claims.held(each)  # rather refuse all than put some in place
        for each in hashes[:-1]:
            _give_name(directory, claims, each, token)
            placed.add(each)
        os.fsync(directory)
        _give_name(directory, claims, hashes[-1], token)
        os.fsync(directory)
        del self._placed[path]

    def _complete(self, directory: int, path: bytes, sha256: str) -> None:
        """Go on with a commit that a crash cut off, if it had written all its temporary files."""
        _, source = split(path)
        mark = temporary_name(b"", _token(sha256))[1:]
        left = [name for name in map(os.fsencode, os.listdir(directory)) if name.endswith(mark)]
        try:
            for base in bases(source) if left else ():
                name = output_name(base, "json")
                temporary = temporary_name(name, _token(sha256))
                whole = temporary in left and sha256_of(temporary, directory) == sha256
                if whole and (made := read_provenance(temporary, directory)):
                    self._publish(directory, path, [*recorded_names(source, made).items(), (name, sha256)])
        except (FileExistsError, FileNotFoundError) as error:
            logger.warning("%s: its outputs were not completed: %s", display(path), error)
        finally:
            atomic.remove(directory, left)

    @contextmanager
    def _directory(self, folder: bytes, *, create: bool = False) -> Iterator[int]:
        """Open the directory of outputs; an OSError within says in words what is wrong there."""
        base = self.output_dir or self.root
        like = self.root if create and self.output_dir else None
        try:
            with atomic.opened_directory(base, folder, like=like) as directory:
                yield directory
        except OutputsUnwritableError:
            raise
        except OSError as error:
            reason = _WORDS.get(error.errno or 0, error.strerror or "input/output error")
            where = f"{base}/{display(folder)}" if self.output_dir else display(folder)
            raise OutputsUnwritableError(f"{where}: {reason}", error.errno) from error


def _named(draft: Draft, claims: Claims) -> Prepared:
    there = map(format_of, claims.own_files())
    return drafts.prepare(draft, *choose_names(claims, {*draft.layout.output_format, *there, "json"}))


def _give_name(directory: int, claims: Claims, placed: Placed, token: str) -> None:
    """Put one temporary file in place, over nothing but our own."""
    name, sha256 = placed
    held = claims.held(placed)
    if held is None:
        atomic.put_new(directory, temporary_name(name, token), name)
    elif held != sha256:
        atomic.put_over(directory, temporary_name(name, token), name)


def _token(sha256: str) -> str:
    """Return what marks a commit's temporary files, so that recovery knows them."""
    return sha256[:16]
