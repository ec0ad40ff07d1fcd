"""Lane: a core that migrates a queue of many rows dies at one of its calls; the queue is old or new, never between.

It goes from the first schema there was over every migration there is to one more, which writes each row anew. What the
old and the new queue hold is known from an undisturbed run.
"""

from __future__ import annotations

import random
import shutil
import sqlite3
import sys
import time
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from alembic import command
from alembic.config import Config
from alembic.script import ScriptDirectory
from sqlalchemy import create_engine, text

from pipeline.queue import database, migrate
from tests.torture.checker import Finding
from tests.torture.faults import CALLS, Fault
from tests.torture.ledger import Trial

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from tests.torture.arena import Arena
    from tests.torture.rig import Rig

OLDEST = "0001"
ROWS = 100_000
EACH = 90  # of one kind of call, at most, and the first and the last
PATIENCE_S = 60.0
WORD = "migrate"  # tells the zygote that this is no service

LAST = '''
"""The last of all: every row of the biggest table is written anew."""

import sqlalchemy as sa
from alembic import op

revision = "torture"
down_revision = "{head}"


def upgrade() -> None:
    op.add_column("file", sa.Column("torture", sa.Integer))
    op.execute("UPDATE file SET torture = id")
    op.create_index("ix_file_torture", "file", ["torture"])
'''
TASK = """
INSERT INTO task (id, dirname, state, source, options, priority, callback_url, created_at, updated_at)
VALUES ('one', 'a', 'completed', 'api', '{}', 0, 'https://example.org/told', 1.0, 1.0)
"""
FILES = """
INSERT INTO file (
    task_id, path, directory, state, size, mtime_ns, options, text_key, priority, epoch, token, attempts, crashes,
    position, outputs, warnings, created_at, updated_at
)
WITH RECURSIVE number(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM number WHERE i < :rows)
SELECT 'one', CAST('a/' || i || '.wav' AS BLOB), CAST('a' AS BLOB), 'done', i, i, '{}', 'key', 0, 1, 1, 1, 0,
    1.0, '{}', '[]', 1.0, 1.0
FROM number
"""


@dataclass(frozen=True, slots=True)
class Queue:
    """What a database file holds once it was rolled back to its last commit."""

    schema: tuple[str, ...]
    rows: int  # a hash of all of them, the revision's among them
    is_sound: bool


@dataclass(frozen=True, slots=True)
class Way:
    """From where to where."""

    old_file: Path
    scripts: Path
    old: Queue
    new: Queue


_WAYS: dict[str, Way] = {}  # by arena: points lays it out, trials go it


def points(arena: Arena, seed: int) -> Sequence[Fault]:
    """Return a death before and after calls of every kind that a migration makes, in the order of this seed."""
    chance = random.Random(seed)  # noqa: S311 - a sample, no secret
    counts = _lay_out(arena)
    every = [
        Fault("core", call, at, action)
        for call in CALLS
        for at in _some(counts["core", call], chance)
        for action in ("kill before", "kill after")
    ]
    chance.shuffle(every)
    return every


def _some(count: int, chance: random.Random) -> Sequence[int]:
    every = range(1, count + 1)
    return every if count <= EACH else sorted({1, count, *chance.sample(every, EACH)})


def _lay_out(arena: Arena) -> dict[tuple[str, str], int]:
    """Make the old queue and migrate a copy of it undisturbed; return how many calls of each kind that took."""
    old_file, scripts = arena.folder / "old.db", arena.folder / "migrations"
    _write_scripts(scripts)
    _make_old(old_file, scripts, arena.journal)
    old = _look(old_file, arena.folder / "look")
    rig = _rig(arena, old_file, scripts)
    _migrate(rig)
    new = _look(_queue(rig), rig.folder / "look")
    assert new != old, rig.log.read_text()
    _WAYS[arena.name] = Way(old_file, scripts, old, new)
    return rig.orders.counts()


def _write_scripts(scripts: Path) -> None:
    shutil.copytree(migrate.MIGRATIONS, scripts, ignore=shutil.ignore_patterns("__pycache__"))
    head = ScriptDirectory(scripts).get_current_head()
    (scripts / "versions" / "torture.py").write_text(LAST.format(head=head).lstrip())


