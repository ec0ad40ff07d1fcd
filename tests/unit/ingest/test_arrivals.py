"""What watcher and rescan find becomes work once, whatever is found again."""

# ruff: noqa: PLR0913, PLR0917 - a test asks for the fixtures it needs

import errno
import itertools
import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from pipeline.errors import UnavailableError
from pipeline.ingest import arrivals, beneath, evidence
from pipeline.ingest import intake as intake_module
from pipeline.ingest.intake import Intake
from pipeline.provenance import read_provenance
from pipeline.queue.database import Database
from pipeline.queue.records import Lease
from pipeline.queue.rows import lease_of
from pipeline.queue.store import TaskStore
from pipeline.tasks import ACTIVE, FileState, Fingerprint, MediaFile, Problem, Source, TaskState

S = FileState


def test_a_directory_is_one_task_of_its_subtree(
    intake: Intake,
    clock: Any,
    put: Callable[..., bytes],
    store: TaskStore,
    states: Callable[[], dict[bytes, list[FileState]]],
) -> None:
    """The unit is the directory below the root; loose files are the unit `.`."""
    put("a/x.mp3")
    put("a/b/y.wav")
    put("loose.m4a")
    intake.notice_all(Source.RESCAN)
    clock.run(0)
    assert set(store.active_dirnames().values()) == {b"a", b"."}
    assert states() == {b"a/x.mp3": [S.SETTLING], b"a/b/y.wav": [S.SETTLING], b"loose.m4a": [S.SETTLING]}


def test_a_quiet_file_is_queued_after_the_quiet_time(
    intake: Intake, clock: Any, put: Callable[..., bytes], states: Callable[[], dict[bytes, list[FileState]]]
) -> None:
    """Three looks that span five seconds."""
    put("a/x.mp3")
    intake.notice_all(Source.RESCAN)
    clock.run(4.5)
    assert states() == {b"a/x.mp3": [S.SETTLING]}
    clock.run(1)
    assert states() == {b"a/x.mp3": [S.QUEUED]}


def test_a_growing_file_stays_settling_and_shows_how_far_it_is(
    intake: Intake, clock: Any, put: Callable[..., bytes], store: TaskStore
) -> None:
    """Every write begins the wait anew; the row follows."""
    for size in range(1, 5):
        put("a/x.mp3", b"s" * size)
        intake.notice_all(Source.RESCAN)
        clock.run(3)
    (row,) = store.in_state(S.SETTLING)
    assert row.fingerprint.size == 4


def test_a_writer_that_pauses_keeps_its_file_settling(
    intake: Intake, clock: Any, workdir: Path, states: Callable[[], dict[bytes, list[FileState]]]
) -> None:
    """An open file is not ready, however long it has not changed."""
    (workdir / "a").mkdir()
    with (workdir / "a" / "x.mp3").open("wb") as file:
        file.write(b"half")
        file.flush()
        intake.notice_all(Source.RESCAN)
        clock.run(30)
        assert states() == {b"a/x.mp3": [S.SETTLING]}
    clock.run(6)
    assert states() == {b"a/x.mp3": [S.QUEUED]}


def test_what_was_moved_in_is_queued_within_a_second(
    intake: Intake, clock: Any, put: Callable[..., bytes], states: Callable[[], dict[bytes, list[FileState]]]
) -> None:
    """An event that says so makes one confirming look enough, for all that a directory holds."""
    put("a/deep/x.mp3")
    intake.notice(b"a", moved=[b"a"], source=Source.WATCH)
    clock.run(1)
    assert states() == {b"a/deep/x.mp3": [S.QUEUED]}


def test_what_its_writer_closed_is_queued_after_a_second(
    intake: Intake, clock: Any, put: Callable[..., bytes], states: Callable[[], dict[bytes, list[FileState]]]
) -> None:
    """One look at least a second later agrees."""
    put("a/x.mp3")
    intake.notice(b"a", closed=[b"a/x.mp3"], source=Source.WATCH)
    clock.run(0.5)
    assert states() == {b"a/x.mp3": [S.SETTLING]}
    clock.run(1)
    assert states() == {b"a/x.mp3": [S.QUEUED]}


