"""The programs under test: each a process of its own that follows orders."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Self

if TYPE_CHECKING:
    from collections.abc import Sequence
    from types import TracebackType

HERE = Path(__file__).parent
ROOT = HERE.parents[1]
REQUIREMENTS = HERE / "requirements.txt"


class Program:
    """One system under test, asked for one call at a time."""

    def __init__(self, python: Path | str, name: str, words: Sequence[str]) -> None:
        self.name = name
        environment = os.environ | {"PYTHONPATH": str(ROOT)}
        self._process = subprocess.Popen(
            [str(python), str(HERE / f"{name}.py"), *words],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env=environment,
        )
        self._answer()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, _kind: type[BaseException] | None, _error: BaseException | None, _trace: TracebackType | None
    ) -> None:
        """End it: it has nothing more to read."""
        self._process.communicate(timeout=60)

    def seconds(self, call: str, times: int) -> list[float]:
        """Have a call made so many times; return how long each took."""
        assert self._process.stdin  # noqa: S101 - for mypy
        self._process.stdin.write(json.dumps({"do": call, "times": times}) + "\n")
        self._process.stdin.flush()
        taken: list[float] = json.loads(self._answer())
        return taken

    def _answer(self) -> str:
        assert self._process.stdout  # noqa: S101 - for mypy
        if line := self._process.stdout.readline():
            return line
        sys.exit(f"{self.name} ended with {self._process.wait()}: see its words above")


def peers(folder: Path) -> Path:
    """Return the Python that has the peers, making its environment if need be."""
    python, stamp = folder / "bin" / "python", folder / "installed.txt"
    wanted = REQUIREMENTS.read_text()
    if not stamp.exists() or stamp.read_text() != wanted:
        print("installing the peers", flush=True)
        subprocess.run([sys.executable, "-m", "venv", folder], check=True)
        subprocess.run([python, "-m", "pip", "install", "--quiet", "-r", str(REQUIREMENTS)], check=True)
        stamp.write_text(wanted)
    return python
