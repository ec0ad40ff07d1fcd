"""Lines of the log: for people one an event, for machines with fields."""

from __future__ import annotations

import io
import json
import logging
import sys
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from pipeline.logs import configure, ids
from pipeline.tasks import FileState, Fingerprint, MediaFile

FILE = MediaFile(
    id=7,
    task_id="9f4c",
    path=b"talks/a.mp3",
    state=FileState.DONE,
    fingerprint=Fingerprint(1, 1),
    options={},
    text_key="",
)
Said = Callable[[], list[str]]


@pytest.fixture
def log(monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[..., Said]]:
    """Configure the log and return what reads its lines; logging is put back after."""
    root = logging.getLogger()
    before, level = root.handlers[:], root.level
    for name in ("uvicorn", "uvicorn.access"):  # a server of another test keeps their lines to itself
        monkeypatch.setattr(logging.getLogger(name), "propagate", True)

    def begin(level: str, form: str) -> Said:
        stderr = io.StringIO()
        monkeypatch.setattr(sys, "stderr", stderr)
        configure(level, form)
        return lambda: stderr.getvalue().splitlines()

    yield begin
    root.handlers[:], root.level = before, level
    logging.getLogger("uvicorn.access").setLevel(logging.NOTSET)


def access(status: int = 200) -> None:
    """Log a request as uvicorn does."""
    args = ("10.0.0.9:5000", "GET", "/monitoring?limit=1", "1.1", status)
    logging.getLogger("uvicorn.access").info('%s - "%s %s HTTP/%s" %d', *args)


def fields(line: str) -> dict[str, Any]:
    parsed: dict[str, Any] = json.loads(line)
    return parsed


def test_ids_are_fields_in_json(log: Callable[..., Said]) -> None:
    """Whoever collects logs finds all of a file by its id."""
    said = log("info", "json")
    logging.getLogger("pipeline").warning("%s: odd", "talks/a.mp3", extra=ids(FILE) | {"code": "corrupt"})
    (line,) = map(fields, said())
    assert {
        "level": "WARNING",
        "message": "talks/a.mp3: odd",
        "task_id": "9f4c",
        "file_id": 7,
    }.items() <= line.items()
    assert line["code"] == "corrupt"
    assert line["time"].endswith("+00:00")


def test_ids_stand_at_the_end_of_a_line_of_text(log: Callable[..., Said]) -> None:
    """As `status 9f4c` takes them."""
    said = log("info", "text")
    logging.getLogger("pipeline").info("%s: done", "talks/a.mp3", extra=ids(FILE))
    assert said()[0].endswith("INFO    talks/a.mp3: done [task 9f4c, file 7]")


@pytest.mark.parametrize("form", ["text", "json"])
def test_a_file_name_forges_no_line(log: Callable[..., Said], form: str) -> None:
    """A name may hold line ends and escape sequences of terminals."""
    said = log("info", form)
    logging.getLogger("pipeline").info("%s: done", "a\n12:00:00 ERROR  \x1b[31mforged\u2028\x85.mp3")
    (line,) = said()
    assert line.isprintable()
    assert "\\n12:00:00 ERROR" in line


def test_a_traceback_keeps_its_lines(log: Callable[..., Said]) -> None:
    """It is ours, not a file's."""
    said = log("info", "text")
    logging.getLogger("pipeline").error("it failed", exc_info=ValueError("why"))
    assert said()[-1] == "ValueError: why"


def test_requests_are_lines_with_fields_for_machines(log: Callable[..., Said]) -> None:
    """In the same format as everything else."""
    said = log("info", "json")
    access(404)
    (line,) = map(fields, said())
    expected = {"client": "10.0.0.9:5000", "method": "GET", "target": "/monitoring?limit=1", "status": 404}
    assert expected.items() <= line.items()


@pytest.mark.parametrize(("level", "lines"), [("info", 0), ("debug", 1)])
def test_people_see_requests_only_when_they_want_all(
    log: Callable[..., Said], level: str, lines: int
) -> None:
    """A terminal at rest stays at rest while a page asks every second how things stand."""
    said = log(level, "text")
    access()
    assert len(said()) == lines
