"""The command line as people live it: what is printed, what is left, and the exit code."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from pathlib import Path

import pytest

from tests.acceptance.harness import ROOT, Service, run, tone, until


def transcribe(workdir: Path, *words: str, **env: str) -> subprocess.CompletedProcess[str]:
    """Transcribe with the fake engine."""
    return run(workdir, "transcribe", *words, "--engine", "fake", **env)


@pytest.fixture
def workdir(tmp_path: Path) -> Path:
    """Return a workdir with one recording in a folder."""
    tone(tmp_path / "workdir/talks/a.wav")
    return tmp_path / "workdir"


def test_transcribe_does_its_work_in_few_words_and_only_once(workdir: Path) -> None:
    """Plain lines without log noise; a second run finds all done; a new file is done alone."""
    first = transcribe(workdir, str(workdir / "talks"))
    assert first.returncode == 0
    assert "talks: completed 100%" in first.stderr
    assert [word for word in ("WARNING", "INFO", "SQLite") if word in first.stderr] == []
    stamp = (workdir / "talks/a.json").stat().st_mtime_ns
    tone(workdir / "talks/b.wav", pitch=500)
    assert transcribe(workdir, str(workdir / "talks")).returncode == 0
    assert (workdir / "talks/b.txt").exists()
    assert (workdir / "talks/a.json").stat().st_mtime_ns == stamp


def test_a_log_level_that_is_asked_for_is_given(workdir: Path) -> None:
    """Quiet is only the default."""
    told = run(workdir, "--log_level", "info", "transcribe", str(workdir / "talks"), "--engine", "fake")
    assert "INFO    transcriber started" in told.stderr.replace("whisper", "")


def test_a_failed_file_is_named_and_the_exit_code_is_1(workdir: Path) -> None:
    """The others are done."""
    (workdir / "talks/bad.mp3").write_bytes(b"no sound")
    (workdir / "talks/out.mp3").symlink_to("/etc/hostname")
    ended = transcribe(workdir, str(workdir / "talks"))
    assert ended.returncode == 1
    assert "talks/out.mp3: The link leaves the workdir" in ended.stderr
    assert "talks/bad.mp3: The content is not audio or video" in ended.stderr
    assert (workdir / "talks/a.txt").exists()


@pytest.mark.parametrize(
    ("words", "code", "said"),
    [
        (["transcribe", "nowhere"], 2, "nowhere does not exist"),
        (["transcribe", "n" * 300], 2, "cannot be looked at: File name too long"),
        (["transcribe", "talks", "--output_dir", "notes.txt"], 3, "--output_dir"),
        (["--workdir", "~nobody-of-that-name", "status"], 2, "no such home directory"),
        (["transcribe", "notes.txt"], 2, "notes.txt is neither a directory nor a media file by its name"),
        (["transcribe", "empty"], 1, "empty holds no audio or video file"),
        (["transcribe", "talks", "--temperature", "3"], 2, "temperature must be 0 to 1"),
        (["transcribe", "talks", "--model_size", "./nonexistent.pt"], 3, "neither a model's name nor a file"),
        (["start-service", "--mounting_path", "http://x/y"], 2, "give the path alone"),
        (["start-service", "--rescan_cron", "99 * * * *"], 2, "outside 0-59"),
        (["--config", "bad.toml", "start-service"], 2, "bad.toml"),
        (["fetch-model", "nonsense"], 2, "not one of"),
        (["status", "nothing"], 1, "there is no queue at"),
        (["--workdir", "elsewhere", "status"], 1, "is this the right --workdir?"),
        (["frobnicate"], 2, "No such command"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_a_mistake_gets_words_and_a_code_never_a_traceback(
    workdir: Path, monkeypatch: pytest.MonkeyPatch, words: list[str], code: int, said: str
) -> None:
    """2 is the caller's, 3 the environment's."""
    (workdir / "notes.txt").write_text("hi")
    (workdir / "bad.toml").write_text("port = = 5")
    (workdir / "empty").mkdir()
    monkeypatch.chdir(workdir)
    ended = run(workdir, *words)
    assert (ended.returncode, "Traceback" in ended.stderr) == (code, False)
    assert said in ended.stderr


def test_a_port_or_workdir_that_cannot_be_used_is_exit_3(tmp_path: Path, workdir: Path) -> None:
    """With what to do."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = str(taken.getsockname()[1])
        ended = run(workdir, "start-service", "--port", port, "--engine", "fake")
    assert (ended.returncode, "choose another --port" in ended.stderr) == (3, True)
    (tmp_path / "file").write_text("")
    ended = run(tmp_path / "file", "start-service", "--engine", "fake")
    assert (ended.returncode, "is a file; the workdir must be a folder" in ended.stderr) == (3, True)
    no_ffmpeg = {"PATH": str(tmp_path), "IMAGEIO_FFMPEG_EXE": str(tmp_path / "none")}
    ended = run(workdir, "start-service", "--port", "0", "--engine", "fake", **no_ffmpeg)
    assert (ended.returncode, "install the 'ffmpeg' package" in ended.stderr) == (3, True)


