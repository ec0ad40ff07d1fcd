"""Bad input: a clear code and message on the file, the rest of the directory done, nothing lost."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import imageio_ffmpeg
import pytest

from tests.acceptance.harness import ROOT, Service, tone, until

# root, but bound by permissions like anybody else
NO_PRIVILEGE = ["setpriv", "--bounding-set=-dac_override,-dac_read_search"] if os.geteuid() == 0 else []


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder with everything people drop by mistake, and good files between."""
    top = tmp_path_factory.mktemp("bad") / "mixed"
    good = tone(top / "good.wav", 2, 440)
    shutil.copy(tone(top.parent / "a.wav", 2, 450), top / "talk.wav")
    (top / "talk.txt").write_text("my own notes\n")
    for junk in ("Thumbs.db", ".DS_Store", "paper.pdf", "notes.txt"):
        (top / junk).write_text("junk")
    (top / "@eaDir").mkdir()
    shutil.copy(good, top / "@eaDir" / "thumb.wav")
    (top / "zero.mp3").touch()
    (top / "random.mp3").write_bytes(os.urandom(20_000))
    (top / "text.mp3").write_text("not audio at all\n" * 20)
    (top / "concat.wav").write_text(f"ffconcat version 1.0\nfile '{good}'\n")
    (top / "list.wav").write_text(f"#EXTM3U\n#EXT-X-TARGETDURATION:2\n#EXTINF:2,\n{good}\n#EXT-X-ENDLIST\n")
    ffmpeg = imageio_ffmpeg.get_ffmpeg_exe()
    silent = ("-f", "lavfi", "-i", "color=c=black:s=64x64:d=1", "-an", str(top / "video.mkv"))
    subprocess.run([ffmpeg, "-loglevel", "error", "-y", *silent], check=True)
    long = tone(top.parent / "long.wav", 10, 460)
    (top / "cut.wav").write_bytes(long.read_bytes()[:200_000])
    for name in (b"-dash.wav", b"per%03dcent.wav", b"new\nline.wav", b"latin\xe9.wav", b"n" * 251 + b".wav"):
        path = tone(top.parent / "x.wav", 1, 470 + len(name))
        path.rename(top / os.fsdecode(name))
    outside = tone(top.parent / "secret.wav", 1, 480)
    (top / "link.wav").symlink_to(outside)
    return top


@pytest.fixture(scope="module")
def answer(folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[dict, Path]]:
    """Return the monitoring answer over that folder, and where it was dropped."""
    running = Service(
        tmp_path_factory.mktemp("w") / "workdir", "--engine", "fake", "--quiet_seconds", "1"
    ).start()
    shutil.copytree(folder, running.workdir / "mixed", symlinks=True)
    yield running.done("mixed", 90), running.workdir / "mixed"
    running.stop()


def file(answer: tuple[dict, Path], name: str) -> dict:
    """Return one file's part of the answer."""
    found = [each for each in answer[0]["files"] if each["path"] == f"mixed/{name}"]
    assert found, [each["path"] for each in answer[0]["files"]]
    return dict(found[0])


def test_the_rest_of_the_directory_is_done(answer: tuple[dict, Path]) -> None:
    """A bad file neither stops the batch nor vanishes."""
    assert answer[0]["task_status"] == "partial"
    assert file(answer, "good.wav")["status"] == "done"


@pytest.mark.parametrize(
    ("name", "code"),
    [
        ("zero.mp3", "empty"),
        ("random.mp3", "not_media"),
        ("text.mp3", "not_media"),
        ("concat.wav", "not_media"),
        ("list.wav", "not_media"),
        ("video.mkv", "no_audio"),
        ("link.wav", "outside_workdir"),
    ],
)
def test_what_cannot_be_transcribed_says_why(answer: tuple[dict, Path], name: str, code: str) -> None:
    """A code for programs, a message for people, no retry in vain."""
    failed = file(answer, name)
    assert (failed["status"], failed["error"]["code"]) == ("failed", code)
    assert failed["attempts"] <= 1
    assert len(failed["error"]["message"]) > 20


