"""`start-service`: the core, uvicorn in a thread, and the main thread waiting for a signal."""

from __future__ import annotations

import logging
import os
import signal
import socket
import threading
from typing import TYPE_CHECKING

import uvicorn

from api.app import create_app
from api.connections import Connection, allow_many
from api.memory import collect_seldom, few_arenas
from api.reach import announce, withdraw
from api.service import Core
from api.stages import devices
from pipeline.errors import EnvironmentUnusableError
from pipeline.ingest.writers import ignore_lease_signals
from pipeline.stage.decode.ffmpeg import ffmpeg_binary

if TYPE_CHECKING:
    from pipeline.settings import Settings

logger = logging.getLogger(__name__)

BACKLOG = 2048
SHUTDOWN_S = 2  # for requests in flight once the rest has stopped


def serve(settings: Settings) -> None:
    """Run the service until SIGTERM or SIGINT; a second signal exits at once."""
    ffmpeg_binary()  # rather no service than one that fails every file
    ignore_lease_signals()
    allow_many()
    few_arenas()
    listener = _listen(settings.host, settings.port)
    core = Core(settings, devices(settings))
    stopping = _stop_on_signals()
    server = uvicorn.Server(
        uvicorn.Config(
            create_app(core, root_path=settings.mounting_path, keys=core.keys, settings=settings),
            http=Connection,
            log_config=None,
            server_header=False,
            timeout_graceful_shutdown=SHUTDOWN_S,
        )
    )
    http = threading.Thread(target=server.run, args=([listener],), name="http", daemon=True)
    collect_seldom()
    core.start()
    http.start()
    url = f"http://{_reachable(listener)}"
    announce(core.place.folder, url, core.keys.own_secret if core.keys else None)
    logger.info(
        "serving %s on %s; drop folders there, or POST to %s/transcription", settings.workdir, url, url
    )
    while not stopping.wait(1.0) and http.is_alive() and not core.database.lost:
        pass
    logger.info("stopping: what is not finished goes back to the queue")
    core.stop()
    withdraw(core.place.folder)
    server.should_exit = True
    http.join(SHUTDOWN_S + 1)
    logger.info("stopped")
    if core.database.lost:
        raise core.database.lost
    if not stopping.is_set():
        raise EnvironmentUnusableError("the HTTP server ended by itself; the log says why")


def _listen(host: str, port: int) -> socket.socket:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    # the protocol is named as asyncio looks at it: without, Nagle's algorithm stays on
    listener = socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind((host, port))
        listener.listen(BACKLOG)
    except (OSError, OverflowError) as error:
        listener.close()
        raise EnvironmentUnusableError(
            f"cannot listen on {host}:{port} ({error}); choose another --port, or stop what uses it"
        ) from error
    return listener


def _reachable(listener: socket.socket) -> str:
    """Return host:port by which a program on this machine reaches the listener."""
    host, port = listener.getsockname()[:2]
    host = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(host, host)  # noqa: S104 - read, not bound
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


def _stop_on_signals() -> threading.Event:
    stopping = threading.Event()

    def handle(number: int, _frame: object) -> None:
        if stopping.is_set():
            os._exit(128 + number)  # recovery makes it safe
        stopping.set()

    for each in (signal.SIGTERM, signal.SIGINT):
        signal.signal(each, handle)
    return stopping
