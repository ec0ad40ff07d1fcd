"""The judge is judged: it has nothing to say of a good item, and sees each kind of damage done to it."""

from __future__ import annotations

import hashlib
import json
import os
import sqlite3
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from pipeline.options import Options
from pipeline.queue.database import open_database
from pipeline.queue.records import NewFile
from pipeline.queue.rows import lease_of
from pipeline.queue.store import TaskStore
from pipeline.relay.commit import Committer
from pipeline.relay.messages import Result, Segment, Window
from pipeline.tasks import TRANSITIONS, FileState, Fingerprint, Source
from tests.acceptance.harness import tone
from tests.torture import checker
from tests.torture.checker import Finding, judge
from tests.torture.history import Acknowledged
from tests.torture.transcripts import said_in


@dataclass(frozen=True)
class Item:
    """One source that was transcribed as it should be."""

    root: Path
    url: str
    task_id: str

    @property
    def source(self) -> Path:
        return self.root / "a" / "one.wav"

    @property
    def transcript(self) -> Path:
        return self.source.with_suffix(".json")

    def change(self, statement: str, *values: object) -> None:
        """Damage the database behind everybody's back."""
        with sqlite3.connect(self.url.removeprefix("sqlite:///")) as connection:
            connection.execute(statement, values)

    def findings(self, *more: Acknowledged) -> list[Finding]:
        told = Acknowledged(
            at=0.0, task_id=self.task_id, task_status="completed", dirname="a", files={"a/one.wav": "done"}
        )
        return judge(self.root, self.url, [told, *more])

    def kinds(self, *more: Acknowledged) -> set[str]:
        return {finding.kind for finding in self.findings(*more)}


@pytest.fixture
def item(tmp_path: Path) -> Iterator[Item]:
    root, url = tmp_path / "workdir", f"sqlite:///{tmp_path / 'queue.db'}"
    source = tone(root / "a" / "one.wav", 0.2)
    database = open_database(url)
    store, committer = TaskStore(database), Committer(root, None, "1")
    store.open_epoch()
    task_id = transcribe(store, committer, source, b"a/one.wav")
    database.close()
    return Item(root, url, task_id)


def transcribe(store: TaskStore, committer: Committer, source: Path, path: bytes) -> str:
    """Take a file through its states as the program does."""
    seen = source.stat()
    fingerprint = Fingerprint(seen.st_size, seen.st_mtime_ns)
    new = NewFile(path=path, fingerprint=fingerprint, state=FileState.QUEUED, options={})
    task, _ = store.open_task(b"a", Source.API, {}, files=[new])
    (leased,) = store.lease("stage", 1)
    result = result_of(source, fingerprint)
    prepared = committer.prepare(leased, result, Options())
    store.begin_commit(
        lease_of(leased), output_sha256=prepared.sha256, sha256=result.sha256, fingerprint=fingerprint,
        duration=0.2, language="en",
    )  # fmt: skip
    put = committer.put(prepared)
    store.finish_commit(lease_of(leased), outputs=put.outputs, warnings=())
    store.end_task(task.id)
    return task.id


def result_of(source: Path, fingerprint: Fingerprint) -> Result:
    segment = Segment(start=0.0, end=0.2, text=f" {said_in(source)}", tokens=(1,))
    return Result(
        epoch=1, token=1, file_id=1, language="en", duration=0.2, decoded=0.2,
        windows=(Window(start=0, end=3200, next_start=3200, segments=(segment,)),),
        size=fingerprint.size, mtime_ns=fingerprint.mtime_ns,
        sha256=hashlib.sha256(source.read_bytes()).hexdigest(), model="fake", model_sha256="0" * 64,
    )  # fmt: skip


def test_nothing_is_found_where_nothing_is_wrong(item: Item) -> None:
    """A judge that sees ghosts is no use either."""
    assert item.findings() == []


def sealed_anew(item: Item, **changes: object) -> None:
    """Change a transcript as a careful forger would: its seal fits."""
    document = json.loads(item.transcript.read_text())
    document |= changes
    document["provenance"]["json_sha256"] = "0" * 64
    raw = json.dumps(document, separators=(",", ":"), ensure_ascii=False)
    digest = hashlib.sha256(raw.encode()).hexdigest()
    item.transcript.write_text(raw.replace("0" * 64 + '"}}', digest + '"}}'))


