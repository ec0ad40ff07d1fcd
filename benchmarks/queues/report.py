"""The results -> the tables of docs/queue.md, between their markers."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

BEGIN, END = "<!-- figures: written by make bench-queue -->", "<!-- end of figures -->"
JOURNALS = {
    "wal": "SQLite, WAL, synchronous=FULL",
    "delete": "SQLite, DELETE journal, synchronous=EXTRA",
    "postgres": "PostgreSQL, fsync and synchronous_commit on",
}
SYSTEMS = {
    "bare": "a bare commit",
    "ours": "ours",
    "huey_queue": "huey",
    "procrastinate_queue": "procrastinate",
}
ROWS = {  # what is done -> the call, and how many tasks one call takes
    "one row changed, committed": ("commit", 1),
    "enqueue one, committed": ("enqueue", 1),
    "enqueue one each from 32 threads": ("enqueue_at_once", 32),
    "enqueue 500, committed": ("enqueue_many", 500),
    "lease one": ("lease", 1),
    "lease eight": ("lease_some", 8),
    "end one well": ("finish", 1),
}


def write(results: dict[str, Any], document: Path) -> None:
    """Put the tables into the document."""
    head, rest = document.read_text(encoding="utf-8").split(BEGIN)
    tail = rest.split(END)[1]
    document.write_text(f"{head}{BEGIN}\n\n{tables(results)}\n{END}{tail}", encoding="utf-8")


def tables(results: dict[str, Any]) -> str:
    """Return every table there are figures for."""
    parts = [_databases, _monitoring, _directories]
    names = ["databases", "monitoring", "directories"]
    return "\n".join(
        "\n".join(part(results[name])) for part, name in zip(parts, names, strict=True) if name in results
    )


def _databases(found: dict[str, Any]) -> Iterator[str]:
    yield f"Taken {_where(found)}; beside {', '.join(found['peers']) or 'nothing'}."
    yield ""
    for journal in (each for each in JOURNALS if each in found):
        systems = found[journal]
        yield f"### {JOURNALS[journal]}: {found['tasks']:,} tasks, {found['waiting']:,} of them waiting\n"
        yield from _header(["p50 / p99 in ms, tasks a second", *(SYSTEMS[each] for each in systems)])
        for what, (call, tasks) in ROWS.items():
            if any(call in calls for calls in systems.values()):
                yield _row([what, *(_cell(calls.get(call), tasks) for calls in systems.values())])
        yield f"\n{_ratios(systems)}\n"


def _ratios(systems: dict[str, Any]) -> str:
    ours, bare = systems["ours"], systems["bare"]["commit"]
    share = ours["lease_some"]["p99_ms"] / 8 / bare["p99_ms"]
    said = [
        f"p99 of our lease: {_times(ours['lease'], bare)} a bare commit's, of eight at once {share:.1f} times a file"
    ]
    for peer in systems.keys() - {"ours", "bare"}:
        theirs = systems[peer]
        said.append(f"{_times(ours['lease'], theirs['lease'])} that of {SYSTEMS[peer]}")
        said.append(f"of enqueueing one {_times(ours['enqueue'], theirs['enqueue'])}")
    return "; ".join(said) + "."


def _monitoring(found: dict[str, Any]) -> Iterator[str]:
    yield f"### GET /monitoring/{{task_id}}, {found['tasks']:,} tasks\n"
    yield from _header(["ms", "answers", "p50", "p99"])
    for journal in ("sqlite", "postgres"):
        for when, taken in found.get(journal, {}).items():
            name = "SQLite" if journal == "sqlite" else "PostgreSQL"
            yield _row(
                [f"{name}, {when.replace('_', ' ')}", taken["calls"], taken["p50_ms"], taken["p99_ms"]]
            )
    yield ""


def _directories(found: dict[str, Any]) -> Iterator[str]:
    yield f"### {found['directories']:,} directories in the workdir\n"
    yield from _header(["what", "figure"])
    yield _row(["find, telling sizes and times of all files", f"{found['find_s']} s"])
    yield _row(["a rescan", f"{found['rescan_s']} s, {found['ratio']} times as long"])
    yield _row(["the first look after a start, which asks the queue", f"{found['first_look_s']} s"])
    yield _row(["start of the service until it answers", f"{found['answering_s']} s"])
    yield _row(["until its first look is over and it rests", f"{found['calm_s']} s"])
    yield _row(["the core's memory then", f"{found['core_mb']} MB"])
    yield _row([f"a new file's task is there ({found['watch']})", f"after {found['new_file_seen_s']} s"])
    yield _row(["SIGTERM until it has ended", f"{found['stop_s']} s"])
    yield ""


def _where(found: dict[str, Any]) -> str:
    on = found["machine"]
    return (
        f"{found['at']} on {on['cores']} cores of {on['processor']}, Python {on['python']}, "
        f"SQLite {on['sqlite']}, SQLAlchemy {on['sqlalchemy']}"
    )


def _cell(taken: dict[str, float] | None, tasks: int) -> str:
    if taken is None:
        return ""
    return f"{taken['p50_ms']:.2f} / {taken['p99_ms']:.2f}, {taken['per_s'] * tasks:,.0f}"


def _times(one: dict[str, float], other: dict[str, float]) -> str:
    return f"{one['p99_ms'] / other['p99_ms']:.1f} times"


def _header(cells: list[str]) -> Iterator[str]:
    yield _row(cells)
    yield "|" + "---|" * len(cells)


def _row(cells: list[Any]) -> str:
    return f"| {' | '.join(map(str, cells))} |"
