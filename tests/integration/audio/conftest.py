"""One core, one server and one client for each module."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import openai
import pytest

from tests.acceptance.harness import tone, until
from tests.integration.audio.bench import WINDOW_S, Bench, connect, door_of


@pytest.fixture(scope="module")
def bench(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Bench]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("WHISPER_FAKE_DELAY", WINDOW_S)
        bench = Bench(tmp_path_factory.mktemp("openai"))
        bench.core.start()
        try:
            until(lambda: any(stage.phase == "ready" for stage in bench.core.dispatch.stages))
            yield bench
        finally:
            bench.core.stop()


@pytest.fixture(scope="module")
def url(bench: Bench) -> Iterator[str]:
    with door_of(bench.core) as url:
        yield url


@pytest.fixture(scope="module")
def client(url: str) -> Iterator[openai.OpenAI]:
    with connect(url) as client:
        yield client


@pytest.fixture(scope="module")
def sound(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two minutes, which are some windows."""
    return tone(tmp_path_factory.mktemp("sound") / "talk.wav", 120.0)


@pytest.fixture(scope="module")
def hour(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """More than any test waits for."""
    return tone(tmp_path_factory.mktemp("sound") / "hour.wav", 1800.0)


@pytest.fixture
def in_background() -> Iterator[Callable[..., threading.Thread]]:
    """Run something that waits, beside the test."""
    threads = []

    def start(run: Callable[[], object]) -> threading.Thread:
        threads.append(threading.Thread(target=run, daemon=True))
        threads[-1].start()
        return threads[-1]

    yield start
    deadline = time.monotonic() + 60
    for thread in threads:
        thread.join(max(0.0, deadline - time.monotonic()))
        assert not thread.is_alive()
