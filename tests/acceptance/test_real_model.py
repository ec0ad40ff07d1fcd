"""The real thing once on each path that the fake engine serves: real weights, real recordings, real processes."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
import wave
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import openai
import psutil
import pytest

from tests.acceptance.harness import ROOT, SAMPLES, Service, until

pytestmark = [pytest.mark.real_model, pytest.mark.timeout(600)]

CORE_LIMIT = 150 << 20  # bytes resident: no torch in the core
LANGUAGES = {"english": "en", "french": "fr"}


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    """Return one service with the real engine for all tests of this file."""
    service = Service(tmp_path_factory.mktemp("real") / "workdir", "--quiet_seconds", "1").start()
    yield service
    service.stop()


@pytest.fixture(scope="module")
def dropped(running: Service) -> dict[str, dict[str, Any]]:
    """Drop a folder of each language; return their tasks once they have ended."""
    for name in LANGUAGES:
        shutil.copytree(SAMPLES / name, running.workdir / name)
    return {name: running.done(name, 300) for name in LANGUAGES}


def text(path: Path) -> str:
    """Return a transcript in lower case."""
    return str(json.loads(path.with_suffix(".json").read_text(encoding="utf-8"))["text"]).lower()


def test_english_and_french_folders_are_transcribed_as_they_are_dropped(
    running: Service, dropped: dict[str, dict[str, Any]]
) -> None:
    """Each in its language, found by itself or named in whisper.toml."""
    for name, language in LANGUAGES.items():
        assert dropped[name]["task_status"] == "completed"
        assert {file["language"] for file in dropped[name]["files"]} == {language}
    assert "ask what you can do for your country" in text(running.workdir / "english" / "jfk.flac")
    assert "des montagnes, des bois" in text(running.workdir / "french" / "elevation.mp3")


@pytest.mark.usefixtures("dropped")
def test_a_client_of_openais_hears_the_same_text_as_the_drop_folder(running: Service) -> None:
    """Through their own package, with a time for every word."""
    client = openai.OpenAI(base_url=f"{running.url}/v1", api_key="none")
    recording = running.workdir / "english" / "jfk.flac"
    heard = client.audio.transcriptions.create(model="whisper-1", file=recording)
    assert heard.text.lower() == text(recording).strip()
    timed = client.audio.transcriptions.create(
        model="whisper-1", file=recording, response_format="verbose_json", timestamp_granularities=["word"]
    )
    assert timed.words
    assert [word.word.strip(",.") for word in timed.words][-4:] == ["do", "for", "your", "country"]


def test_silence_has_no_words(running: Service) -> None:
    """Whisper invents words for silence; voice activity hears none."""
    quiet = running.workdir.parent / "silence.wav"
    with wave.open(str(quiet), "wb") as out:
        out.setnchannels(1)
        out.setsampwidth(2)
        out.setframerate(16_000)
        out.writeframes(bytes(2 * 16_000 * 40))
    (running.workdir / "silence").mkdir()
    quiet.rename(running.workdir / "silence" / "silence.wav")
    assert running.done("silence", 300)["task_status"] == "completed"
    assert text(running.workdir / "silence" / "silence.wav") == ""


def test_exact_mode_hears_the_same_speech_word_by_word(tmp_path: Path) -> None:
    """One shot, whisper's own algorithm, with a time for every word and lines of limited width."""
    shutil.copy(SAMPLES / "english" / "jfk.flac", tmp_path)
    command = [sys.executable, str(ROOT / "app.py"), "--state_dir", str(tmp_path / "state"), "transcribe"]
    options = ("--exact", "--max_line_width", "30", "--beam_size", "None", "--language", "en")
    subprocess.run([*command, *options, str(tmp_path / "jfk.flac")], check=True, timeout=300)
    result = json.loads((tmp_path / "jfk.json").read_text())
    words = [word for segment in result["segments"] for word in segment["words"]]
    assert "".join(word["word"] for word in words).strip() == result["text"].strip()
    assert all(len(line) <= 30 for line in (tmp_path / "jfk.srt").read_text().splitlines())


def test_the_core_stays_small(running: Service) -> None:
    """No torch in it: the model lives in a child that can be killed."""
    core = running.find("core")
    assert core.memory_info().rss < CORE_LIMIT
    assert not [line for line in core.memory_maps() if "torch" in line.path]


def test_a_child_killed_in_the_middle_costs_one_batch(running: Service) -> None:
    """The real thing killed with -9; the file is done once."""
    (running.workdir / "kill").mkdir()
    verse = (SAMPLES / "english" / "sonnet-1.mp3").read_bytes()
    (running.workdir / "kill" / "one.mp3").write_bytes(verse * 4)  # another content: a twin would be copied
    until(lambda: any(task["task_status"] == "running" for task in running.tasks("kill")))
    child = running.find("child")
    child.kill()
    psutil.wait_procs([child], timeout=60)
    task = running.done("kill", 300)
    assert task["counts"] == {"done": 1}