def second_transcript(item: Item) -> None:
    for each in item.source.parent.glob("one.*"):
        if each.suffix != ".wav":
            each.with_name(f"one.wav{each.suffix}").write_bytes(each.read_bytes())


def second_row(item: Item) -> None:
    columns = "task_id, path, directory, state, options, priority, epoch, token, attempts, crashes, position"
    rest = "outputs, warnings, created_at, updated_at, sha256"
    item.change(
        f"INSERT INTO file ({columns}, {rest}, size, mtime_ns, text_key) "  # noqa: S608 - our own columns
        f"SELECT {columns}, {rest}, size, mtime_ns, 'other' FROM file"
    )


DAMAGE: dict[str, tuple[str, Callable[[Item], object]]] = {
    "a transcript removed": ("lost", lambda item: item.transcript.unlink()),
    "a row forgotten": ("lost", lambda item: item.change("UPDATE file SET state = 'failed'")),
    "an output of another version": ("torn", lambda item: item.source.with_suffix(".txt").write_text("old")),
    "an output missing": ("torn", lambda item: item.source.with_suffix(".srt").unlink()),
    "a transcript cut short": ("torn", lambda item: os.truncate(item.transcript, 900)),
    "a second transcript": ("duplicate", second_transcript),
    "a second row": ("duplicate", second_row),
    "two successes": ("duplicate", lambda item: item.change(
        "INSERT INTO attempt SELECT file_id, token + 1, epoch, worker, started_at, ended_at, outcome FROM attempt"
    )),
    "a source rewritten afterwards": ("wrong", lambda item: tone(item.source, 0.2, 880.0)),
    "words that nobody said": ("wrong", lambda item: sealed_anew(item, text="kilo kilo kilo kilo")),
    "a hash of other bytes": ("wrong", lambda item: item.change("UPDATE file SET sha256 = 'f00'")),
    "a temporary file left": ("unexpected", lambda item: (item.root / "a" / ".one.txt.wtmp").write_text("")),
    "a source that is gone": ("unexpected", lambda item: item.source.unlink()),
    "a file at work for ever": ("stuck", lambda item: item.change("UPDATE file SET state = 'leased'")),
    "a task that does not end": ("stuck", lambda item: item.change("UPDATE task SET state = 'running'")),
    "done without a commit": ("illegal", lambda item: item.change("DELETE FROM event WHERE state = 'committing'")),
    "queued after it was done": ("illegal", lambda item: item.change(
        "INSERT INTO event (at, task_id, file_id, kind, state, detail) "
        "SELECT at, task_id, file_id, kind, 'queued', detail FROM event WHERE state = 'done' AND kind = 'file'"
    )),
}  # fmt: skip


@pytest.mark.parametrize("what", DAMAGE)
def test_each_kind_of_damage_is_seen(item: Item, what: str) -> None:
    """One kind at least for each thing that can go wrong, under its right name."""
    kind, damage = DAMAGE[what]
    damage(item)
    assert kind in item.kinds()


def test_an_acknowledged_task_that_the_database_forgot_is_lost(item: Item) -> None:
    """Whatever became of its files."""
    told = Acknowledged(at=1.0, task_id="f" * 32, task_status="pending", dirname="b")
    assert item.findings(told) == [Finding("lost", f"task {told.task_id} was acknowledged")]


def test_what_the_api_called_done_stays_done(item: Item) -> None:
    """An answer is a promise."""
    told = Acknowledged(
        at=1.0, task_id=item.task_id, task_status="completed", dirname="a", files={"a/two.wav": "done"}
    )
    assert item.findings(told) == [Finding("lost", "a/two.wav was told to be done")]


def test_every_kind_has_a_damage_that_shows_it() -> None:
    """No kind is there by name alone."""
    assert {kind for kind, _ in DAMAGE.values()} == set(checker.KINDS)


def test_the_judge_and_the_program_agree_on_what_may_follow_what() -> None:
    """They have a table each; a change of one asks for a change of the other."""
    ours = {state: {str(after) for after in successors} for state, successors in TRANSITIONS.items()}
    assert {state: after for state, after in checker.SUCCESSORS.items() if state} == ours