def test_a_task_ends_when_its_files_have_and_later_files_make_a_new_one(
    intake: Intake,
    clock: Any,
    put: Callable[..., bytes],
    work: Callable[[], list[bytes]],
    store: TaskStore,
    arrive: Callable[..., None],
) -> None:
    """New files in a done directory are a task of their own, with those files only."""
    arrive("a/x.mp3")
    assert work() == [b"a/x.mp3"]
    clock.run(1)
    first = store.last_task(b"a")
    assert first.state is TaskState.COMPLETED
    put("a/y.mp3")
    intake.notice(b"a", source=Source.WATCH)
    clock.run(6)
    assert work() == [b"a/y.mp3"]
    clock.run(1)
    second = store.last_task(b"a")
    assert second.id != first.id
    assert [row.path for row in store.files(second.id).rows] == [b"a/y.mp3"]


def test_new_files_join_an_active_task(
    intake: Intake, clock: Any, put: Callable[..., bytes], store: TaskStore
) -> None:
    """While a directory's task is active there is no second one."""
    put("a/x.mp3")
    intake.notice_all(Source.WATCH)
    clock.run(2)
    put("a/b/y.mp3")
    intake.notice(b"a/b", source=Source.WATCH)
    clock.run(1)
    (task,) = store.tasks(states=ACTIVE).rows
    assert {row.path for row in store.files(task.id).rows} == {b"a/x.mp3", b"a/b/y.mp3"}


def test_a_task_waits_until_its_directory_is_quiet(
    intake: Intake, clock: Any, put: Callable[..., bytes], work: Callable[[], list[bytes]], store: TaskStore
) -> None:
    """A file that ends while others still come does not end its task."""
    put("a/x.mp3")
    intake.notice(b"a", moved=[b"a"], source=Source.WATCH)
    clock.run(1)
    work()
    for _ in range(4):
        intake.notice(b"a", source=Source.WATCH)
        clock.run(2)
    assert store.active_dirnames()
    clock.run(6)
    assert not store.active_dirnames()


@pytest.mark.parametrize("fresh", [False, True], ids=["same process", "restarted, database deleted"])
def test_what_is_done_stays_done(
    fresh: bool,
    intake: Intake,
    make_intake: Callable[..., Intake],
    make_clock: Callable[[Intake], Any],
    put: Callable[..., bytes],
    transcribe: Callable[..., Path],
    states: Callable[[], dict[bytes, list[FileState]]],
    store: TaskStore,
) -> None:
    """A JSON beside the source is enough, whatever options would be taken now."""
    transcribe(put("a/x.mp3"), language="fr", model="tiny")
    for each in [intake, make_intake()] if fresh else [intake]:
        each.notice_all(Source.RESCAN)
        make_clock(each).run(2)
    assert states() == {}
    assert store.last_task(b"a") is None


def test_touching_a_done_file_redoes_nothing(
    intake: Intake,
    clock: Any,
    work: Callable[[], list[bytes]],
    states: Callable[[], dict[bytes, list[FileState]]],
    workdir: Path,
    arrive: Callable[..., None],
) -> None:
    """Another mtime with the same content is the same source."""
    arrive("a/x.mp3")
    work()
    os.utime(workdir / "a/x.mp3", (1, 1))
    intake.notice_all(Source.RESCAN)
    clock.run(7)
    assert states() == {b"a/x.mp3": [S.DONE]}


def test_a_rewritten_file_is_done_again_and_the_old_row_stands_until_then(
    intake: Intake,
    clock: Any,
    put: Callable[..., bytes],
    work: Callable[[], list[bytes]],
    states: Callable[[], dict[bytes, list[FileState]]],
    arrive: Callable[..., None],
) -> None:
    """Other content is another source; the old transcript keeps its row until the new one is there."""
    arrive("a/x.mp3", content=b"first")
    work()
    put("a/x.mp3", b"second")
    intake.notice(b"a", source=Source.WATCH)
    clock.run(6)
    assert states() == {b"a/x.mp3": [S.DONE, S.QUEUED]}
    work()
    assert states() == {b"a/x.mp3": [S.DONE]}


