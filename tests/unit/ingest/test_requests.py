"""What somebody asks for is done once, and done again only where they ask for something else."""

# ruff: noqa: PLR0913, PLR0917 - a test asks for the fixtures it needs

import os
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.errors import BadOptionsError, BadPathError, NotFoundError, UnavailableError
from pipeline.ingest.intake import Intake
from pipeline.queue.database import open_database
from pipeline.queue.records import Lease
from pipeline.queue.store import TaskStore
from pipeline.tasks import ACTIVE, FileState, Problem, Source, Task, TaskState

S = FileState


@pytest.fixture
def post(intake: Intake) -> Any:
    """POST a directory."""

    def submit(dirname: str, /, named: Any = None, **rules: Any) -> Any:
        return intake.submit(dirname, Source.API, named or {}, **rules)

    return submit


def test_ten_requests_at_once_are_one_task(
    post: Callable[..., Task], put: Callable[..., bytes], store: TaskStore
) -> None:
    """Whoever comes second gets the first one's task."""
    put("a/x.mp3")
    answers = []
    threads = [threading.Thread(target=lambda: answers.append(post("a").id)) for _ in range(10)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(answers) == 10
    assert len(set(answers)) == 1
    assert len(store.in_state(S.SETTLING)) == 1


def test_a_done_directory_answers_with_the_task_that_did_it(
    post: Callable[..., Task], clock: Any, put: Callable[..., bytes], work: Callable[[], list[bytes]]
) -> None:
    """However often it is asked."""
    put("a/x.mp3")
    first = post("a")
    clock.run(6)
    work()
    clock.run(1)
    assert [post("a").id, post(b"a/").id, post("./a//").id] == [first.id] * 3
    assert post("a").state is TaskState.COMPLETED


def test_a_directory_done_by_its_parents_task_answers_with_that(
    intake: Intake,
    post: Callable[..., Task],
    clock: Any,
    put: Callable[..., bytes],
    work: Callable[[], list[bytes]],
    store: TaskStore,
) -> None:
    """The watcher did all of `a`; a request for `a/b` asks for nothing new."""
    put("a/b/x.mp3")
    intake.notice_all(Source.WATCH)
    clock.run(6)
    work()
    clock.run(1)
    assert post("a/b").id == store.last_task(b"a").id


def test_done_before_the_database_was_deleted_is_a_completed_task_of_skipped_files(
    post: Callable[..., Task], put: Callable[..., bytes], transcribe: Callable[..., Path], store: TaskStore
) -> None:
    """Nothing is transcribed again."""
    transcribe(put("a/x.mp3"))
    task = post("a")
    assert task.state is TaskState.COMPLETED
    (row,) = store.files(task.id).rows
    assert (row.state, row.language, row.outputs) == (S.SKIPPED, "en", ("a/x.json",))
    assert post("a").id == task.id


def test_another_language_redoes_a_done_directory(
    post: Callable[..., Task],
    clock: Any,
    put: Callable[..., bytes],
    work: Callable[[], list[bytes]],
    store: TaskStore,
) -> None:
    """Named options that contradict what is written make a new task, once."""
    put("a/x.mp3")
    first = post("a")
    clock.run(6)
    work()
    clock.run(1)
    second = post("a", {"language": "French"})
    assert second.id != first.id
    clock.run(6)
    assert work() == [b"a/x.mp3"]
    clock.run(1)
    assert post("a", {"language": "fr"}).id == second.id
    assert store.task(second.id).state is TaskState.COMPLETED


def test_force_redoes_what_is_done(
    post: Callable[..., Task], clock: Any, put: Callable[..., bytes], work: Callable[[], list[bytes]]
) -> None:
    """Whatever lies there."""
    put("a/x.mp3")
    first = post("a")
    clock.run(6)
    work()
    clock.run(1)
    assert post("a", force=True).id != first.id
    clock.run(6)
    assert work() == [b"a/x.mp3"]


def test_options_of_a_second_request_apply_to_files_not_yet_started(
    intake: Intake, post: Callable[..., Task], clock: Any, put: Callable[..., bytes], store: TaskStore
) -> None:
    """The active task takes them over, also those the watcher brought."""
    put("a/x.mp3")
    intake.notice_all(Source.WATCH)
    clock.run(1)
    (task,) = store.tasks(states=ACTIVE).rows
    assert post("a", {"language": "fr"}, priority=3, callback_url="http://x/").id == task.id
    (row,) = store.in_state(S.SETTLING)
    assert (row.options, row.priority) == ({"language": "fr"}, 3)
    assert [each.url for each in store.callbacks(task.id)] == ["http://x/"]


def test_who_asks_for_what_another_task_does_hears_of_that_tasks_end(
    post: Callable[..., Task], clock: Any, put: Callable[..., bytes], store: TaskStore
) -> None:
    """It is the task that the answer names."""
    put("a/b/x.mp3")
    outer = post("a", callback_url="http://x/")
    clock.run(6)
    store.lease("worker", 1)
    assert post("a/b", callback_url="http://y/").id == outer.id
    store.cancel(outer.id)
    assert [each.url for each in store.due(0.0, 10)] == ["http://x/", "http://y/"]


def test_a_file_being_transcribed_is_done_again_after_if_the_text_would_change(
    post: Callable[..., Task],
    clock: Any,
    put: Callable[..., bytes],
    store: TaskStore,
    states: Callable[[], dict[bytes, list[FileState]]],
) -> None:
    """A second row waits for the first to end; asking the same again adds none."""
    put("a/x.mp3")
    post("a")
    clock.run(6)
    store.lease("worker", 1)
    post("a", {"language": "fr"})
    post("a", {"language": "fr"})
    assert states() == {b"a/x.mp3": [S.LEASED, S.SETTLING]}


def test_a_request_inside_an_active_task_takes_unstarted_files_along(
    intake: Intake, post: Callable[..., Task], clock: Any, put: Callable[..., bytes], store: TaskStore
) -> None:
    """A task of its own, with its own options."""
    put("a/b/x.mp3")
    put("a/c/y.mp3")
    intake.notice_all(Source.WATCH)
    clock.run(1)
    (outer,) = store.tasks(states=ACTIVE).rows
    inner = post("a/b", {"language": "fr"})
    assert inner.id != outer.id
    assert [(row.path, row.options) for row in store.files(inner.id).rows] == [
        (b"a/b/x.mp3", {"language": "fr"})
    ]
    assert [row.path for row in store.files(outer.id).rows] == [b"a/c/y.mp3"]
    assert post("a/b").id == inner.id


def test_a_file_that_a_request_finds_in_an_active_task_is_done_as_that_task_is(
    post: Callable[..., Task], put: Callable[..., bytes], store: TaskStore
) -> None:
    """As one that the watcher finds: what was named before holds for it too, unless it is named anew."""
    put("a/x.mp3")
    task = post("a", {"language": "fr"}, priority=3)
    put("a/y.mp3")
    assert post("a", {"task": "translate"}).id == task.id
    wanted = ({"language": "fr", "task": "translate"}, 3)
    assert [(row.options, row.priority) for row in store.files(task.id).rows] == [wanted, wanted]


def test_a_priority_of_zero_is_one_that_was_named(
    post: Callable[..., Task], put: Callable[..., bytes], store: TaskStore
) -> None:
    """What was put before others can be put back; who names none changes none."""
    put("a/x.mp3")
    task = post("a", priority=3)
    for named, priority in ((None, 3), (0, 0)):
        post("a", priority=named)
        assert store.task(task.id).priority == priority
        assert [row.priority for row in store.files(task.id).rows] == [priority]


@pytest.mark.parametrize("well", [True, False])
def test_a_task_whose_files_all_went_along_ends_as_they_do(
    intake: Intake,
    post: Callable[..., Task],
    clock: Any,
    put: Callable[..., bytes],
    store: TaskStore,
    work: Callable[[], list[bytes]],
    well: bool,
) -> None:
    """Whoever waits for the directory waits for all that is in it, whichever task does it; nothing of it has failed."""
    put("a/b/x.mp3")
    intake.notice_all(Source.WATCH)
    clock.run(1)
    (outer,) = store.tasks(states=ACTIVE).rows
    inner = post("a/b")
    clock.run(12)
    assert store.task(outer.id).state is TaskState.PENDING
    if well:
        work()
    else:
        (row,) = store.lease("worker", 1)
        store.fail(Lease(row.epoch, row.token, row.id), Problem(code="not_media", message="no"))
    clock.run(12)
    assert {store.task(each.id).state for each in (inner, outer)} == {
        TaskState.COMPLETED if well else TaskState.FAILED
    }


def test_a_request_around_an_active_task_names_its_options_for_the_files_there_too(
    post: Callable[..., Task],
    clock: Any,
    put: Callable[..., bytes],
    store: TaskStore,
    work: Callable[[], list[bytes]],
) -> None:
    """A language asked for the whole is not lost where a part of it waits already; asked twice, it is one task."""
    put("a/b/x.mp3")
    put("a/y.mp3")
    inner = post("a/b")
    outer = post("a", {"language": "fr"})
    assert [(row.path, row.options) for row in store.files(outer.id).rows] == [
        (b"a/b/x.mp3", {"language": "fr"}),
        (b"a/y.mp3", {"language": "fr"}),
    ]
    assert post("a", {"language": "fr"}).id == outer.id
    clock.run(6)
    assert work() == [b"a/b/x.mp3", b"a/y.mp3"]
    clock.run(12)
    assert {task.state for task in (store.task(inner.id), store.task(outer.id))} == {TaskState.COMPLETED}


def test_failed_files_are_tried_again_when_somebody_asks(
    intake: Intake,
    post: Callable[..., Task],
    clock: Any,
    put: Callable[..., bytes],
    store: TaskStore,
    states: Callable[[], dict[bytes, list[FileState]]],
) -> None:
    """Not by the watcher, but by a request."""
    put("a/x.mp3")
    first = post("a")
    clock.run(6)
    (row,) = store.lease("worker", 1)
    store.fail(Lease(row.epoch, row.token, row.id), Problem(code="not_media", message="no"))
    clock.run(1)
    intake.notice_all(Source.RESCAN)
    clock.run(1)
    assert states() == {b"a/x.mp3": [S.FAILED]}
    assert post("a").id != first.id
    assert states() == {b"a/x.mp3": [S.SETTLING]}


def test_outputs_removed_are_made_again_when_somebody_asks(
    post: Callable[..., Task],
    clock: Any,
    put: Callable[..., bytes],
    work: Callable[[], list[bytes]],
    workdir: Path,
) -> None:
    """The row of the first time steps aside."""
    put("a/x.mp3")
    post("a")
    clock.run(6)
    work()
    clock.run(1)
    (workdir / "a/x.json").unlink()
    post("a")
    clock.run(6)
    assert work() == [b"a/x.mp3"]


def test_a_directory_without_media_is_a_failed_task(
    post: Callable[..., Task], put: Callable[..., bytes], workdir: Path
) -> None:
    """With a code and words; the same one however often it is asked."""
    put("a/notes.txt")
    task = post("a")
    assert (task.state, task.error.code) == (TaskState.FAILED, "no_media")
    assert post("a").id == task.id
    (workdir / "empty").mkdir()
    assert post("empty").error.code == "no_media"


def test_a_directory_kept_out_says_why_it_has_no_media(
    post: Callable[..., Task], put: Callable[..., bytes]
) -> None:
    """`.nowhisper` anywhere on the way counts."""
    put("a/b/x.mp3")
    put("a/.nowhisper", b"")
    assert ".nowhisper" in post("a/b").error.message


def test_one_media_file_may_be_named(
    post: Callable[..., Task], put: Callable[..., bytes], store: TaskStore
) -> None:
    """Its path is the task's dirname; a loose one too."""
    put("a/x.mp3")
    put("a/y.mp3")
    put("loose.mp3")
    assert [row.path for row in store.files(post("a/x.mp3").id).rows] == [b"a/x.mp3"]
    assert [row.path for row in store.files(post("loose.mp3").id).rows] == [b"loose.mp3"]


def test_a_single_files_task_completes(
    post: Callable[..., Task],
    clock: Any,
    put: Callable[..., bytes],
    work: Callable[[], list[bytes]],
    store: TaskStore,
) -> None:
    """It ends like any other."""
    put("loose.mp3")
    task = post("loose.mp3")
    clock.run(6)
    assert work() == [b"loose.mp3"]
    clock.run(1)
    assert store.task(task.id).state is TaskState.COMPLETED


def test_the_root_means_loose_files(
    post: Callable[..., Task], put: Callable[..., bytes], store: TaskStore
) -> None:
    """`.` is not the whole workdir."""
    put("a/x.mp3")
    put("loose.mp3")
    assert [row.path for row in store.files(post(".").id).rows] == [b"loose.mp3"]


def test_include_and_exclude_choose(
    post: Callable[..., Task], put: Callable[..., bytes], store: TaskStore
) -> None:
    """Globs on the path below the directory, or on the name; what they leave goes its usual way."""
    for name in ("a/x.mp3", "a/y.wav", "a/b/z.mp3", "a/b/draft.mp3"):
        put(name)
    task = post("a", include=["*.mp3"], exclude=["b/draft*"])
    assert [row.path for row in store.files(task.id).rows] == [b"a/b/z.mp3", b"a/x.mp3"]
    assert task.options == {"include": ("*.mp3",), "exclude": ("b/draft*",)}


def test_what_an_active_task_excludes_comes_after_it(
    intake: Intake,
    post: Callable[..., Task],
    clock: Any,
    put: Callable[..., bytes],
    work: Callable[[], list[bytes]],
) -> None:
    """The watcher neither adds it to that task nor forgets it."""
    put("a/x.mp3")
    put("a/y.wav")
    post("a", exclude=["*.wav"])
    intake.notice_all(Source.RESCAN)
    clock.run(6)
    assert work() == [b"a/x.mp3"]
    clock.run(6)
    intake.notice_all(Source.RESCAN)
    clock.run(6)
    assert work() == [b"a/y.wav"]


def test_named_options_win_over_whisper_toml(
    post: Callable[..., Task], put: Callable[..., bytes], store: TaskStore
) -> None:
    """The file says what holds where nothing is named."""
    put("a/x.mp3")
    put("a/whisper.toml", b'language = "en"\nword_timestamps = true')
    post("a", {"language": "fr"})
    (row,) = store.in_state(S.SETTLING)
    assert row.options == {"language": "fr", "word_timestamps": True}


def test_rendering_options_render_again_from_the_json(
    make_intake: Callable[..., Intake], put: Callable[..., bytes], transcribe: Callable[..., Path]
) -> None:
    """No text changes, so nothing is transcribed."""
    rendered = []
    intake = make_intake(render=lambda path, named: rendered.append((path, named["max_line_width"])))
    transcribe(put("a/x.mp3"), word_timestamps=True)
    assert intake.submit("a", Source.API, {"max_line_width": 40}).state is TaskState.COMPLETED
    assert rendered == [(b"a/x.mp3", 40)]


@pytest.mark.parametrize(
    "dirname", ["", "/", "/etc", "..", "../x", "a/../../x", "a/..", "a\0b", "\ud800", "a/" + "n" * 300]
)
def test_a_bad_path_is_refused(post: Callable[..., Task], dirname: str, put: Callable[..., bytes]) -> None:
    """Absolute, upwards, NUL, no name, too long."""
    put("a/x.mp3")
    with pytest.raises(BadPathError):
        post(dirname)


@pytest.mark.parametrize("dirname", [".whisper", ".whisper/uploads"])
def test_the_services_own_folder_is_refused(
    post: Callable[..., Task], dirname: str, put: Callable[..., bytes]
) -> None:
    """A task there would have its report written among the queue's files."""
    put(".whisper/uploads/x.mp3")
    with pytest.raises(BadPathError, match="own"):
        post(dirname)


def test_a_path_through_a_link_that_leaves_is_refused(
    post: Callable[..., Task], workdir: Path, tmp_path: Path
) -> None:
    """As the last part and in the middle."""
    (tmp_path / "elsewhere/inner").mkdir(parents=True)
    (tmp_path / "elsewhere/inner/x.mp3").write_bytes(b"x")
    (workdir / "out").symlink_to(tmp_path / "elsewhere")
    for dirname in ("out", "out/inner", "out/inner/x.mp3"):
        with pytest.raises(BadPathError):
            post(dirname)


def test_a_link_that_stays_inside_means_its_target(
    post: Callable[..., Task], put: Callable[..., bytes], workdir: Path
) -> None:
    """One directory, one task, by whatever name."""
    put("a/x.mp3")
    (workdir / "alias").symlink_to("a")
    assert post("alias").dirname == b"a"


def test_a_file_that_is_no_media_is_refused(post: Callable[..., Task], put: Callable[..., bytes]) -> None:
    """By its extension."""
    put("a/notes.txt")
    with pytest.raises(BadPathError):
        post("a/notes.txt")


def test_what_is_not_there_is_not_found(post: Callable[..., Task], put: Callable[..., bytes]) -> None:
    """Also below a file."""
    put("a/x.mp3")
    for dirname in ("nowhere", "a/nowhere", "a/x.mp3/below"):
        with pytest.raises(NotFoundError):
            post(dirname)


def test_an_unknown_option_is_refused_before_anything_is_made(
    post: Callable[..., Task], put: Callable[..., bytes], store: TaskStore
) -> None:
    """Nothing half-done."""
    put("a/x.mp3")
    with pytest.raises(BadOptionsError):
        post("a", {"langage": "fr"})
    assert store.active_dirnames() == {}


def test_nothing_is_taken_while_the_workdir_is_away(post: Callable[..., Task], workdir: Path) -> None:
    """It may be back in a moment."""
    workdir.rename(workdir.parent / "away")
    with pytest.raises(UnavailableError):
        post("a")


SEGMENTS = st.one_of(
    st.sampled_from(
        ["..", ".", "", "a", "out", "x.mp3", "~", "\0", "%2e%2e", "..\\", "\udcff", "\ud800", "é", "\n"]
    ),
    st.text(max_size=8),
)


@settings(max_examples=300, deadline=None)
@given(parts=st.lists(SEGMENTS, max_size=6), absolute=st.booleans())
def test_no_dirname_escapes_or_breaks(parts: list[str], absolute: bool, fuzzed: tuple[Intake, bytes]) -> None:
    """Whatever it is, it is refused in our words, or means a place in the workdir."""
    intake, root = fuzzed
    dirname = ("/" if absolute else "") + "/".join(parts)
    try:
        task = intake.submit(dirname, Source.API)
    except (BadPathError, NotFoundError):
        return
    real = os.path.realpath(root + b"/" + task.dirname)
    assert real == root or real.startswith(root + b"/")


@pytest.fixture(scope="module")
def fuzzed(tmp_path_factory: pytest.TempPathFactory) -> Any:
    """Build an Intake of a workdir with a link that leaves it."""
    base = tmp_path_factory.mktemp("fuzz")
    (base / "workdir/a").mkdir(parents=True)
    (base / "workdir/a/x.mp3").write_bytes(b"x")
    (base / "workdir/out").symlink_to(base)
    database = open_database(f"sqlite:///{base}/queue.db")
    yield (
        Intake(TaskStore(database), base / "workdir", output_dir=None, quiet_seconds=5.0),
        os.fsencode(base / "workdir"),
    )
    database.close()


def test_a_request_looks_for_no_transcript_of_a_file_that_waits(
    post: Callable[..., Task], put: Callable[..., bytes], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Twenty thousand files on their way answer in a second, not in six."""
    put("a/x.mp3")
    first = post("a")
    put("a/y.mp3")
    asked: list[bytes] = []
    monkeypatch.setattr("pipeline.ingest.evidence.outputs.written_for", lambda *found: asked.append(found[2]))
    assert post("a").id == first.id
    assert asked == [b"a/y.mp3"]
