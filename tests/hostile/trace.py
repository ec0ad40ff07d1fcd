"""What FFmpeg did while it had a file in its hands, as strace saw it."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from pipeline.stage.decode.ffmpeg import ffmpeg_binary
from tests.acceptance.harness import ROOT
from tests.hostile.examine import Outcome

_WATCHED = "trace=%file,%network,%process,prlimit64,io_uring_setup,memfd_create,ftruncate,ptrace"
_LINE = re.compile(r"(\d+) +(.*)")
_CALL = re.compile(r"(\w+)\((.*)\)\s+= (-?\w+)(?:<(.*?)>)?", re.DOTALL)
_UNFINISHED = " <unfinished ...>"
_RESUMED = re.compile(r"<\.\.\. \w+ resumed>(.*)", re.DOTALL)
_NEXT = re.compile(r'"/next/(.*?)"')
_LIMIT = re.compile(r"(RLIMIT_\w+), \{rlim_cur=([^,]+)")
_LIVING = {
    "stat", "lstat", "newfstatat", "statx", "access", "faccessat", "faccessat2", "readlink", "readlinkat", "getcwd",
    "exit", "exit_group", "wait4", "kill", "tgkill", "rt_sigreturn", "arch_prctl",
}  # fmt: skip
_LOADING = re.compile(
    r"/etc/ld\.so\.cache|/.*\.so(\.[0-9.]+)?|/usr/share/zoneinfo/.*|/proc/sys/vm/overcommit_memory"
)  # libc itself


def _strace() -> str | None:
    """Return strace if it may be used here: a container may forbid it."""
    found = shutil.which("strace")
    ask = [found or "", "-f", "-y", "--seccomp-bpf", "-qq", "-e", "trace=openat", "-o", "/dev/null", "true"]
    return found if found and not subprocess.run(ask, check=False, capture_output=True).returncode else None


STRACE = _strace()


@dataclass(slots=True)
class Deeds:
    """What FFmpeg did with one file: what it opened, what else it did that it need not, and its limits."""

    opened: set[str] = field(default_factory=set)  # other than shared libraries
    other: list[str] = field(default_factory=list)
    limits: dict[str, str] = field(default_factory=dict)


def examined(
    workdir: Path, names: Sequence[str], *, program: str | None = None
) -> tuple[dict[str, Outcome], dict[str, Deeds]]:
    """Examine files in a process of its own, traced where there is strace; return outcomes and deeds by name."""
    trace = workdir.parent / "trace"
    watch = (
        [STRACE, "-f", "-y", "--seccomp-bpf", "-qq", "-e", _WATCHED, "-s", "300", "-o", str(trace)]
        if STRACE
        else []
    )
    what = ["-c", program] if program else ["-m", "tests.hostile.examine"]
    command = [*watch, sys.executable, *what, str(workdir), *names]
    answer = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert answer.returncode == 0, answer.stderr[-3000:]
    found = [Outcome(**json.loads(line)) for line in answer.stdout.splitlines()]
    deeds = deeds_in(trace.read_text(errors="replace")) if STRACE else {}
    return {each.name: each for each in found}, deeds


def deeds_in(trace: str) -> dict[str, Deeds]:
    """Read a trace: each file is looked up below /next before it is decoded."""
    found: dict[str, Deeds] = {}
    name, contained = "", set[int]()
    limits: dict[int, dict[str, str]] = {}
    calls = list(_calls(trace))
    threads = {
        int(result): pid
        for pid, call, _, result, _ in calls
        if call in ("clone", "clone3") and result.isdigit()
    }
    for pid, call, arguments, result, path in calls:
        if marker := _NEXT.search(arguments):
            name = marker[1].encode().decode("unicode_escape").encode("latin-1").decode()
        elif call == "prlimit64" and (limit := _LIMIT.search(arguments)):
            limits.setdefault(pid, {})[limit[1]] = limit[2]
        elif call == "execve" and arguments.startswith(f'"{ffmpeg_binary()}"'):
            contained.add(pid)
            found.setdefault(name, Deeds()).limits = dict(limits.get(pid, {}))
        elif pid in contained or threads.get(pid) in contained:
            contained.add(pid)
            _note(found[name], call, arguments, result, path)
    return found


def _note(deeds: Deeds, call: str, arguments: str, result: str, path: str | None) -> None:
    if call in ("open", "openat", "openat2"):
        if not path:
            return  # it was not there, or refused
        if not _LOADING.fullmatch(path):
            deeds.opened.add(path)
        if "O_WRONLY" in arguments or "O_RDWR" in arguments or "O_CREAT" in arguments:
            deeds.other.append(f"{call}({arguments})")
    elif call in _LIVING or (call in ("clone", "clone3") and "CLONE_THREAD" in arguments):
        return
    elif call == "prlimit64" and ", NULL, " in arguments:
        return  # it asks for its limits
    else:
        deeds.other.append(f"{call}({arguments}) = {result}")


def _calls(trace: str) -> Iterator[tuple[int, str, str, str, str | None]]:
    """Yield process, call, arguments, result and the path of a descriptor that was returned; halves are joined."""
    begun: dict[int, str] = {}
    for line in trace.splitlines():
        if not (match := _LINE.match(line)):
            continue
        pid, text = int(match[1]), match[2]
        if text.endswith(_UNFINISHED):
            begun[pid] = text.removesuffix(_UNFINISHED)
            continue
        if rest := _RESUMED.match(text):
            text = begun.pop(pid, "") + rest[1]
        if call := _CALL.match(text):
            yield pid, call[1], call[2], call[3], call[4]