def test_outputs_removed_by_hand_are_not_made_again(
    intake: Intake,
    make_intake: Callable[..., Intake],
    make_clock: Callable[[Intake], Any],
    work: Callable[[], list[bytes]],
    states: Callable[[], dict[bytes, list[FileState]]],
    workdir: Path,
    arrive: Callable[..., None],
) -> None:
    """The queue remembers, after a restart too."""
    arrive("a/x.mp3")
    work()
    (workdir / "a/x.json").unlink()
    for each in (intake, make_intake()):
        each.notice_all(Source.RESCAN)
        make_clock(each).run(6)
    assert states() == {b"a/x.mp3": [S.DONE]}


def test_a_file_gone_before_its_turn_is_skipped_and_taken_again_when_it_is_back(
    intake: Intake,
    clock: Any,
    states: Callable[[], dict[bytes, list[FileState]]],
    store: TaskStore,
    workdir: Path,
    arrive: Callable[..., None],
) -> None:
    """Gone fails nothing and is not for good."""
    arrive("a/x.mp3", "a/y.mp3")
    (workdir / "a/x.mp3").rename(workdir / "kept")
    intake.notice(b"a", source=Source.WATCH)
    clock.run(1)
    (row,) = store.in_state(S.SKIPPED)
    assert (row.path, row.error.code) == (b"a/x.mp3", "gone")
    (workdir / "kept").rename(workdir / "a/x.mp3")
    intake.notice(b"a", source=Source.WATCH)
    clock.run(6)
    assert states() == {b"a/y.mp3": [S.QUEUED], b"a/x.mp3": [S.QUEUED]}


def test_a_file_that_was_away_between_two_looks_is_taken_again(
    intake: Intake, clock: Any, store: TaskStore, workdir: Path, arrive: Callable[..., None]
) -> None:
    """A mount that went and came back told nobody: the next rescan finds what a stage, or the settle rule, missed."""
    arrive("a/settling.mp3", "a/leased.mp3")
    for leased in store.lease("worker", 2):
        store.gone(lease_of(leased))
        intake.forget(leased.path)
    intake.notice_all(Source.RESCAN)
    clock.run(1)
    (workdir / "a").rename(workdir / ".away")
    clock.run(2)
    (workdir / ".away").rename(workdir / "a")
    intake.notice_all(Source.RESCAN)
    clock.run(8)
    assert sorted(row.path for row in store.in_state(S.QUEUED)) == [b"a/leased.mp3", b"a/settling.mp3"]


def test_a_settling_file_that_goes_is_skipped(
    intake: Intake, clock: Any, put: Callable[..., bytes], store: TaskStore, workdir: Path
) -> None:
    """Deleted before it was whole: no error of its task."""
    put("a/x.mp3")
    put("notes.txt")
    intake.notice_all(Source.WATCH)
    clock.run(1)
    shutil.rmtree(workdir / "a")
    clock.run(20)
    (row,) = store.in_state(S.SKIPPED)
    assert row.error.code == "gone"
    assert store.last_task(b"a").state is TaskState.COMPLETED


def test_a_nowhisper_put_there_later_takes_waiting_files_out(
    intake: Intake, clock: Any, put: Callable[..., bytes], store: TaskStore, arrive: Callable[..., None]
) -> None:
    """Those still waiting are skipped; removing it brings them back."""
    arrive("a/b/x.mp3", "a/y.mp3")
    put("a/b/.nowhisper", b"")
    intake.notice(b"a/b", source=Source.WATCH)
    clock.run(1)
    (row,) = store.in_state(S.SKIPPED)
    assert (row.path, row.error.code) == (b"a/b/x.mp3", "kept_out")


def test_whisper_toml_gives_its_subtree_options_nearest_first(
    intake: Intake, clock: Any, put: Callable[..., bytes], store: TaskStore
) -> None:
    """Outer ones hold where an inner one says nothing."""
    put("whisper.toml", b'language = "English"\ntask = "translate"')
    put("a/whisper.toml", b'language = "French"')
    put("a/b/x.mp3")
    intake.notice_all(Source.WATCH)
    clock.run(0)
    (row,) = store.in_state(S.SETTLING)
    assert row.options == {"language": "fr", "task": "translate"}


