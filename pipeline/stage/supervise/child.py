"""The killable child process that holds the model: starting it, talking to it, and telling how it died."""

from __future__ import annotations

import ctypes
import os
import signal
import socket
import subprocess
import sys
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from pipeline.relay.messages import Message, decode, encode
from pipeline.stage.supervise.channel import Channel

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

UNUSABLE = 3  # exit code: the environment does not allow to transcribe (no model, no GPU)
# OpenMP threads that wait spin, which on contended cores is lost to all; each thread's own arena keeps what it freed
CALM = {"GOMP_SPINCOUNT": "1000", "MALLOC_ARENA_MAX": "2"}
_LIBC = ctypes.CDLL(None, use_errno=True)
_PR_SET_PDEATHSIG = 1


@dataclass(frozen=True, slots=True)
class Death:
    """How a child ended: its exit code, or minus the signal; whether the kernel killed it for memory."""

    status: int
    out_of_memory: bool

    def __str__(self) -> str:
        if self.out_of_memory:
            return "was killed for lack of memory"
        if self.status < 0:
            return f"was killed by {signal.Signals(-self.status).name}"
        return f"exited with code {self.status}"


class Child:
    """One running child in a process group of its own, so that its FFmpeg processes die with it."""

    def __init__(self, command: Sequence[str]) -> None:
        ours, theirs = socket.socketpair()
        supervisor = os.getpid()
        with theirs:
            self._process = subprocess.Popen(  # noqa: S603 - our own program
                [*command, "--channel", str(theirs.fileno())],
                pass_fds=[theirs.fileno()],
                process_group=0,
                preexec_fn=lambda: _die_with(supervisor),  # noqa: PLW1509 - this process has no other Python thread
                stdin=subprocess.DEVNULL,
                env=os.environ | CALM,
            )
        self.channel = Channel(ours)
        self._oom_kills = oom_kills()
        self._killed = False

    @property
    def pid(self) -> int:
        """Return the child's process id."""
        return self._process.pid

    def send(self, message: Message) -> None:
        """Send a message; it waits here when the child does not read."""
        self.channel.send(encode(message))

    def receive(self) -> Iterator[Message]:
        """Yield the messages that have arrived; raises msgspec.MsgspecError where one is none."""
        return map(decode, self.channel.receive())

    @property
    def is_over(self) -> bool:
        """Whether the child has died."""
        flags = os.WEXITED | os.WNOHANG | os.WNOWAIT  # not reaped yet: its group id stays ours
        if self._process.returncode is not None:
            return True
        return os.waitid(os.P_PID, self.pid, flags) is not None

    def look_at_memory(self) -> None:
        """Note the kernel's count of processes killed for memory, so that a later death can be told apart."""
        self._oom_kills = oom_kills()

    def kill(self) -> None:
        """Kill the child and its group at once."""
        if self._process.returncode is None:
            self._killed = not self.is_over
            self._kill_group()
            self._process.wait()

    def bury(self) -> Death:
        """Reap the child (killing what is left of it) and tell how it died."""
        self.kill()
        self.channel.close()
        status = self._process.returncode
        starved = status == -signal.SIGKILL and not self._killed and oom_kills() > self._oom_kills
        return Death(status, starved)

    def _kill_group(self) -> None:
        with suppress(ProcessLookupError):
            os.killpg(self.pid, signal.SIGKILL)


def _die_with(supervisor: int) -> None:
    """Have the kernel kill this new process when the supervisor dies; runs between fork and exec."""
    _LIBC.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != supervisor:  # it died before the line above
        os._exit(1)


def oom_kills() -> int:
    """Return how many processes this kernel has killed for lack of memory; 0 where it does not tell."""
    if sys.platform != "linux":
        return 0
    with suppress(OSError, ValueError):
        for line in Path("/proc/vmstat").read_text().splitlines():
            if line.startswith("oom_kill "):
                return int(line.split()[1])
    return 0
