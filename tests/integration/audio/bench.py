"""A real core with a real stage process (the fake engine), behind a real server; the client is OpenAI's own."""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import openai
import uvicorn

from api.app import create_app
from api.service import Core
from pipeline.options import Options
from pipeline.settings import Settings

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
def serving(core: Core, **more: Any) -> Iterator[str]:
    """Serve a core as `start-service` does; yield the address."""
    app = create_app(core, root_path="/", **more)
    config = uvicorn.Config(app, log_config=None, access_log=False, timeout_graceful_shutdown=2)
    server = uvicorn.Server(config)
    with socket.create_server(("127.0.0.1", 0)) as listener:
        thread = threading.Thread(target=server.run, args=([listener],))
        thread.start()
        yield f"http://127.0.0.1:{listener.getsockname()[1]}"
        server.should_exit = True
        thread.join(10)


def connect(url: str, key: str = "none") -> openai.OpenAI:
    return openai.OpenAI(base_url=f"{url}/v1", api_key=key, max_retries=0, timeout=30)