def test_a_bad_whisper_toml_fails_its_files_and_mending_it_heals_them(
    intake: Intake,
    clock: Any,
    put: Callable[..., bytes],
    store: TaskStore,
    states: Callable[[], dict[bytes, list[FileState]]],
) -> None:
    """The message names the file and the closest key."""
    put("a/x.mp3")
    put("a/whisper.toml", b'langage = "French"')
    intake.notice_all(Source.WATCH)
    clock.run(1)
    (row,) = store.in_state(S.FAILED)
    assert row.error.code == "bad_options"
    assert "a/whisper.toml" in row.error.message
    assert "language" in row.error.message
    put("a/whisper.toml", b'language = "French"')
    intake.notice_all(Source.RESCAN)
    clock.run(6)
    assert states() == {b"a/x.mp3": [S.QUEUED]}


@pytest.mark.parametrize("is_heard_of", [True, False])
def test_a_folder_that_was_deleted_and_is_dropped_again_is_done_again(
    intake: Intake,
    clock: Any,
    put: Callable[..., bytes],
    work: Callable[[], list[bytes]],
    workdir: Path,
    is_heard_of: bool,
) -> None:
    """Its times kept, as most copies keep them; one whose transcripts alone were removed is not."""
    for path in ("a/x.mp3", "b/y.mp3"):
        os.utime(workdir / os.fsdecode(put(path)), (1, 1))
    intake.notice_all(Source.WATCH)
    clock.run(6)
    assert len(work()) == 2
    shutil.rmtree(workdir / "a")
    (workdir / "b/y.json").unlink()
    if is_heard_of:
        intake.notice(b"a", source=Source.WATCH)
    else:
        intake.notice_all(Source.RESCAN)
    clock.run(6)
    os.utime(workdir / os.fsdecode(put("a/x.mp3")), (1, 1))
    intake.notice_all(Source.RESCAN)
    clock.run(6)
    assert work() == [b"a/x.mp3"]


