"""Finished transcripts: find the file that was asked for, open its output without leaving the folder, stream it."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, BinaryIO
from urllib.parse import quote

from fastapi.responses import Response, StreamingResponse

from pipeline.errors import ConflictError, NotFoundError
from pipeline.ingest.beneath import opened_directory, parent, resolve
from pipeline.outputs import bases, output_name
from pipeline.provenance import open_regular
from pipeline.relay.drafts import in_format
from pipeline.tasks import display

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from pipeline.queue.store import TaskStore
    from pipeline.tasks import MediaFile

CHUNK = 2**16
MEDIA_TYPES = {
    "txt": "text/plain; charset=utf-8",
    "srt": "application/x-subrip; charset=utf-8",
    "vtt": "text/vtt; charset=utf-8",
    "tsv": "text/tab-separated-values; charset=utf-8",
    "json": "application/json",
}


def find(store: TaskStore, task_id: str, path: str) -> MediaFile:
    """Return the task's file that shows as `path`. Raises NotFoundError."""
    files: tuple[MediaFile, ...] = store.files(task_id).rows
    for file in files:
        if display(file.path) == path:
            return file
    raise NotFoundError(f"This task has no file {path[:200]!r}.")


def answer(folder: Path, file: MediaFile, format_: str) -> Response:
    """Answer with one output of a finished file; `folder` is what its path is relative to.

    A format that was not written is rendered from the JSON. An output stays whole once opened: outputs are replaced
    by renaming, never rewritten.
    """
    raw = os.fsencode(folder)
    path = recorded(file, format_)
    if path is not None:
        return StreamingResponse(
            _chunks(opened(raw, path)), media_type=MEDIA_TYPES[format_], headers=_headers(path)
        )
    source = recorded(file, "json")
    if source is None:
        raise NotFoundError(f"{display(file.path)} has no {format_}; there is {', '.join(file.outputs)}.")
    made = source.removesuffix(b"json") + format_.encode()
    return Response(
        _rendered(opened(raw, source), format_), media_type=MEDIA_TYPES[format_], headers=_headers(made)
    )


def recorded(file: MediaFile, format_: str) -> bytes | None:
    """Return the path of an output that the queue recorded for this file; None where this format is missing.

    Raises ConflictError where nothing was written yet.
    """
    shown = display(file.path)
    if not file.outputs:
        reason = f" ({file.error.message})" if file.error else ""
        raise ConflictError(f"{shown} is {file.state}: there is no transcript of it{reason}.")
    directory, slash, source = file.path.rpartition(b"/")
    for base in bases(source):
        path = directory + slash + output_name(base, format_)
        if display(path) in file.outputs:
            return path
    return None


def opened(folder: bytes, path: bytes) -> BinaryIO:
    """Open an output; links among its directories may lead elsewhere in the folder, it may be none itself.

    Raises NotFoundError where it was removed or replaced, BadPathError where a link leaves the folder.
    """
    inside, _ = resolve(folder, parent(path))
    try:
        with opened_directory(folder, inside) as directory:
            return os.fdopen(open_regular(path.rpartition(b"/")[2], directory), "rb")
    except OSError as error:
        raise NotFoundError(f"{display(path)} is not there any more, or cannot be read.") from error


def _headers(path: bytes) -> dict[str, str]:
    name = display(path.rpartition(b"/")[2])
    return {
        "Content-Disposition": f"inline; filename*=UTF-8''{quote(name, safe='')}",
        "X-Content-Type-Options": "nosniff",  # speech may spell HTML
    }


def _rendered(document: BinaryIO, format_: str) -> str:
    with document:
        try:
            return in_format(document.read(), format_)
        except ValueError as error:
            raise NotFoundError(
                f"The JSON cannot be made into {format_}: it was edited or damaged."
            ) from error


def _chunks(output: BinaryIO) -> Iterator[bytes]:
    with output:
        while chunk := output.read(CHUNK):
            yield chunk
