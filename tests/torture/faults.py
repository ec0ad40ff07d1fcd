"""Orders for faults.c: which call of which process breaks and how, and the counts of the calls made."""

from __future__ import annotations

import errno
import mmap
import shutil
import struct
import subprocess
from dataclasses import dataclass
from pathlib import Path

ROLES = ("core", "supervisor", "child", "ffmpeg")
CALLS = (
    "write",
    "pwrite",
    "fsync",
    "fdatasync",
    "rename",
    "link",
    "unlink",
    "truncate",
    "create",
    "mkdir",
    "send",
)
ACTIONS = ("nothing", "kill before", "kill after", "fail")
DISK = CALLS[:-1]  # those that a full or failing disk can refuse

_FIELDS = (
    "role",
    "call",
    "first",
    "last",
    "action",
    "error",
    "fired",
    "traces",
    "clock_offset_s",
    "no_watches",
)
_SIZE = 8 * (len(_FIELDS) + len(ROLES) * len(CALLS))
_FOREVER = 1 << 62


@dataclass(frozen=True, slots=True)
class Fault:
    """Break the k-th call of one kind in one process (those of its successors counted on)."""

    role: str
    call: str
    at: int
    action: str  # of ACTIONS
    error: str = ""  # for `fail`: an errno's name
    length: int = 1  # calls in a row

    def __str__(self) -> str:
        how = f"{self.error} in" if self.error else self.action
        more = f" and {self.length - 1} more" if self.length > 1 else ""
        return f"{self.role}: {how} {self.call} {self.at}{more}"


class Orders:
    """One shared file of orders; every process that has loaded the library obeys it at once."""

    def __init__(self, path: Path, *, traces: bool = False) -> None:
        self.path = path
        path.write_bytes(bytes(_SIZE))
        with path.open("r+b") as file:
            self._mapped = mmap.mmap(file.fileno(), _SIZE)
        self._set("traces", int(traces))
        self.disarm()

    def arm(self, fault: Fault) -> None:
        """Have this happen; calls count from now on."""
        struct.pack_into(
            f"{len(ROLES) * len(CALLS)}q", self._mapped, 8 * len(_FIELDS), *[0] * len(ROLES) * len(CALLS)
        )
        self._set("role", ROLES.index(fault.role))
        self._set("call", CALLS.index(fault.call))
        self._set("first", fault.at)
        self._set("last", fault.at + fault.length - 1)
        self._set("error", getattr(errno, fault.error) if fault.error else 0)
        self._set("fired", 0)
        self._set("action", ACTIONS.index(fault.action))

    def disarm(self) -> None:
        """Break nothing any more."""
        self._set("action", 0)
        self._set("first", _FOREVER)

    def set_clock(self, offset_s: int) -> None:
        """Move everybody's wall clock."""
        self._set("clock_offset_s", offset_s)

    def refuse_watches(self, *, refuse: bool) -> None:
        """Have inotify say that the limit of watches is met, for each one that is asked for."""
        self._set("no_watches", int(refuse))

    @property
    def fired(self) -> int:
        """How many calls were broken."""
        return self._get(_FIELDS.index("fired"))

    def counts(self) -> dict[tuple[str, str], int]:
        """Return the number of calls made so far, by role and call."""
        return {
            (role, call): self._get(len(_FIELDS) + number * len(CALLS) + place)
            for number, role in enumerate(ROLES)
            for place, call in enumerate(CALLS)
        }

    def _set(self, field: str, value: int) -> None:
        struct.pack_into("q", self._mapped, 8 * _FIELDS.index(field), value)

    def _get(self, place: int) -> int:
        value: int = struct.unpack_from("q", self._mapped, 8 * place)[0]
        return value


def why_not() -> str | None:
    """Return why faults cannot be injected here, None where they can."""
    return None if shutil.which("cc") else "there is no C compiler (cc) to build tests/torture/faults.c"


def library(folder: Path) -> Path:
    """Build the library in a folder, if it is not there; return its path."""
    source, built = Path(__file__).with_name("faults.c"), folder / "faults.so"
    if not built.exists():
        flags = ("-O1", "-Wall", "-Wextra", "-Werror", "-shared", "-fPIC")
        subprocess.run(["cc", *flags, "-o", str(built), str(source), "-ldl", "-lpthread"], check=True)
    return built
