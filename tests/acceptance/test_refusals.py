"""Where a service may not start, or cannot stay: exit code 3, and words that help."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from pipeline.queue.database import open_database
from tests.acceptance.harness import ROOT, Service, tone

NOBODY = 65_534
# not root, but able to read the interpreter, wherever that lies
AS_NOBODY = (
    *("setpriv", f"--reuid={NOBODY}", f"--regid={NOBODY}", "--clear-groups"),
    *("--inh-caps=+dac_read_search", "--ambient-caps=+dac_read_search"),
)
needs_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root becomes somebody else, or mounts")


def command(workdir: Path, *words: str) -> list[str]:
    return [sys.executable, str(ROOT / "app.py"), "--workdir", str(workdir), *words]


def ended(*words: str, **env: str) -> tuple[int, str]:
    """Run a command to its end; return its code and what it said of it."""
    done = subprocess.run(
        words, capture_output=True, text=True, timeout=60, check=False, env=os.environ | env
    )
    assert not any(line.startswith("Traceback") for line in done.stderr.splitlines()), done.stderr
    return done.returncode, done.stderr + done.stdout


@pytest.fixture
def public() -> Iterator[Path]:
    """Return a folder that everybody may enter; pytest's are its user's own."""
    with tempfile.TemporaryDirectory() as name:
        Path(name).chmod(0o755)
        yield Path(name)


@needs_root
def test_a_workdir_that_another_user_serves_gets_no_second_queue(
    public: Path, service: Callable[..., Service]
) -> None:
    """Not in that user's state directory either; commands find the service that runs."""
    running = service(workdir=public / "workdir")
    tone(running.workdir / "talks/a.wav")
    running.workdir.chmod(0o777)
    running.start().done("talks")
    home = public / "home"
    home.mkdir()
    os.chown(home, NOBODY, NOBODY)
    env = {"HOME": str(home)}
    code, said = ended(*AS_NOBODY, *command(running.workdir, "start-service", "--port", "0"), **env)
    assert code == 3
    assert f"queue.db (of user 0; this is user {NOBODY}): Another service already owns this queue" in said
    code, said = ended(*AS_NOBODY, *command(running.workdir, "status"), **env)
    assert (code, "talks" in said) == (0, True), said
    assert list(home.iterdir()) == []


@needs_root
def test_a_workdir_on_a_read_only_mount_is_told_as_such(tmp_path: Path) -> None:
    """No user's rights would help; an output directory does, with the queue in the state directory."""
    workdir = tmp_path / "workdir"
    tone(workdir / "talks/a.wav")
    mounted = f"mount --bind {workdir} {workdir} && mount -o remount,ro,bind {workdir} && exec "
    env = {"WHISPER_STATE_DIR": str(tmp_path / "state"), "WHISPER_ENGINE": "fake"}

    def mounting(*words: str) -> tuple[int, str]:
        script = mounted + '"$@"'
        return ended("unshare", "--mount", "sh", "-c", script, "sh", *command(workdir, *words), **env)

    code, said = mounting("start-service", "--port", "0")
    assert code == 3, said
    assert "its file system is mounted read-only: mount it writable, or give an --output_dir" in said
    assert "--user" not in said
    out = tmp_path / "out"
    code, said = mounting("transcribe", str(workdir / "talks"), "--output_dir", str(out))
    assert code == 0, said
    assert (out / "talks/a.txt").exists()
    assert [each.name for each in workdir.rglob("*")] == ["talks", "a.wav"]


@needs_root
def test_a_disk_that_is_full_at_the_start_is_told(tmp_path: Path) -> None:
    """Nothing goes on by itself where nothing runs."""
    workdir = tmp_path / "workdir"
    workdir.mkdir()
    open_database(f"sqlite:///{tmp_path}/queue.db").close()
    full = (
        f"mount -t tmpfs -o size=1m none {workdir} && mkdir {workdir}/.whisper && "
        f"cp {tmp_path}/queue.db {workdir}/.whisper; cat /dev/zero > {workdir}/filler 2> /dev/null; exec "
    )
    start = command(workdir, "start-service", "--port", "0", "--engine", "fake")
    code, said = ended("unshare", "--mount", "sh", "-c", full + '"$@"', "sh", *start)
    assert code == 3, said
    assert said.splitlines()[-1].endswith("queue.db: the disk is full; free some space")


# A server that cannot begin: its lifespan fails, as it would with a resource that is not to be had.
WITHOUT_HTTP = """
import contextlib, sys
import api.app, api.serve
from api.cli import main

@contextlib.asynccontextmanager
async def fails(app):
    raise OSError("no server today")
    yield

def create_app(*args, **kwargs):
    app = api.app.create_app(*args, **kwargs)
    app.router.lifespan_context = fails
    return app

api.serve.create_app = create_app
sys.argv[1:] = {words!r}
main()
"""


def test_a_service_without_its_http_server_ends_with_3(tmp_path: Path) -> None:
    """Else a container that serves nobody would count as well; the queue is left in order."""
    workdir = tmp_path / "workdir"
    words = ["--workdir", str(workdir), "start-service", "--port", "0", "--engine", "fake"]
    code, said = ended(sys.executable, "-c", WITHOUT_HTTP.format(words=words), PYTHONPATH=str(ROOT))
    assert code == 3, said
    assert said.splitlines()[-1].endswith("the HTTP server ended by itself; the log says why")
    assert "no server today" in said
    assert "INFO    stopped" in said