def test_ctrl_c_keeps_what_is_finished(workdir: Path) -> None:
    """130 as shells say, with a word; run again, the rest is done."""
    for number in range(6):
        tone(workdir / f"talks/{number}.wav", pitch=600 + number)
    command = [sys.executable, str(ROOT / "app.py"), "--workdir", str(workdir), "transcribe"]
    command += [str(workdir / "talks"), "--engine", "fake"]
    env = os.environ | {"WHISPER_FAKE_DELAY": "1", "WHISPER_FAKE_BATCH": "1"}
    heed = partial(
        signal.signal, signal.SIGINT, signal.SIG_DFL
    )  # a shell's background jobs are born deaf to it
    process = subprocess.Popen(command, stderr=subprocess.PIPE, text=True, env=env, preexec_fn=heed)  # noqa: PLW1509 - no threads here
    until(lambda: list((workdir / "talks").glob("?.json")))
    process.send_signal(signal.SIGINT)
    _, said = process.communicate(timeout=60)
    assert process.returncode == 130
    assert "interrupted: what is finished is kept" in said
    assert "Traceback" not in said
    assert transcribe(workdir, str(workdir / "talks")).returncode == 0
    assert len(list((workdir / "talks").glob("*.srt"))) == 7


def test_the_workdir_by_name_is_its_folders_that_hold_media(workdir: Path) -> None:
    """Neither the lack of loose files nor a folder of papers or thumbnails is a failure."""
    (workdir / "papers").mkdir()
    (workdir / "papers" / "notes.txt").write_text("nothing to hear")
    tone(workdir / "@eaDir" / "thumb.wav")
    ended = transcribe(workdir, str(workdir))
    assert ended.returncode == 0, ended.stderr
    assert list((workdir / "talks").glob("*.srt"))
    assert not list((workdir / "@eaDir").glob("*.srt"))


def test_a_read_only_source_with_an_output_dir_gets_nothing_but_read(tmp_path: Path) -> None:
    """Outside any workdir; state lies in the state directory, texts in the output directory."""
    folder = tmp_path / "archive/talks"
    tone(folder / "a.wav")
    folder.chmod(0o555)
    state = str(tmp_path / "state")
    ended = transcribe(
        tmp_path / "unused", str(folder), "--output_dir", str(tmp_path / "out"), WHISPER_STATE_DIR=state
    )
    folder.chmod(0o755)
    assert ended.returncode == 0, ended.stderr
    assert [each.name for each in (tmp_path / "archive").rglob("*")] == ["talks", "a.wav"]
    assert list((tmp_path / "out").rglob("a.txt"))


def test_status_retry_cancel_and_forget_without_a_service(workdir: Path) -> None:
    """From the database alone."""
    (workdir / "talks/bad.mp3").write_bytes(b"no sound")
    transcribe(workdir, str(workdir / "talks"))
    assert "partial" in run(workdir, "status").stdout
    failed = run(workdir, "status", "--failed").stdout
    assert "bad.mp3" in failed
    assert "a.wav" not in failed
    assert "will be tried again" in run(workdir, "retry", "talks").stdout
    assert "cancelled" in run(workdir, "cancel", "talks").stdout
    assert run(workdir, "cancel", "talks").returncode == 1
    ended = run(workdir, "forget", str(workdir / "talks"))
    assert "talks: forgotten, 5 files erased" in ended.stdout
    assert sorted(each.name for each in (workdir / "talks").glob("[ab]*")) == ["a.wav", "bad.mp3"]


