"""Progress in words: pace and time left."""

from __future__ import annotations

from typing import Any

import pytest

from api.board import Board, Pace


def answer(progress: float, eta: float | None = None, status: str = "running") -> dict[str, Any]:
    return {"progress": progress, "audio_seconds": 100.0, "eta_seconds": eta, "task_status": status}


def test_the_pace_counts_what_was_done_since_the_call_began() -> None:
    """Work of an earlier run makes nobody fast."""
    pace = Pace(0.0)
    assert pace.of(answer(0.5), 0.0) == ""
    assert pace.of(answer(0.9, eta=3.2), 10.0) == "4.0x real time, 3 s left"
    assert pace.of(answer(1.0, status="completed"), 10.0) == "5.0x real time"


def test_plain_lines_come_when_something_changes(capsys: pytest.CaptureFixture[str]) -> None:
    """Not at every look; brackets in a name are no markup."""
    with Board({"t": "[red]talks"}) as board:
        for progress in (0.1, 0.2, 0.3):
            board.show({"t": answer(progress)})
        board.show({"t": answer(1.0, status="completed")})
    assert capsys.readouterr().err.splitlines() == ["[red]talks: running 10%", "[red]talks: completed 100%"]
