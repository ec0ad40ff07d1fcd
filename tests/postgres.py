"""A throwaway PostgreSQL server: a cluster of its own in a temporary folder, gone with the test."""

from __future__ import annotations

import os
import pwd
import shutil
import signal
import subprocess
import tempfile
import time
from pathlib import Path
from urllib.parse import quote

import pytest

from tests.acceptance.harness import free_port

USER = "whisper"
PASSWORD = "p@ss:w/rd %41"  # noqa: S105 - each of these has to be quoted in a URL
PLACES = ("/usr/lib/postgresql/*/bin", "/usr/pgsql-*/bin", "/usr/local/pgsql/bin")
SETTINGS = {"listen_addresses": "127.0.0.1", "shared_buffers": "16MB", "log_min_messages": "warning"}


def binaries() -> Path | None:
    """Return the folder of PostgreSQL's programs, the newest there is."""
    if found := shutil.which("initdb"):
        return Path(found).resolve().parent
    folders = [
        folder for place in PLACES for folder in Path("/").glob(place[1:]) if (folder / "initdb").exists()
    ]
    return max(
        folders, key=lambda folder: [int(part) for part in folder.parts if part.isdigit()], default=None
    )


def need_postgres() -> Path:
    """Return the folder of PostgreSQL's programs; without one the test is skipped, but fails where CI is set."""
    if found := binaries():
        return found
    why = "no PostgreSQL server is installed here (Debian: apt install postgresql)"
    raise pytest.fail.Exception(why) if os.environ.get("CI") else pytest.skip.Exception(why)


class Cluster:
    """One server on a free port of 127.0.0.1. It does not outlive the test, however that ends."""

    def __init__(self, parent: Path | None = None) -> None:
        """Make it in `parent`, or where temporary folders are."""
        self._programs = need_postgres()
        self.folder = Path(tempfile.mkdtemp(prefix="pg-", dir=parent))
        self._become = self._unprivileged()
        self.port = free_port()
        self.process: subprocess.Popen[bytes] | None = None
        self._initialise()
        self.start()

    def url(self, database: str = USER, password: str = PASSWORD) -> str:
        """Return the URL of one of its databases."""
        return f"postgresql://{USER}:{quote(password, safe='')}@127.0.0.1:{self.port}/{database}"

    def create(self, database: str, options: str = "") -> str:
        """Make a database and return its URL."""
        self.ask(f'CREATE DATABASE "{database}" {options}')
        return self.url(database)

    def ask(self, sql: str, database: str = "postgres") -> str:
        """Run a statement by psql and return what it prints."""
        command = [*self._psql(database), "-c", sql]
        return subprocess.run(command, capture_output=True, check=True, text=True).stdout.strip()

    def hold(self, sql: str, database: str) -> subprocess.Popen[str]:
        """Run a statement in a transaction that stays open for as long as the returned process lives."""
        held = subprocess.Popen(
            self._psql(database), stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )
        assert held.stdin
        assert held.stdout
        held.stdin.write(f"BEGIN; {sql}; SELECT 'held';\n")
        held.stdin.flush()
        assert held.stdout.readline() == "held\n"
        return held

    def start(self) -> None:
        """Start the server and wait until it answers."""
        flags = [word for item in SETTINGS.items() for word in ("-c", "=".join(item))]
        here = ["-D", self.folder / "data", "-p", str(self.port), "-k", self.folder, *flags]
        deadline = time.monotonic() + 30
        while (
            not self._answers()
        ):  # a server that was killed holds its memory until its last process has ended
            assert time.monotonic() < deadline, (self.folder / "log").read_text()
            if self.process is None or self.process.poll() is not None:
                with (self.folder / "log").open("ab") as log:
                    command = [*self._become, "--pdeathsig", "QUIT", self._programs / "postgres", *here]
                    self.process = subprocess.Popen(command, stdout=log, stderr=log, cwd=self.folder)
            time.sleep(0.05)

    def stop(self, how: signal.Signals = signal.SIGINT) -> None:
        """Stop the server: SIGINT cuts connections and saves, SIGQUIT just ends, SIGKILL ends the first process."""
        assert self.process
        self.process.send_signal(how)
        self.process.wait(30)

    def remove(self) -> None:
        """Stop the server and leave nothing behind."""
        if self.process and self.process.poll() is None:
            self.stop(signal.SIGQUIT)
        shutil.rmtree(self.folder)

    def cut(self, database: str) -> int:
        """Have the server cut every connection to a database; return how many."""
        every = "SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity"
        return int(self.ask(f"{every} WHERE datname = '{database}'"))

    def _psql(self, database: str) -> list[str | Path]:
        return [
            self._programs / "psql",
            "-XAtq",
            "-h",
            self.folder,
            "-p",
            str(self.port),
            "-U",
            USER,
            database,
        ]

    def _unprivileged(self) -> list[str]:
        """Return the words that start a program as somebody other than root, whom PostgreSQL refuses."""
        if os.geteuid():
            return ["setpriv"]
        names = {each.pw_name: each for each in pwd.getpwall()}
        somebody = names.get("postgres") or names["nobody"]
        os.chown(self.folder, somebody.pw_uid, somebody.pw_gid)
        return ["setpriv", f"--reuid={somebody.pw_uid}", f"--regid={somebody.pw_gid}", "--clear-groups"]

    def _initialise(self) -> None:
        secret = self.folder / "password"
        secret.write_text(PASSWORD)
        secret.chmod(0o644)
        how = ["--auth-local=trust", "--auth-host=scram-sha-256", f"--pwfile={secret}", f"--username={USER}"]
        command = [
            self._programs / "initdb",
            "-N",
            "--locale=C",
            "--encoding=UTF8",
            *how,
            self.folder / "data",
        ]
        subprocess.run([*self._become, *command], check=True, stdout=subprocess.DEVNULL, cwd=self.folder)

    def _answers(self) -> bool:
        if self.process is None or self.process.poll() is not None:
            return False
        command = [self._programs / "pg_isready", "-q", "-h", "127.0.0.1", "-p", str(self.port)]
        return subprocess.run(command, check=False).returncode == 0