def test_the_same_through_a_running_service(workdir: Path, service: Callable[..., Service]) -> None:
    """Nobody has to stop it: the commands find it and ask; a name that is not UTF-8 too."""
    running = service().start()
    running.done("talks")
    assert "completed" in run(workdir, "status", "talks").stdout + run(workdir, "status").stdout
    (workdir / "caf\udce9").mkdir()
    tone(workdir / "caf\udce9/b.wav", pitch=700)
    ended = transcribe(workdir, str(workdir / "talks"), "--beam_size", "1")
    assert (ended.returncode, "--beam_size: the service that runs" in ended.stderr) == (2, True)
    ended = transcribe(workdir, os.fsdecode(b"%s/caf\xe9" % os.fsencode(workdir)))
    assert ended.returncode == 0, ended.stderr
    assert (workdir / "caf\udce9/b.txt").exists()
    (workdir / "talks/a.wav").rename(workdir.parent / "a.wav")
    ended = run(workdir, "forget", "talks")
    assert ended.returncode == 0, ended.stderr
    assert [each.suffix for each in (workdir / "talks").glob("a.*")] == []


def test_doctor_says_one_line_each(workdir: Path, tmp_path: Path) -> None:
    """And fails where there is no model."""
    cache = str(tmp_path / "cache")
    ended = run(workdir, "--path2whisper_cache", cache, "doctor", "--model_size", "./none.pt")
    assert ended.returncode == 1
    assert [line[:4] for line in ended.stdout.splitlines()].count("FAIL") == 1
    assert "Traceback" not in ended.stderr


def test_ffmpeg_dies_with_its_worker(tmp_path: Path, service: Callable[..., Service]) -> None:
    """Even when the worker is killed while FFmpeg waits for room; its limits are those we set."""
    tone(tmp_path / "workdir/long/a.wav", seconds=900)
    running = service(env={"WHISPER_FAKE_DELAY": "5", "WHISPER_FAKE_BATCH": "1"}).start()
    running.post("long")

    def runs(place: Path) -> bool:
        with suppress(OSError):  # it has ended meanwhile
            return b"ffmpeg" in (place / "cmdline").read_bytes().split(b"\0")[0]
        return False

    found = until(
        lambda: [
            place for each in running.find("child").children() if runs(place := Path(f"/proc/{each.pid}"))
        ]
    )
    limits = (found[0] / "limits").read_text()
    assert f"Max address space         {2 << 30} " in limits
    assert "Max file size             0 " in limits
    running.kill("child")
    until(lambda: not any(map(runs, found)))


def test_transcribe_leaves_alone_what_waits_of_an_earlier_call(workdir: Path, tmp_path: Path) -> None:
    """Else it would lie under this call's --output_dir, made with this call's model, and come first."""
    for number in range(6):
        tone(workdir / f"archive/{number}.wav", 30, 300 + number)
    interrupted_transcribe(workdir, "archive")
    ended = transcribe(workdir, str(workdir / "talks"), "--output_dir", str(tmp_path / "out"))
    assert ended.returncode == 0
    assert (tmp_path / "out/talks/a.txt").exists()
    assert not (tmp_path / "out/archive").exists()
    assert transcribe(workdir, str(workdir / "archive")).returncode == 0
    assert len(list(workdir.glob("archive/?.txt"))) == 6


def test_transcribe_goes_on_with_what_waits_below_its_directory(workdir: Path) -> None:
    """Those files stay an earlier call's, and the directory around them is not done without them."""
    tone(workdir / "archive/box/old.wav", 30, 300)
    tone(workdir / "archive/new.wav", 1, 400)
    interrupted_transcribe(workdir, "archive/box")
    assert transcribe(workdir, str(workdir / "archive")).returncode == 0
    assert (workdir / "archive/box/old.txt").exists()


def interrupted_transcribe(workdir: Path, dirname: str) -> None:
    """Leave a directory's files waiting in the queue."""
    command = [
        *(sys.executable, str(ROOT / "app.py"), "--workdir", str(workdir)),
        *("transcribe", str(workdir / dirname), "--engine", "fake"),
    ]  # fmt: skip
    slow = os.environ | {"WHISPER_FAKE_DELAY": "1"}
    with subprocess.Popen(command, env=slow, stderr=subprocess.DEVNULL) as earlier:
        until(lambda: run(workdir, "status", dirname).returncode == 0)
        earlier.send_signal(signal.SIGINT)
