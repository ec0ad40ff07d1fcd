"""The core killed before each step of a commit: old or new, never torn, JSON last, and recovery completes it."""

import os
import signal
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from pipeline.options import Options
from pipeline.relay.commit import Committer
from pipeline.relay.messages import Result, Segment, Window
from pipeline.tasks import FileState, Fingerprint, MediaFile

STEPS = ("fsync", "link", "rename", "unlink")  # what a commit does to the disk
OUTPUTS = {f"talk.{each}" for each in ("txt", "srt", "vtt", "tsv", "json")}
MOST_STEPS = 200
MEMORY = Path("/dev/shm")  # noqa: S108 - hundreds of commits: a disk would take its time to flush


@pytest.fixture
def tmp_path() -> Iterator[Path]:
    """Return a folder in memory where there is one; a killed process loses nothing of it."""
    with tempfile.TemporaryDirectory(dir=MEMORY if MEMORY.is_dir() else None) as folder:
        yield Path(folder)


def media(**values: Any) -> MediaFile:
    given = {"state": FileState.COMMITTING, "fingerprint": Fingerprint(5, 6), "options": {}, "text_key": ""}
    return MediaFile(id=1, task_id="t", path=b"talk.mp3", **given | values)


def heard(text: str) -> Result:
    window = Window(
        start=0, end=1, next_start=1, segments=(Segment(start=0.0, end=1.5, text=text, tokens=(1,)),)
    )
    return Result(
        epoch=1,
        token=1,
        file_id=1,
        windows=(window,),
        language="fr",
        duration=1.5,
        decoded=1.5,
        size=5,
        mtime_ns=6,
        sha256="a" * 64,
        model="base",
        model_sha256="b" * 64,
    )


def contents(root: Path) -> dict[str, bytes]:
    return {each.name: each.read_bytes() for each in root.iterdir() if each.name != "talk.mp3"}


def start(root: Path, text: str | None) -> dict[str, bytes]:
    """Make a workdir with one source, and its outputs where there is a text."""
    root.mkdir()
    (root / "talk.mp3").write_bytes(b"sound")
    if text:
        committer = Committer(root, None, "1.0")
        committer.put(committer.prepare(media(), heard(text), Options()))
    return contents(root)


def killed_at(step: int, work: Callable[[], object]) -> bool:
    """Do the work in a process that is killed before its `step`-th change of the disk; tell whether it was."""
    child = os.fork()
    if child == 0:
        left = [step]
        for name in STEPS:
            setattr(os, name, _deadly(getattr(os, name), left))
        work()
        os._exit(0)
    return os.WIFSIGNALED(os.waitpid(child, 0)[1])


def _deadly(real: Callable[..., Any], left: list[int]) -> Callable[..., Any]:
    def call(*args: Any, **kwargs: Any) -> Any:
        left[0] -= 1
        if left[0] < 0:
            os.kill(os.getpid(), signal.SIGKILL)
        return real(*args, **kwargs)

    return call


@pytest.mark.parametrize("old_text", [None, " Old."], ids=["first", "again"])
def test_a_crash_at_any_step_leaves_old_or_new_and_is_completed(old_text: str | None, tmp_path: Path) -> None:
    """Each file is one or the other, a new JSON stands among new files only; then is_there completes or clears."""
    reference = tmp_path / "reference"
    start(reference, old_text)
    committer = Committer(reference, None, "1.0")
    prepared = committer.prepare(media(), heard(" New."), Options())
    new = dict(
        zip(
            (os.fsdecode(name) for name, _ in prepared.files), (raw for _, raw in prepared.files), strict=True
        )
    )
    completed = 0
    for step in range(MOST_STEPS):
        root = tmp_path / str(step)
        old = start(root, old_text)
        one = Committer(root, None, "1.0")
        if not killed_at(step, lambda one=one: one.put(prepared)):  # type: ignore[misc]
            break
        check_nothing_torn(contents(root), old, new)
        after = Committer(root, None, "1.0")
        put = after.is_there(media(output_sha256=prepared.sha256))
        assert contents(root) == (new if put else old)
        completed += bool(put)
        again = after.put(after.prepare(media(), heard(" New."), Options()))
        assert contents(root) == new
        assert put in (None, again)
    else:
        pytest.fail("it never got to the end")
    assert completed > 5


def check_nothing_torn(found: dict[str, bytes], old: dict[str, bytes], new: dict[str, bytes]) -> None:
    visible = {name: raw for name, raw in found.items() if not name.startswith(".")}
    assert set(visible) <= OUTPUTS
    assert all(raw in (old.get(name), new[name]) for name, raw in visible.items())
    if visible.get("talk.json") == new["talk.json"]:
        assert visible == new


def test_a_crash_while_recovering_is_recovered_from(tmp_path: Path) -> None:
    """Killed at every step of completing, too."""
    for step in range(MOST_STEPS):
        root = tmp_path / str(step)
        start(root, " Old.")
        committer = Committer(root, None, "1.0")
        prepared = committer.prepare(media(), heard(" New."), Options())
        assert killed_at(halfway(tmp_path), lambda: committer.put(prepared))  # noqa: B023 - called at once
        file = media(output_sha256=prepared.sha256)
        dead = killed_at(step, lambda: Committer(root, None, "1.0").is_there(file))  # noqa: B023 - called at once
        assert Committer(root, None, "1.0").is_there(file)
        assert set(contents(root)) == OUTPUTS
        assert "New." in (root / "talk.txt").read_text()
        if not dead:
            break


_HALFWAY: list[int] = []


def halfway(tmp_path: Path) -> int:
    """Return the step at which the first output has its new name and the others do not."""
    while not _HALFWAY:
        for step in range(MOST_STEPS):
            root = tmp_path / f"halfway{step}"
            start(root, " Old.")
            committer = Committer(root, None, "1.0")
            prepared = committer.prepare(media(), heard(" New."), Options())
            killed_at(step, lambda: committer.put(prepared))  # noqa: B023 - called at once
            if "New." in (root / "talk.txt").read_text():
                _HALFWAY.append(step)
                break
    return _HALFWAY[0]


def test_a_strangers_file_that_came_after_the_crash_is_kept(tmp_path: Path) -> None:
    """Then the commit is not completed: the file is done again, under other names."""
    root = tmp_path / "w"
    step = halfway(tmp_path)
    start(root, " Old.")
    committer = Committer(root, None, "1.0")
    prepared = committer.prepare(media(), heard(" New."), Options())
    assert killed_at(step, lambda: committer.put(prepared))
    (root / "talk.tsv").write_text("corrected")
    assert Committer(root, None, "1.0").is_there(media(output_sha256=prepared.sha256)) is None
    assert (root / "talk.tsv").read_text() == "corrected"
    assert set(contents(root)) == OUTPUTS