def test_a_cut_file_is_done_with_a_warning(answer: tuple[dict, Path]) -> None:
    """FFmpeg's exit code 0 is not success."""
    cut = file(answer, "cut.wav")
    assert cut["status"] == "done"
    assert any(warning.startswith("truncated") for warning in cut["warnings"])


@pytest.mark.parametrize("name", [b"-dash.wav", b"per%03dcent.wav", b"new\nline.wav", b"latin\xe9.wav"])
def test_strange_names_are_transcribed(answer: tuple[dict, Path], name: bytes) -> None:
    """Names are bytes."""
    assert file(answer, name.decode("utf-8", "backslashreplace"))["status"] == "done"
    assert (answer[1] / os.fsdecode(name.replace(b".wav", b".json"))).exists()


def test_a_name_of_255_bytes_gets_shortened_outputs(answer: tuple[dict, Path]) -> None:
    """No room for an ending is no reason to fail."""
    long = file(answer, "n" * 251 + ".wav")
    assert long["status"] == "done"
    assert any(name.endswith(".json") for name in long["outputs"])


def test_a_text_of_the_users_own_is_never_overwritten(answer: tuple[dict, Path]) -> None:
    """talk.txt beside talk.wav."""
    assert (answer[1] / "talk.txt").read_text() == "my own notes\n"
    assert (answer[1] / "talk.wav.txt").exists()
    assert file(answer, "talk.wav")["warnings"]


def test_junk_is_no_file_of_ours(answer: tuple[dict, Path]) -> None:
    """Neither tried nor listed."""
    paths = {each["path"] for each in answer[0]["files"]}
    assert not paths & {
        f"mixed/{name}" for name in ("Thumbs.db", ".DS_Store", "paper.pdf", "notes.txt", "@eaDir/thumb.wav")
    }


def test_people_find_the_failures_in_the_folder(answer: tuple[dict, Path]) -> None:
    """A person who never opens the API sees what became of the folder."""
    board = answer[1] / "transcription-status.json"
    until(lambda: board.exists() and json.loads(board.read_text())["task_status"] == "partial")
    assert "zero.mp3" in board.with_suffix(".txt").read_text()


def test_a_directory_removed_while_it_is_transcribed_fails_nothing(service: Callable[..., Service]) -> None:
    """Gone is gone, and says so."""
    running = service(env={"WHISPER_FAKE_DELAY": "1"}).start()
    for n in range(4):
        tone(running.workdir / "gone" / f"{n}.wav", 45, 300 + n)
    until(lambda: running.tasks("gone") and running.tasks("gone")[0]["task_status"] == "running")
    shutil.rmtree(running.workdir / "gone")
    counts = running.done("gone")["counts"]
    assert counts.get("failed", 0) == 0
    assert counts["skipped"] >= 1
    assert running.ask("GET", "/readyz")[0] == 200


def test_an_unreadable_file_heals_by_chmod(service: Callable[..., Service], tmp_path: Path) -> None:
    """Tried again, and done once it can be read."""
    running = service("--rescan_cron", "1s")
    running.command[:0] = NO_PRIVILEGE
    running.start()
    outside = tone(tmp_path / "locked" / "one.wav", 1, 333)
    outside.chmod(0)
    path = outside.parent.rename(running.workdir / "locked") / outside.name

    def problem() -> str | None:
        files = [file for task in running.tasks("locked") for file in running.task(task["task_id"])["files"]]
        return next((file["error"]["code"] for file in files if file["error"]), None)

    assert until(problem) == "unreadable"
    path.chmod(0o644)
    until(path.with_suffix(".json").exists)


def test_a_workdir_that_is_not_writable_is_said_at_start(tmp_path: Path) -> None:
    """With the --user that would fit, exit 3 and no traceback."""
    workdir = tmp_path / "workdir"
    workdir.mkdir(mode=0o555)
    command = [*NO_PRIVILEGE, sys.executable, str(ROOT / "app.py"), "--workdir", str(workdir)]
    result = subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)
    assert result.returncode == 3
    assert "not writable" in result.stderr
    assert f"--user {os.geteuid()}:{os.getegid()}" in result.stderr
    assert "Traceback" not in result.stderr
