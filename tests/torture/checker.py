"""The judge: reads what the API acknowledged, the database afterwards and the tree; knows nothing of the program.

What it calls wrong:

    lost        a source without a whole transcript, or an acknowledged task that the database does not know
    duplicate   two transcripts of one source, two rows that stand for it, or two attempts that both succeeded
    torn        an output that is not the bytes that its JSON names, or a JSON that is not as it was sealed
    wrong       a transcript that is not that of the source's present bytes
    unexpected  an output or a success without a source, or a file that nobody should have written
    stuck       work that has not ended
    illegal     a state entered from one that does not lead to it
"""

from __future__ import annotations

import hashlib
import json
import os
from collections import defaultdict
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tests.torture.afterwards import Afterwards
from tests.torture.transcripts import is_of, is_sealed

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence
    from collections.abc import Set as AbstractSet

    from tests.torture.history import Acknowledged

KINDS = ("lost", "duplicate", "torn", "wrong", "unexpected", "stuck", "illegal")
HIDDEN = ".whisper"
TEMPORARY = ".wtmp"
STATUS = ("transcription-status.json", "transcription-status.txt")
OPEN = {"settling", "queued", "leased", "committing", "retry_wait"}
ENDED_TASK = {"completed", "partial", "failed", "cancelled"}

# Written down here once more, on purpose: a table that the program shares with its judge proves nothing.
_LET_GO = {"cancelled", "skipped", "superseded"}
SUCCESSORS = {
    None: {"settling", "queued", "failed", "skipped"},
    "settling": {"queued", "failed"} | _LET_GO,
    "queued": {"leased", "settling", "failed"} | _LET_GO,
    "leased": {"committing", "queued", "settling", "retry_wait", "failed", "quarantined"} | _LET_GO,
    "committing": {"done", "queued", "retry_wait", "failed"} | _LET_GO,
    "retry_wait": {"queued", "settling", "failed"} | _LET_GO,
    "done": {"superseded"},
    "failed": {"queued", "superseded"},
    "quarantined": {"queued", "superseded"},
    "skipped": {"queued", "superseded"},
    "cancelled": {"queued", "superseded"},
    "superseded": set[str](),
}


@dataclass(frozen=True, slots=True, order=True)
class Finding:
    """One promise broken."""

    kind: str
    what: str

    def __str__(self) -> str:
        return f"{self.kind}: {self.what}"


def judge(  # noqa: PLR0913 - what cannot be read from the three
    root: Path,
    database_url: str,
    acknowledged: Sequence[Acknowledged],
    *,
    unheard: Iterable[str] = (),
    gone: Iterable[str] = (),
    litter: bool = False,
) -> list[Finding]:
    """Return all that is wrong once the dust has settled.

    `unheard` are sources that rightly end without transcript, `gone` those that were removed, whose transcripts stay;
    `litter` allows for hidden temporary files, where the disk refused to remove them.
    """
    after = Afterwards.read(database_url)
    absent = {root / name for name in gone}
    sources = {os.fsdecode(path.relative_to(root)): path for path in _tree(root) if path.suffix == ".wav"}
    heard = {name: path for name, path in sources.items() if name not in set(unheard)}
    found = [
        *_of_files(root, heard, absent, litter=litter),
        *_of_rows(after, heard, sources, set(gone)),
        *_of_tasks(after, acknowledged),
        *_of_events(after.events),
    ]
    return sorted(set(found))


def _tree(root: Path) -> Iterator[Path]:
    for path in sorted(root.rglob("*")):
        if HIDDEN not in path.relative_to(root).parts and path.is_file():
            yield path


# ---- the output tree ----


def _of_files(
    root: Path, sources: Mapping[str, Path], absent: AbstractSet[Path], *, litter: bool
) -> Iterator[Finding]:
    """Judge every file that is no source: whole, ours, named by one JSON alone, and of what lies there now."""
    transcripts: defaultdict[Path, list[Path]] = defaultdict(list)
    claimed: set[Path] = set()
    others = [path for path in _tree(root) if path.suffix != ".wav" and not _is_aside(path, litter=litter)]
    for path in (each for each in others if each.suffix == ".json"):
        raw = path.read_bytes()
        if not is_sealed(raw):
            yield Finding("torn", f"{path.name} is not as it was sealed")
            continue
        provenance = json.loads(raw)["provenance"]
        transcripts[path.with_name(provenance["source"]["name"])].append(path)
        claimed |= {path, *(path.with_name(name) for name in provenance["outputs"])}
        yield from _of_outputs(path, provenance["outputs"])
    yield from (
        Finding("unexpected", f"{path.name} belongs to nothing") for path in others if path not in claimed
    )
    yield from _of_sources(sources, transcripts)
    for source in set(transcripts) - set(sources.values()) - absent:
        yield Finding("unexpected", f"a transcript of {source.name}, which is not there")


