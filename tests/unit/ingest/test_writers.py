"""The kernel knows who has a file open for writing."""

import os
import signal
import subprocess
import sys
import textwrap
from collections.abc import Callable
from pathlib import Path

import pytest

from pipeline.ingest.writers import has_writer


def test_an_open_writer_is_known_until_it_closes(put: Callable[..., bytes], workdir: Path) -> None:
    """Readers do not count."""
    root, path = os.fsencode(workdir), put("x.mp3")
    with (workdir / "x.mp3").open("rb"):
        with (workdir / "x.mp3").open("ab"):
            assert has_writer(root, path) is True
        assert has_writer(root, path) is False


def test_what_cannot_be_asked_is_not_known(workdir: Path) -> None:
    """A file that is not there, a FIFO, a link that leaves."""
    os.mkfifo(workdir / "pipe.mp3")
    (workdir / "out.mp3").symlink_to("/etc/hostname")
    root = os.fsencode(workdir)
    assert [has_writer(root, path) for path in (b"none.mp3", b"pipe.mp3", b"out.mp3")] == [None] * 3


def test_the_file_is_not_left_leased(put: Callable[..., bytes], workdir: Path) -> None:
    """A writer that comes after opens it at once."""
    has_writer(os.fsencode(workdir), put("x.mp3"))
    os.close(os.open(workdir / "x.mp3", os.O_WRONLY | os.O_NONBLOCK))


def test_nothing_is_asked_while_the_signal_would_end_the_process(
    put: Callable[..., bytes], workdir: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Breaking a lease sends SIGIO."""
    path = put("x.mp3")
    monkeypatch.setattr(signal, "getsignal", lambda _signal: signal.SIG_DFL)
    assert has_writer(os.fsencode(workdir), path) is None


def test_a_broken_lease_does_not_end_a_process_that_ignores_it(
    put: Callable[..., bytes], workdir: Path
) -> None:
    """A writer opens the file while a lease is held: SIGIO comes and is ignored."""
    put("x.mp3")
    script = """
        import fcntl, os, sys, threading
        from pipeline.ingest.writers import ignore_lease_signals
        ignore_lease_signals()
        handle = os.open(sys.argv[1], os.O_RDONLY)
        fcntl.fcntl(handle, fcntl.F_SETLEASE, fcntl.F_RDLCK)
        try:
            os.open(sys.argv[1], os.O_WRONLY | os.O_NONBLOCK)
        except BlockingIOError:
            print("broken")
    """
    command = [sys.executable, "-c", textwrap.dedent(script), str(workdir / "x.mp3")]
    ended = subprocess.run(command, capture_output=True, text=True, check=False)
    assert (ended.returncode, ended.stdout) == (0, "broken\n")
