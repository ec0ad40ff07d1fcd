"""Whether the queue can be written is known before anybody needs it."""

from pathlib import Path

import pytest

from pipeline.queue import holding
from pipeline.queue.database import Database
from pipeline.queue.holding import Holding


def test_a_disk_without_room_is_told_and_forgotten_once_there_is_some(
    database: Database, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """No write fails while nothing is written, yet the next one would."""
    held = Holding(database, tmp_path)
    with monkeypatch.context() as patched:
        patched.setattr(holding, "ROOM", 1 << 62)
        held.step(0.0)
    assert held.trouble == f"the disk that holds {tmp_path} is full; free some space"
    held.step(2.0)
    assert held.trouble is None


def test_a_folder_that_is_gone_is_told(database: Database, tmp_path: Path) -> None:
    """Its name too."""
    held = Holding(database, tmp_path / "gone")
    held.step(0.0)
    assert held.trouble == f"{tmp_path / 'gone'}: No such file or directory"
