"""Settings: where the queue lies, work hours, and a workdir that cannot be used."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from pipeline.errors import BadOptionsError, EnvironmentUnusableError, WorkdirUnusableError
from pipeline.settings import Settings, parse_work_hours, prepare_workdir, queue_place, within


def test_the_queue_lies_in_the_workdir(tmp_path: Path) -> None:
    """Its hidden folder is the one thing we keep there."""
    place = queue_place(Settings(workdir=tmp_path))
    assert place.folder == tmp_path / ".whisper"
    assert place.note is None


def test_the_queue_of_a_network_mount_lies_in_the_state_directory_and_says_why(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """SQLite's locks are not to be had there."""
    monkeypatch.setattr("pipeline.settings.is_remote", lambda path: str(path).startswith("/mnt"))
    place = queue_place(Settings(workdir=Path("/mnt/share"), state_dir=tmp_path))
    assert place.folder is not None
    assert place.folder.parent == tmp_path
    assert "/mnt/share is on a network" in (place.note or "")


def test_a_queue_without_any_local_place_is_an_error_that_names_the_remedy(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A home on the network is no better than the share; one's own database is one's own word."""
    monkeypatch.setattr("pipeline.settings.is_remote", lambda path: str(path).startswith("/mnt"))
    remote = Settings(workdir=Path("/mnt/share"), state_dir=Path("/mnt/home"))
    with pytest.raises(EnvironmentUnusableError, match="--state_dir"):
        queue_place(remote)
    assert queue_place(replace(remote, database_url="sqlite:////mnt/home/q.db")).folder == Path("/mnt/home")


def test_a_relative_database_lies_where_it_was_named_from(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What lies beside it is handed to a stage that starts in another folder."""
    monkeypatch.chdir(tmp_path)
    assert queue_place(Settings(workdir=tmp_path, database_url="sqlite:///q.db")).folder == tmp_path


def test_each_workdir_has_a_state_folder_of_its_own(tmp_path: Path) -> None:
    """Two shares never meet in one queue."""
    places = {
        queue_place(Settings(workdir=tmp_path / n, state_dir=tmp_path), inside=False).folder for n in "ab"
    }
    assert len(places) == 2


def test_a_workdir_is_created_if_missing(tmp_path: Path) -> None:
    """A first start needs no mkdir."""
    prepare_workdir(Settings(workdir=tmp_path / "new" / "workdir"))
    assert (tmp_path / "new" / "workdir").is_dir()


def test_a_workdir_that_is_a_file_is_an_error_in_words(tmp_path: Path) -> None:
    """No traceback for a person's own mistake."""
    (tmp_path / "w").write_text("")
    with pytest.raises(WorkdirUnusableError, match="is a file"):
        prepare_workdir(Settings(workdir=tmp_path / "w"))


@pytest.mark.parametrize(
    ("minute", "expected"),
    [(18 * 60, False), (19 * 60, True), (0, True), (6 * 60 + 59, True), (7 * 60, False)],
)
def test_work_hours_may_span_midnight(minute: int, expected: bool) -> None:
    """19:00-07:00 is the night."""
    assert within(parse_work_hours("19:00-07:00"), minute) is expected


@pytest.mark.parametrize("text", ["", "19-7", "25:00-07:00", "24:30-07:00", "09:00-09:00", "a:b-c:d"])
def test_work_hours_that_make_no_sense_are_refused(text: str) -> None:
    """With an example."""
    with pytest.raises(BadOptionsError, match="19:00-07:00"):
        parse_work_hours(text)