def _make_old(path: Path, scripts: Path, journal: str) -> None:
    config = Config()
    config.set_main_option("script_location", str(scripts))
    engine = create_engine(f"sqlite:///{path}")
    with engine.connect() as connection:
        connection.exec_driver_sql(f"PRAGMA journal_mode = {journal}")
    with engine.begin() as connection:
        config.attributes["connection"] = connection
        command.upgrade(config, OLDEST)
        connection.execute(text(TASK))
        connection.execute(text(FILES), {"rows": ROWS})
    engine.dispose()


def trial(arena: Arena, fault: Fault) -> Trial:
    """Migrate until the core dies, judge what it left, migrate again and judge that."""
    began = time.monotonic()
    way = _WAYS[arena.name]
    rig = _rig(arena, way.old_file, way.scripts)
    rig.orders.arm(fault)
    _migrate(rig)
    struck = rig.orders.fired
    rig.orders.disarm()
    found = [*_of_the_dead(rig, way)]
    _migrate(rig)
    found += _of_the_next(rig, way)
    arena.keep_or_forget(rig, found)
    return Trial(arena.name, str(fault), struck, time.monotonic() - began, tuple(map(str, found)))


def _rig(arena: Arena, old_file: Path, scripts: Path) -> Rig:
    rig = arena.rig(arena.name)
    rig.arguments = [WORD, rig.database_url, str(scripts)]
    _queue(rig).parent.mkdir()
    shutil.copy(old_file, _queue(rig))
    return rig


def _migrate(rig: Rig) -> None:
    """Do what a core does first at its start."""
    rig.start()
    try:
        assert rig.wait(PATIENCE_S), rig.log.read_text()
    finally:
        rig.end()


def _of_the_dead(rig: Rig, way: Way) -> Iterator[Finding]:
    left = _look(_queue(rig), rig.folder / "look")
    if left not in (way.old, way.new):
        yield Finding("torn", f"the queue is between two schemas: {_shown(left)}")
    yield from _of_copies(rig, way, migrated=left == way.new)


def _of_the_next(rig: Rig, way: Way) -> Iterator[Finding]:
    """Judge what the next start made of it."""
    now = _look(_queue(rig), rig.folder / "look")
    if now != way.new:
        yield Finding("stuck", f"the next start did not migrate it: {_shown(now)}")
    yield from _of_copies(rig, way, migrated=True)
    yield from (
        Finding("unexpected", f"{path.name} was left behind")
        for path in _queue(rig).parent.iterdir()
        if path.name.endswith((".tmp", ".tmp-journal"))
    )


def _of_copies(rig: Rig, way: Way, *, migrated: bool) -> Iterator[Finding]:
    """Judge the copies of the old queue: to go back is to put one in its place."""
    copies = sorted(_queue(rig).parent.glob("*.bak"))
    if migrated and not copies:
        yield Finding("lost", "it was migrated without a copy")
    for path in copies:
        if (kept := _look(path, rig.folder / "look")) != way.old:
            yield Finding("torn", f"{path.name} is not the old queue: {_shown(kept)}")


def _queue(rig: Rig) -> Path:
    return rig.root / ".whisper" / "queue.db"


def _shown(queue: Queue) -> str:
    return f"{len(queue.schema)} tables and indexes, {'sound' if queue.is_sound else 'damaged'}"


def _look(path: Path, aside: Path) -> Queue:
    """Read a database, with the journal or log beside it, from copies: to look would mend what it left."""
    shutil.rmtree(aside, ignore_errors=True)
    aside.mkdir()
    for suffix in ("", "-journal", "-wal"):
        if (beside := path.with_name(path.name + suffix)).exists():
            shutil.copy(beside, aside)
    try:
        with closing(sqlite3.connect(aside / path.name)) as connection:
            return _read(connection)
    except sqlite3.DatabaseError:
        return Queue((), 0, is_sound=False)


def _read(connection: sqlite3.Connection) -> Queue:
    is_sound = connection.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
    laid_out = connection.execute(
        "SELECT name, sql FROM sqlite_master WHERE sql > '' ORDER BY name"
    ).fetchall()
    tables = [name for name, sql in laid_out if sql.startswith("CREATE TABLE")]
    rows = tuple(tuple(connection.execute(f"SELECT * FROM {name} ORDER BY rowid")) for name in tables)  # noqa: S608
    return Queue(tuple(sql for _, sql in laid_out), hash(rows), is_sound)


def main() -> None:
    """Own and migrate a queue as a core does: `migrate URL SCRIPTS`, in a process forked by the zygote."""
    _, _, url, scripts = sys.argv
    migrate.MIGRATIONS = Path(scripts)
    database.open_database(url).close()
