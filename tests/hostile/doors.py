"""Every door by which the product opens or writes files below a workdir, one after the other, for some seconds.

    python -m tests.hostile.doors WORKDIR SECONDS

Run under strace beside a swapper: each time a door may refuse, but what it opens lies below the workdir. Tells how
often each door did its work and how often it refused.
"""

from __future__ import annotations

import json
import os
import sys
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path

from api.transcripts import opened as opened_transcript
from pipeline.errors import PipelineError
from pipeline.ingest import beneath
from pipeline.ingest.evidence import Evidence
from pipeline.ingest.folder_options import FolderOptions
from pipeline.ingest.scan import scan
from pipeline.ingest.writers import has_writer, ignore_lease_signals
from pipeline.options import Options
from pipeline.relay.commit import Committer
from pipeline.relay.messages import Result, Segment, Window
from pipeline.stage.decode.source import Source
from pipeline.tasks import FileState, Fingerprint, MediaFile
from tests.hostile.swapper import SOURCES

DIGEST = "0" * 64


class Doors:
    """The product's own functions, each by a name."""

    def __init__(self, root: Path) -> None:
        self._root, self._raw = root, os.fsencode(root)
        self._committer = Committer(root, None, "1")
        self._evidence = Evidence(root, None)

    def all(self) -> dict[str, Callable[[bytes], object]]:
        return {
            "open a source": self._source,
            "hash a source": self._evidence.sha256,
            "scan": lambda path: [*scan(self._raw, beneath.parent(path))],
            "resolve": lambda path: beneath.resolve(self._raw, path),
            "ask for writers": lambda path: has_writer(self._raw, path),
            "look": lambda path: beneath.look(self._raw, path),
            "whisper.toml": lambda path: FolderOptions(self._raw).of(beneath.parent(path)),
            "find a transcript": lambda path: self._evidence.written(path, Fingerprint(1, 1)),
            "commit": self._commit,
            "render": lambda path: self._committer.render(path, Options(output_format=("srt",))),
            "copy": lambda path: self._committer.copy(media(path), b"talks/copy.wav", Fingerprint(1, 1)),
            "recover": lambda path: self._committer.is_there(media(path)),
            "can write": self._committer.can_put,
            "read a transcript": self._transcript,
            "erase": self._committer.erase,
        }

    def _source(self, path: bytes) -> None:
        with Source(self._raw, path) as source:
            source.sha256(lambda: False)

    def _commit(self, path: bytes) -> None:
        self._committer.put(self._committer.prepare(media(path), heard(), Options()))

    def _transcript(self, path: bytes) -> None:
        with opened_transcript(self._raw, path.removesuffix(b"wav") + b"json") as file:
            file.read()


def media(path: bytes) -> MediaFile:
    """Return the row of a source."""
    return MediaFile(
        id=1,
        task_id="t",
        path=path,
        state=FileState.COMMITTING,
        fingerprint=Fingerprint(1, 1),
        options={},
        text_key="",
        sha256=DIGEST,
        output_sha256=DIGEST,
    )


def heard() -> Result:
    """Return what a stage made of it."""
    segment = Segment(start=0.0, end=1.0, text=" said", tokens=(1,))
    return Result(
        epoch=1,
        token=1,
        file_id=1,
        windows=(Window(start=0, end=1, next_start=1, segments=(segment,)),),
        language="en",
        duration=1.0,
        decoded=1.0,
        size=1,
        mtime_ns=1,
        sha256=DIGEST,
        model="base",
        model_sha256=DIGEST,
        warnings=(),
        timings={},
    )


def pass_through(root: Path, seconds: float) -> dict[str, list[int]]:
    """Go through all doors with all sources until time is up; return how often each opened and refused."""
    ignore_lease_signals()
    doors, done, refused = Doors(root).all(), Counter[str](), Counter[str]()
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        for name, door in doors.items():
            for path in SOURCES:
                try:
                    door(path)
                    done[name] += 1
                except (PipelineError, OSError):
                    refused[name] += 1
    return {name: [done[name], refused[name]] for name in doors}


if __name__ == "__main__":
    print(json.dumps(pass_through(Path(sys.argv[1]), float(sys.argv[2]))))  # noqa: T201 - its answer
