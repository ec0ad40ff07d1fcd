"""A process that has imported the service and forks cores: each is the real one, without the second its imports take.

Reads one JSON order a line on stdin, answers each with the core's process id.
"""

from __future__ import annotations

import ctypes
import json
import os
import signal
import subprocess
import sys
import threading
import traceback
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tests.torture import faults

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

ROOT = Path(__file__).parents[2]
_PR_SET_PDEATHSIG = 1  # no core outlives its zygote, which ends with its standard input
QUICK = Path(__file__).with_name("quick")


class Zygote:
    """Our end of it."""

    def __init__(self, folder: Path, haste: float, journal: str) -> None:
        self.env = {
            "LD_PRELOAD": str(faults.library(folder)),
            "PYTHONPATH": os.pathsep.join((str(QUICK), str(ROOT))),
            "TORTURE_HASTE": str(haste),
            "TORTURE_JOURNAL": journal,
        }
        self._one_at_a_time = threading.Lock()
        self._process = subprocess.Popen(
            [sys.executable, "-m", "tests.torture.zygote"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            env=os.environ | self.env,
            cwd=ROOT,
        )

    def fork(self, arguments: Sequence[str], orders: Path, log: Path, env: Mapping[str, str]) -> int:
        """Start a core with these arguments; return its process id."""
        order = {"arguments": list(arguments), "orders": str(orders), "log": str(log), "env": dict(env)}
        assert self._process.stdin
        assert self._process.stdout
        with self._one_at_a_time:
            self._process.stdin.write(json.dumps(order).encode() + b"\n")
            self._process.stdin.flush()
            return int(self._process.stdout.readline())

    def close(self) -> None:
        """End it."""
        self._process.kill()
        self._process.wait()


def main() -> None:
    """Import, then fork a core for each order."""
    import uvicorn.lifespan.on  # noqa: PLC0415
    import uvicorn.protocols.http.h11_impl  # noqa: PLC0415, F401

    import api.cli  # noqa: PLC0415 - in the zygote alone
    import api.serve  # noqa: PLC0415 - what start-service would import
    from tests.torture import migration  # noqa: PLC0415

    signal.signal(signal.SIGCHLD, signal.SIG_IGN)
    for line in sys.stdin:
        pid = os.fork()
        if pid == 0:
            order = json.loads(line)
            is_service = order["arguments"][0] != migration.WORD
            _become_core(order, api.cli.main if is_service else migration.main)
        sys.stdout.write(f"{pid}\n")
        sys.stdout.flush()


def _become_core(order: dict[str, Any], run: Any) -> None:
    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    with Path(order["log"]).open("ab") as log, Path(os.devnull).open("rb") as nothing:
        for ours, theirs in ((nothing, 0), (log, 1), (log, 2)):
            os.dup2(ours.fileno(), theirs)
    os.environ.update(order["env"], TORTURE_ORDERS=order["orders"])
    ctypes.CDLL(None).torture_begin(order["orders"].encode(), faults.ROLES.index("core"))
    sys.argv = ["whisper-transcription", *order["arguments"]]
    try:
        run()
    except SystemExit as ended:
        os._exit(ended.code if isinstance(ended.code, int) else 1)
    except Exception:  # noqa: BLE001 - the last thing that this process does
        traceback.print_exc()
    finally:
        os._exit(0)


if __name__ == "__main__":
    main()