def test_of_very_many_deleted_files_the_last_are_remembered(  # a week of them must not fill the memory
    intake: Intake,
    clock: Any,
    put: Callable[..., bytes],
    work: Callable[[], list[bytes]],
    workdir: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """What was deleted before them is passed over when it is dropped again, as after a restart."""
    monkeypatch.setattr(arrivals, "LEFT", 1)
    for path in ("a/x.mp3", "b/y.mp3", "stays/z.mp3"):
        os.utime(workdir / os.fsdecode(put(path)), (1, 1))
    intake.notice_all(Source.WATCH)
    clock.run(6)
    assert len(work()) == 3
    for name in ("a", "b"):
        shutil.rmtree(workdir / name)
        intake.notice(name.encode(), source=Source.WATCH)
        clock.run(1)
    for path in ("a/x.mp3", "b/y.mp3"):
        os.utime(workdir / os.fsdecode(put(path)), (1, 1))
    intake.notice_all(Source.RESCAN)
    clock.run(6)
    assert work() == [b"b/y.mp3"]


def test_a_folder_that_comes_back_with_its_transcripts_is_done(
    intake: Intake, clock: Any, work: Callable[[], list[bytes]], workdir: Path, arrive: Callable[..., None]
) -> None:
    """A mount below the workdir that was away for a moment costs nothing."""
    arrive("a/x.mp3")
    work()
    (workdir / "a").rename(workdir.parent / "away")
    intake.notice_all(Source.RESCAN)
    clock.run(2)
    (workdir.parent / "away").rename(workdir / "a")
    intake.notice_all(Source.RESCAN)
    clock.run(6)
    assert work() == []


def test_a_whisper_toml_that_is_copied_after_the_files_is_heard_all_the_same(
    intake: Intake, clock: Any, put: Callable[..., bytes], store: TaskStore
) -> None:
    """`cp -r` copies in no order; one with Windows' mark at its beginning is read too."""
    put("a/x.mp3")
    intake.notice_all(Source.WATCH)
    clock.run(2)
    put("a/whisper.toml", b'\xef\xbb\xbflanguage = "French"\noutput_format = "txt"')
    clock.run(6)
    (row,) = store.in_state(S.QUEUED)
    assert row.options == {"language": "fr", "output_format": ("txt",)}


def test_files_that_wait_for_a_stage_hear_a_whisper_toml_that_comes_then(
    intake: Intake,
    clock: Any,
    put: Callable[..., bytes],
    store: TaskStore,
    states: Callable[[], dict[bytes, list[FileState]]],
) -> None:
    """What a request named stays; what a stage has, or is of another directory, is left alone."""
    for path in ("a/b/x.mp3", "a/y.mp3", "c/z.mp3"):
        put(path)
    intake.submit("a/b", Source.API, {"language": "de"})
    intake.notice_all(Source.WATCH)
    clock.run(6)
    put("a/whisper.toml", b'language = "French"\ntask = "translate"\npriority = 3')
    intake.heed(b"a")
    clock.run(1)
    options = {row.path: (row.options, row.priority) for row in store.in_state(S.QUEUED)}
    assert options == {
        b"a/b/x.mp3": ({"language": "de", "task": "translate"}, 3),
        b"a/y.mp3": ({"language": "fr", "task": "translate"}, 3),
        b"c/z.mp3": ({}, 0),
    }
    assert set(map(tuple, states().values())) == {(S.QUEUED,)}
    put("whisper.toml", b"temperature_typo = 1")
    intake.heed(b".")
    clock.run(1)
    assert {row.error.code for row in store.in_state(S.FAILED)} == {"bad_options"}
    assert store.in_state(S.QUEUED) == []


def test_include_and_exclude_of_whisper_toml_hold_for_its_subtree(
    intake: Intake,
    clock: Any,
    put: Callable[..., bytes],
    states: Callable[[], dict[bytes, list[FileState]]],
    arrive: Callable[..., None],
) -> None:
    """Whoever asks for one file by name gets it; when the rule goes, the others come in."""
    put("a/whisper.toml", b'include = ["*.mp3"]')
    put("a/b/whisper.toml", b'exclude = ["draft*"]')
    for path in ("a/x.mp3", "a/x.wav", "a/b/y.mp3", "a/b/draft.mp3", "c/z.wav"):
        arrive(path)
    assert states().keys() == {b"a/x.mp3", b"a/b/y.mp3", b"c/z.wav"}
    intake.submit("a/x.wav", Source.API)
    assert b"a/x.wav" in states()
    put("a/b/whisper.toml", b"")
    intake.notice_all(Source.RESCAN)
    clock.run(6)
    assert b"a/b/draft.mp3" in states()


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ('exlude = ["*.wav"]', "Did you mean 'exclude'?"),
        ('include = "*.mp3"', "a list of globs"),
        ('priority = "high"', "a whole number"),
    ],
)
def test_a_rule_of_whisper_toml_that_makes_no_sense_fails_its_files(
    intake: Intake, clock: Any, put: Callable[..., bytes], store: TaskStore, line: str, said: str
) -> None:
    """As a bad option does."""
    put("a/x.mp3")
    put("a/whisper.toml", line.encode())
    intake.notice_all(Source.WATCH)
    clock.run(1)
    (row,) = store.in_state(S.FAILED)
    assert (row.error.code, said in row.error.message) == ("bad_options", True)


def test_a_link_that_leaves_the_workdir_is_reported_and_not_followed(
    intake: Intake, clock: Any, put: Callable[..., bytes], store: TaskStore, workdir: Path, tmp_path: Path
) -> None:
    """It fails alone; the rest of its directory is done."""
    (tmp_path / "secret.mp3").write_bytes(b"secret")
    put("a/x.mp3")
    (workdir / "a/out.mp3").symlink_to(tmp_path / "secret.mp3")
    intake.notice_all(Source.WATCH)
    clock.run(6)
    (row,) = store.in_state(S.FAILED)
    assert (row.path, row.error.code) == (b"a/out.mp3", "outside_workdir")
    assert [each.path for each in store.in_state(S.QUEUED)] == [b"a/x.mp3"]


