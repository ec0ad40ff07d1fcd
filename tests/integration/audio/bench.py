"""A real core with a real stage process (the fake engine), behind a real server; the client is OpenAI's own."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import openai
import psutil

from api.app import create_app
from api.service import Core
from pipeline.options import Options
from pipeline.settings import Settings
from tests.serving import serving

WINDOW_S = "0.1"  # that the fake engine takes for each


class Bench:
    """One core, and servers in front of it."""

    def __init__(self, root: Path) -> None:
        self.workdir = root / "workdir"
        self.core = Core(
            Settings(
                workdir=self.workdir,
                path2whisper_cache=root / "cache",
                engine="fake",
                quiet_seconds=0.0,
                options=Options(model="tiny", no_vad=True),
            )
        )

    @contextmanager
    def at_rest(self) -> Iterator[None]:
        """Stop the process that transcribes, so that nothing ends meanwhile."""
        (child,) = [
            each
            for each in psutil.process_iter(["cmdline"])
            if {"pipeline.stage.work.worker", str(self.workdir)} <= set(each.info["cmdline"] or ())
        ]
        child.suspend()
        try:
            yield
        finally:
            child.resume()

    @property
    def spooled(self) -> list[str]:
        """What lies in the spool."""
        return [path.name for path in (self.workdir / ".whisper" / "spool").glob("*")]

    @property
    def is_clean(self) -> bool:
        """Whether nothing is left of any recording: no file, no row, nobody who is told, nothing at a stage."""
        return not (
            self.spooled
            or self.core.store.spooled()
            or self.core.dispatch._calls
            or any(stage.jobs for stage in self.core.dispatch.stages)
        )


@contextmanager
def door_of(core: Core, **more: Any) -> Iterator[str]:
    """Serve a core; yield the address."""
    with serving(create_app(core, root_path="/", **more)) as port:
        yield f"http://127.0.0.1:{port}"


def connect(url: str, key: str = "none") -> openai.OpenAI:
    return openai.OpenAI(base_url=f"{url}/v1", api_key=key, max_retries=0, timeout=60)
