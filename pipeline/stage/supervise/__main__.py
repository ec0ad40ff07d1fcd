"""`python -m pipeline.stage.supervise`: a stage's process, until its core is gone."""

from __future__ import annotations

import argparse
import signal
import sys
import time
from typing import TYPE_CHECKING

from pipeline.logs import configure
from pipeline.stage.supervise.supervisor import Supervisor

if TYPE_CHECKING:
    from collections.abc import Sequence


def main(argv: Sequence[str] | None = None) -> int:
    """Run the stage until standard input ends, which a core that dies cannot help."""
    words = list(sys.argv[1:] if argv is None else argv)
    flags = _parse(words)
    configure(flags.log_level, flags.log_format)
    command = [sys.executable, "-m", "pipeline.stage.work.worker", *words]
    supervisor = Supervisor(flags.connect, flags.device, command, stdin=sys.stdin.fileno())
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # a Ctrl-C reaches the core too, which then drains us
    signal.signal(signal.SIGTERM, lambda *_: supervisor.leave())
    try:
        while supervisor.exit_code is None:
            supervisor.step(time.monotonic())
    finally:
        supervisor.close()
    return supervisor.exit_code


def _parse(words: list[str]) -> argparse.Namespace:
    """Read the supervisor's own flags; the others are the child's."""
    parser = argparse.ArgumentParser(prog="python -m pipeline.stage.supervise", allow_abbrev=False)
    parser.add_argument("--connect", required=True)
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--log_level", default="info")
    parser.add_argument("--log_format", default="text")
    return parser.parse_known_args(words)[0]


if __name__ == "__main__":
    sys.exit(main())