def test_the_same_content_at_a_new_path_gets_copies(
    make_intake: Callable[..., Intake],
    make_clock: Callable[[Intake], Any],
    put: Callable[..., bytes],
    work: Callable[[], list[bytes]],
    states: Callable[[], dict[bytes, list[FileState]]],
    workdir: Path,
    arrive: Callable[..., None],
) -> None:
    """Hashed only where a done source has this size; nothing is transcribed."""
    copied = []
    there = evidence.Evidence(workdir, None)

    def copy(twin: MediaFile, path: Any, fingerprint: Fingerprint) -> Any:
        copied.append((twin.path, path, fingerprint.size))
        return there.written(twin.path, twin.fingerprint)

    intake = make_intake(copy=copy)
    clock = make_clock(intake)
    arrive("a/x.mp3", content=b"same")
    work()
    put("b/other.mp3", b"same")
    put("b/third.mp3", b"diff")
    intake.notice_all(Source.WATCH)
    clock.run(6)
    assert copied == [(b"a/x.mp3", b"b/other.mp3", 4)]
    assert states()[b"b/other.mp3"] == [S.SKIPPED]
    assert states()[b"b/third.mp3"] == [S.QUEUED]


def test_an_emptied_workdir_suspends_everything_and_goes_on_by_itself(
    intake: Intake,
    clock: Any,
    workdir: Path,
    states: Callable[[], dict[bytes, list[FileState]]],
    arrive: Callable[..., None],
) -> None:
    """An unmounted share looks just like that: nothing counts as deleted."""
    arrive("a/x.mp3")
    (workdir / "a").rename(workdir.parent / "away")
    intake.notice_all(Source.RESCAN)
    clock.run(5)
    assert "suddenly empty" in intake.suspended
    assert states() == {b"a/x.mp3": [S.QUEUED]}
    (workdir.parent / "away").rename(workdir / "a")
    clock.run(5)
    assert intake.suspended is None
    assert states() == {b"a/x.mp3": [S.QUEUED]}


def test_a_missing_workdir_suspends(intake: Intake, clock: Any, workdir: Path) -> None:
    """Its reason is given in words."""
    workdir.rename(workdir.parent / "away")
    clock.run(0)
    assert "No such file" in intake.suspended


def test_a_rescan_of_what_is_known_reads_no_transcript_and_no_row(
    intake: Intake,
    clock: Any,
    put: Callable[..., bytes],
    transcribe: Callable[..., Path],
    monkeypatch: pytest.MonkeyPatch,
    store: TaskStore,
) -> None:
    """Unchanged files cost one stat."""
    for number in range(20):
        transcribe(put(f"a/{number}.mp3"))
    intake.notice_all(Source.RESCAN)
    clock.run(0)
    monkeypatch.setattr(evidence.outputs, "written_for", None)
    monkeypatch.setattr(store, "known", None)
    intake.notice_all(Source.RESCAN)
    clock.run(0)
    assert intake.last_scan is not None


def test_a_forgotten_file_is_new_again(
    intake: Intake,
    clock: Any,
    work: Callable[[], list[bytes]],
    states: Callable[[], dict[bytes, list[FileState]]],
    store: TaskStore,
    workdir: Path,
    arrive: Callable[..., None],
) -> None:
    """Its rows and outputs were erased."""
    arrive("a/x.mp3")
    work()
    (workdir / "a/x.json").unlink()
    store.forget(b"a/x.mp3")
    intake.forget(b"a")
    intake.notice_all(Source.RESCAN)
    clock.run(6)
    assert states() == {b"a/x.mp3": [S.QUEUED]}


