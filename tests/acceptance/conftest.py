"""A service on demand, and none left behind."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest

from tests.acceptance.harness import Service


@pytest.fixture
def service(tmp_path: Path) -> Iterator[Callable[..., Service]]:
    """Return a maker of services (fake engine unless told); all are stopped at the end."""
    made: list[Service] = []

    def make(*flags: str, workdir: Path | None = None, real: bool = False, **more: Any) -> Service:
        engine = () if real else ("--engine", "fake")
        quick = () if "--quiet_seconds" in flags else ("--quiet_seconds", "1")
        made.append(Service(workdir or tmp_path / "workdir", *engine, *quick, *flags, **more))
        return made[-1]

    yield make
    for each in made:
        if each.process and each.process.poll() is None:
            for child in psutil.Process(each.process.pid).children(recursive=True):
                child.kill()
            each.process.kill()
            each.process.wait()