def _is_aside(path: Path, *, litter: bool) -> bool:
    """Tell whether nobody takes this file for a transcript: a report, or the hidden beginning of one."""
    if path.suffix != TEMPORARY:
        return path.name in STATUS
    return litter or path.name.startswith(tuple(f".{name}." for name in STATUS))


def _of_outputs(transcript: Path, outputs: Mapping[str, str]) -> Iterator[Finding]:
    for name, sha256 in outputs.items():
        path = transcript.with_name(name)
        if not path.is_file() or hashlib.sha256(path.read_bytes()).hexdigest() != sha256:
            yield Finding("torn", f"{name} is not what {transcript.name} says")


def _of_sources(sources: Mapping[str, Path], transcripts: Mapping[Path, list[Path]]) -> Iterator[Finding]:
    for name, source in sources.items():
        made = transcripts.get(source, [])
        if not made:
            yield Finding("lost", f"{name} has no transcript")
        elif len(made) > 1:
            yield Finding("duplicate", f"{name} has {len(made)} transcripts")
        yield from (
            Finding("wrong", f"{path.name} is not of {name}") for path in made if not is_of(path, source)
        )


# ---- the database ----


def _of_rows(
    after: Afterwards, heard: Mapping[str, Path], sources: Mapping[str, Path], gone: AbstractSet[str]
) -> Iterator[Finding]:
    standing: defaultdict[str, list[Mapping[str, Any]]] = defaultdict(list)
    for row in after.files:
        if row["state"] != "superseded":
            standing[row["path"]].append(row)
        if row["state"] in OPEN:
            yield Finding("stuck", f"{row['path']} is {row['state']}")
    for path, rows in standing.items():
        yield from _of_source_rows(path, rows, sources)
        if path not in sources and path not in gone and any(row["state"] == "done" for row in rows):
            yield Finding("unexpected", f"{path} is done and not there")
    for path in sorted(set(heard) - {path for path, rows in standing.items() if any(map(_succeeded, rows))}):
        yield Finding("lost", f"{path} is not done in the database")
    successes: defaultdict[int, int] = defaultdict(int)
    for attempt in after.attempts:
        successes[attempt["file_id"]] += attempt["outcome"] == "done"
    for file_id, count in successes.items():
        if count > 1:
            yield Finding("duplicate", f"file {file_id} was done {count} times")


def _of_source_rows(
    path: str, rows: Sequence[Mapping[str, Any]], sources: Mapping[str, Path]
) -> Iterator[Finding]:
    done = [row for row in rows if row["state"] == "done"]
    if len(done) > 1:
        yield Finding("duplicate", f"{len(done)} rows say that {path} is done")
    for row in done[-1:] if done[-1:] == rows[-1:] else ():  # an older one may stand beside a copy's
        if path in sources and row["sha256"] != hashlib.sha256(sources[path].read_bytes()).hexdigest():
            yield Finding("wrong", f"the database's hash of {path} is of other bytes")


def _succeeded(row: Mapping[str, Any]) -> bool:
    return row["state"] == "done" or (row["state"] == "skipped" and row["error_code"] is None)


def _of_tasks(after: Afterwards, acknowledged: Sequence[Acknowledged]) -> Iterator[Finding]:
    for task_id, state in after.tasks.items():
        if state not in ENDED_TASK:
            yield Finding("stuck", f"task {task_id} is {state}")
    for each in acknowledged:
        if each.task_id not in after.tasks:
            yield Finding("lost", f"task {each.task_id} was acknowledged")
    done = {row["path"] for row in after.files if row["state"] in ("done", "skipped", "superseded")}
    told = {path for each in acknowledged for path, state in each.files.items() if state == "done"}
    yield from (Finding("lost", f"{path} was told to be done") for path in sorted(told - done))


def _of_events(events: Iterable[tuple[int, str, str]]) -> Iterator[Finding]:
    """Follow each file's changes; a state repeated is a change of something else."""
    now: dict[int, str] = {}
    for file_id, state, path in events:
        before = now.get(file_id)
        if state != before and state not in SUCCESSORS[before]:
            yield Finding("illegal", f"{path}: {before} -> {state}")
        now[file_id] = state