def test_a_healed_permission_is_noticed(
    intake: Intake,
    clock: Any,
    store: TaskStore,
    states: Callable[[], dict[bytes, list[FileState]]],
    monkeypatch: pytest.MonkeyPatch,
    arrive: Callable[..., None],
) -> None:
    """A file that failed as unreadable is done once it can be read."""
    arrive("a/x.mp3")
    (row,) = store.lease("worker", 1)

    readable = False
    monkeypatch.setattr(os, "access", lambda *_args, **_kwargs: readable)
    store.fail(Lease(row.epoch, row.token, row.id), Problem(code="unreadable", message="no"))
    intake.notice_all(Source.RESCAN)
    clock.run(6)
    assert states() == {b"a/x.mp3": [S.FAILED]}
    readable = True
    intake.notice_all(Source.RESCAN)
    clock.run(6)
    assert states() == {b"a/x.mp3": [S.QUEUED]}


def test_one_shot_waits_for_open_writers_only(
    make_intake: Callable[..., Intake],
    make_clock: Callable[[Intake], Any],
    put: Callable[..., bytes],
    states: Callable[[], dict[bytes, list[FileState]]],
    workdir: Path,
) -> None:
    """No quiet time, but the veto stands."""
    intake = make_intake(quiet_seconds=0.0, settle_looks=False)
    put("a/x.mp3")
    intake.submit("a", Source.CLI)
    with (workdir / "a/y.mp3").open("wb"):
        intake.submit("a", Source.CLI)
        make_clock(intake).run(0)
        assert states() == {b"a/x.mp3": [S.QUEUED], b"a/y.mp3": [S.SETTLING]}
    assert intake_module.PAUSE_S < 1


@pytest.mark.parametrize("told", ["of the directory", "of everything"])
def test_what_comes_while_the_disk_is_full_is_found_once_there_is_room(
    intake: Intake,
    clock: Any,
    put: Callable[..., bytes],
    database: Database,
    states: Callable[[], dict[bytes, list[FileState]]],
    told: str,
) -> None:
    """Nobody tells of it a second time; max_page_count is SQLite's own way to fill a disk."""
    pages = database.write(lambda c: c.exec_driver_sql("PRAGMA page_count").scalar())
    database.write(lambda c: c.exec_driver_sql(f"PRAGMA max_page_count = {pages}"))
    for number in range(200):
        put(f"a/{number}.mp3")
    if told == "of everything":
        intake.notice_all(Source.RESCAN)
    else:
        intake.notice(b"a", source=Source.WATCH)
    with pytest.raises(UnavailableError):
        clock.run(0)
    database.write(lambda c: c.exec_driver_sql("PRAGMA max_page_count = 1000000"))
    clock.run(6)
    assert set(states()) == {b"a/%d.mp3" % number for number in range(200)}


def test_names_that_are_not_utf8_or_odd_pass(
    states: Callable[[], dict[bytes, list[FileState]]], arrive: Callable[..., None]
) -> None:
    """Paths are bytes."""
    names = [b"a/\xff\xfe.mp3", b"a/new\nline.wav", b"a/-dash.ogg", b"a/100%.flac", b"\xe9t\xe9/x.mp3"]
    for name in names:
        arrive(name)
    assert states() == {name: [S.QUEUED] for name in names}


@pytest.mark.parametrize("number", [errno.EIO, errno.ESTALE, errno.EMFILE])
def test_a_mount_with_the_hiccups_does_not_look_like_work_never_done(
    intake: Intake,
    clock: Any,
    put: Callable[..., bytes],
    transcribe: Callable[..., Path],
    states: Callable[[], dict[bytes, list[FileState]]],
    monkeypatch: pytest.MonkeyPatch,
    number: int,
) -> None:
    """What cannot be read now is asked again later; the others do not wait for it."""
    transcribe(put("a/done.mp3"))
    put("a/new.mp3")

    def read(name: bytes, directory: int) -> Any:
        if name == b"done.json":
            raise OSError(number, os.strerror(number))
        return read_provenance(name, directory)

    monkeypatch.setattr("pipeline.outputs.read_provenance", read)
    intake.notice_all(Source.RESCAN)
    clock.run(1)
    assert states() == {b"a/new.mp3": [S.SETTLING]}
    with pytest.raises(UnavailableError):
        intake.submit("a/done.mp3", Source.API)
    monkeypatch.undo()
    assert intake.submit("a/done.mp3", Source.API).state is TaskState.COMPLETED


