"""However a folder arrives, each file is picked up once, complete."""

from __future__ import annotations

import json
import shutil
import threading
import time
from collections.abc import Callable
from pathlib import Path

from tests.acceptance.harness import Service, tone, until

FORMATS = ("txt", "srt", "vtt", "tsv", "json")


def transcript(audio: Path) -> dict:
    """Return the JSON beside an audio file."""
    return dict(json.loads(audio.with_suffix(".json").read_text(encoding="utf-8")))


def attempts(service: Service, dirname: str) -> list[int]:
    """Return how often each file of a directory was tried, over all its tasks."""
    return [
        file["attempts"] for task in service.tasks(dirname) for file in service.task(task["task_id"])["files"]
    ]


def test_a_dropped_folder_gets_every_format_beside_each_file(service: Callable[..., Service]) -> None:
    """The archivist's whole wish."""
    running = service().start()
    for n in range(3):
        tone(running.workdir / "interviews" / "a" / f"{n}.wav", 1 + n, 300 + n)
    task = running.done("interviews")
    assert task["task_status"] == "completed"
    assert task["source"] == "watch"
    assert {file["path"] for file in task["files"]} == {f"interviews/a/{n}.wav" for n in range(3)}
    for n in range(3):
        for ending in FORMATS:
            assert (running.workdir / "interviews" / "a" / f"{n}.{ending}").is_file()
    board = running.workdir / "interviews" / "transcription-status.json"
    until(lambda: board.exists() and json.loads(board.read_text())["task_status"] == "completed")


def test_a_folder_moved_in_is_found_with_what_comes_into_it_later(
    service: Callable[..., Service], tmp_path: Path
) -> None:
    """A rename makes no file events; a directory moved in must be watched all the same."""
    running = service("--rescan_cron", "10m").start()
    outside = tmp_path / "outside"
    tone(outside / "one.wav", 1, 301)
    tone(outside / "deep" / "two.wav", 1, 302)
    outside.rename(running.workdir / "moved")
    assert running.done("moved")["counts"]["done"] == 2
    tone(running.workdir / "moved" / "deep" / "three.wav", 1, 303)
    until((running.workdir / "moved" / "deep" / "three.json").exists)
    assert attempts(running, "moved") == [1, 1, 1]


def test_a_file_held_open_by_a_slow_writer_waits_and_is_taken_once_complete(
    service: Callable[..., Service], tmp_path: Path
) -> None:
    """Pauses longer than the quiet time, inside a file held open."""
    running = service().start()
    source = tone(tmp_path / "source.wav", 4, 304)
    target = running.workdir / "slow" / "slow.wav"
    target.parent.mkdir()
    raw = source.read_bytes()
    with target.open("wb") as out:
        for half in (raw[: len(raw) // 2], raw[len(raw) // 2 :]):
            out.write(half)
            out.flush()
            shown = until(lambda: running.tasks("slow"))[0]
            time.sleep(2.5)
            assert not target.with_suffix(".json").exists()
        assert running.task(shown["task_id"])["files"][0]["status"] == "settling"
    running.done("slow")
    assert transcript(target)["provenance"]["source"]["size"] == len(raw)
    assert attempts(running, "slow") == [1]


def test_with_every_event_lost_the_rescan_finds_all(service: Callable[..., Service]) -> None:
    """Events are hints; truth is the file system."""
    running = service("--no_watch", "--rescan_cron", "1s").start()
    tone(running.workdir / "quiet" / "one.wav", 1, 305)
    task = running.done("quiet")
    assert (task["source"], task["task_status"]) == ("rescan", "completed")


def test_two_services_in_a_row_do_the_work_once(service: Callable[..., Service]) -> None:
    """Another default model or language, or a database that was deleted, redoes nothing: only what is new is done."""
    first = service().start()
    audio = tone(first.workdir / "once" / "one.wav", 1, 306)
    first.done("once")
    first.stop()
    written = audio.with_suffix(".json").stat().st_mtime_ns
    second = service("--model_size", "tiny", "--language", "French").start()
    new = tone(first.workdir / "once" / "two.wav", 1, 316)
    until(new.with_suffix(".json").exists)
    assert second.done("once")["task_status"] == "completed"
    second.stop()
    assert transcript(new)["language"] == "fr"
    assert audio.with_suffix(".json").stat().st_mtime_ns == written
    shutil.rmtree(first.workdir / ".whisper")
    third = service().start()
    new = tone(first.workdir / "once" / "three.wav", 1, 326)
    until(new.with_suffix(".json").exists)
    assert third.ended(third.post("once"))["task_status"] == "completed"
    assert audio.with_suffix(".json").stat().st_mtime_ns == written


def test_a_post_that_names_another_language_redoes_the_directory(service: Callable[..., Service]) -> None:
    """Somebody asked for something else than what lies there."""
    running = service("--language", "en").start()
    audio = tone(running.workdir / "again" / "one.wav", 1, 307)
    running.done("again")
    first = running.post("again")
    assert running.ended(first)["task_status"] == "completed"
    second = running.post("again", language="French")
    assert second != first
    assert running.ended(second)["files"][0]["language"] == "fr"
    assert transcript(audio)["language"] == "fr"
    assert running.post("again", language="fr") == second


def test_many_small_files_are_all_done_while_the_api_answers(service: Callable[..., Service]) -> None:
    """500 one-second files; /monitoring never waits for them."""
    running = service().start()
    staging = running.workdir.parent / "staging"
    for n in range(500):
        tone(staging / f"{n:03}.wav", 1, 200 + n)
    slowest = 0.0
    shutil.move(staging, running.workdir / "many")
    deadline = time.monotonic() + 180
    while time.monotonic() < deadline:
        start = time.monotonic()
        tasks = running.tasks("many")
        slowest = max(slowest, time.monotonic() - start)
        if tasks and tasks[0]["task_status"] == "completed":
            break
        time.sleep(0.2)
    task = running.task(running.tasks("many")[0]["task_id"])
    assert task["counts"] == {**task["counts"], "done": 500}
    assert slowest < 10
    assert len(list((running.workdir / "many").glob("*.json"))) == 501  # and the status


def test_ten_posts_at_once_make_one_task(service: Callable[..., Service]) -> None:
    """Three doors race safely."""
    running = service("--no_watch").start()
    tone(running.workdir / "race" / "one.wav", 1, 308)
    ids: list[str] = []
    posts = [lambda: ids.append(running.post("race"))] * 10
    threads = [threading.Thread(target=post) for post in posts]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(ids) == 10
    assert len(set(ids)) == 1
