"""Keys as whoever runs a service and whoever asks it live them."""

from __future__ import annotations

import stat
from collections.abc import Callable
from pathlib import Path

from tests.acceptance.harness import Service, run, tone, until


def test_keys_come_and_go_while_the_service_runs_and_its_own_command_line_needs_none(
    service: Callable[..., Service], tmp_path: Path
) -> None:
    """Who can change the queue beside the service may ask it: by a key that only that user can read."""
    file = {"WHISPER_API_KEYS_FILE": str(tmp_path / "keys.json")}
    workdir = tmp_path / "workdir"
    tone(workdir / "talks/a.wav")
    keys = lambda *words: run(workdir, "keys", "api", *words, **file)  # noqa: E731
    first = keys("add", "--name", "first").stdout.strip()
    running = service("--no_watch", "--rescan_cron", "1d", env=file).start()
    assert running.ask("GET", "/monitoring")[0] == 401

    running.headers["Authorization"] = f"Bearer {first}"
    assert running.ask("GET", "/monitoring")[0] == 200
    assert running.ask("POST", "/pause")[0] == 403

    second = keys("add", "--name", "second", "--scopes", "admin").stdout.strip()
    running.headers["Authorization"] = f"Bearer {second}"
    until(lambda: running.ask("POST", "/resume")[0] == 200)
    keys("revoke", "second")
    until(lambda: running.ask("POST", "/resume")[0] == 401)

    card = workdir / ".whisper/service.json"
    assert stat.S_IMODE(card.stat().st_mode) == 0o600
    done = run(workdir, "transcribe", str(workdir / "talks"), "--engine", "fake")
    assert (done.returncode, "talks: completed" in done.stderr) == (0, True), done.stderr
    assert run(workdir, "forget", str(workdir / "talks")).returncode == 0
    assert not (workdir / "talks/a.txt").exists()
    assert "first  read,write" in keys("list").stdout
    assert "never" not in keys("list").stdout.partition("first")[2]


def test_a_service_does_not_start_without_the_keys_it_was_told_to_ask_for(tmp_path: Path) -> None:
    """Exit code 3, naming the file and what to do."""
    missing = str(tmp_path / "keys.json")
    answer = run(tmp_path / "workdir", "start-service", "--port", "0", "--api_keys_file", missing)
    assert answer.returncode == 3
    assert f"{missing}: No such file" in answer.stderr
    assert "keys api add" in answer.stderr


def test_a_service_that_others_can_reach_says_that_it_asks_for_no_key(
    service: Callable[..., Service], tmp_path: Path
) -> None:
    """In its log and in /readyz, and it works: the original's docker line has no keys.

    A file of keys that breaks later is complained of in the same places.
    """
    running = service("--host", "0.0.0.0").start()  # noqa: S104 - for a second
    answer = running.ask("GET", "/readyz")
    assert answer[0] == 200
    assert "ANYBODY" in answer[1]["keys"]["notes"][0]
    assert "ANYBODY who reaches 0.0.0.0" in running.log.read_text()
    running.stop()

    file = tmp_path / "keys.json"
    run(tmp_path, "keys", "api", "add", "--name", "a", "--api_keys_file", str(file))
    guarded = service("--host", "0.0.0.0", "--api_keys_file", str(file)).start()  # noqa: S104
    assert "put a proxy that speaks TLS" in guarded.log.read_text()
    file.write_text("{")
    until(lambda: "keys.json is no file of keys" in guarded.log.read_text())
    assert guarded.ask("GET", "/readyz")[1] == {"ready": True}