def test_a_ready_file_whose_transcript_cannot_be_looked_for_goes_on_settling(
    intake: Intake,
    clock: Any,
    put: Callable[..., bytes],
    states: Callable[[], dict[bytes, list[FileState]]],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """It is queued when that can be told."""
    put("a/x.mp3")
    intake.notice_all(Source.RESCAN)
    clock.run(1)

    def read(_name: bytes, _directory: int) -> None:
        raise OSError(errno.EIO, "input/output error")

    monkeypatch.setattr("pipeline.outputs.read_provenance", read)
    clock.run(12)
    assert states() == {b"a/x.mp3": [S.SETTLING]}
    monkeypatch.undo()
    clock.run(12)
    assert states() == {b"a/x.mp3": [S.QUEUED]}


def test_a_directory_that_cannot_be_opened_does_not_hide_the_others(
    intake: Intake,
    clock: Any,
    put: Callable[..., bytes],
    states: Callable[[], dict[bytes, list[FileState]]],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """It is said in the log, and a request for it ends with a word about it."""
    put("a/x.mp3")
    put("b/y.mp3")
    opened = beneath.opened_directory

    def refused(root: bytes, path: bytes) -> Any:
        if path == b"a":
            raise PermissionError(errno.EACCES, "Permission denied")
        return opened(root, path)

    monkeypatch.setattr("pipeline.ingest.beneath.opened_directory", refused)
    intake.notice_all(Source.RESCAN)
    clock.run(1)
    assert states() == {b"b/y.mp3": [S.SETTLING]}
    task = intake.submit("a", Source.API)
    assert (task.state, task.error and task.error.code) == (TaskState.FAILED, "unreadable")


def test_outputs_that_could_not_be_written_are_tried_again_once_they_can(
    make_intake: Callable[..., Intake],
    make_clock: Any,
    put: Callable[..., bytes],
    store: TaskStore,
    states: Callable[[], dict[bytes, list[FileState]]],
) -> None:
    """The same row, so that its finished windows are used; not before its directory is writable."""
    writable: list[bytes] = []
    intake = make_intake(can_put=writable.__contains__)
    clock = make_clock(intake)
    path = put("a/x.mp3")
    intake.notice_all(Source.RESCAN)
    clock.run(7)
    (row,) = store.lease("worker", 1)
    store.fail(lease_of(row), Problem(code="outputs_unwritable", message="a: permission denied"))
    intake.notice_all(Source.RESCAN)
    clock.run(1)
    assert states() == {path: [S.FAILED]}
    writable.append(path)
    intake.notice_all(Source.RESCAN)
    clock.run(1)
    (again,) = store.in_state(S.QUEUED)
    assert (again.id, again.attempts) == (row.id, 0)


def test_a_long_look_goes_on_in_slices_and_what_it_found_is_followed_meanwhile(
    store: TaskStore, make_intake: Callable[..., Intake], put: Callable[..., bytes]
) -> None:
    """Of a hundred thousand directories the first need not wait for the last."""
    for name in "abcd":
        put(f"{name}/a.mp3")
    ticks = itertools.count(0.0, 0.6)
    intake = make_intake(clock=lambda: next(ticks))
    intake.notice_all(Source.RESCAN)
    seen = []
    while intake.last_scan is None:
        pause = intake.step(0.0)
        seen.append(len(store.active_dirnames()))
    assert seen[0] < seen[1] < seen[-1] == 4
    assert pause > 0.0


def test_directories_that_are_no_more_are_forgotten(
    intake: Intake, workdir: Path, put: Callable[..., bytes]
) -> None:
    """What was judged in them is held no longer than they are there."""
    put("a/a.mp3")
    put("b/a.mp3")
    for _ in range(2):
        intake.notice_all(Source.RESCAN)
        intake.step(0.0)
        kept = set(intake._arrivals._judged)
        shutil.rmtree(workdir / "a", ignore_errors=True)
    assert kept & {b"a", b"b"} == {b"b"}
