"""The fake engine is honest where it is meant to be, and cheap."""

import subprocess
import sys
from typing import Any

import numpy as np
import pytest

from pipeline.options import Options
from pipeline.stage.pack.cut import to_float
from pipeline.stage.transcribe import fake
from pipeline.stage.transcribe.engine import OutOfMemory, Request
from tests.engine import transcribe


def request(pcm: Any, **changes: dict[str, Any]) -> Any:
    return Request(pcm=to_float(pcm), options=Options(), temperature=0.0, **{"language": None} | changes)


def test_the_text_depends_on_the_samples_only() -> None:
    """Same samples, same words, whatever else is in the batch; one sample more or louder, other words."""
    pcm = np.arange(16_000, dtype=np.int16)
    engine = fake.FakeEngine("base")
    alone = transcribe(engine, [request(pcm)])[0]
    beside = transcribe(engine, [request(pcm[:-1]), request(pcm + 1), request(pcm)])
    assert beside[2] == alone
    assert len({alone.segments[0].text, *(each.segments[0].text for each in beside)}) == 3


def test_the_language_is_the_one_asked_for_or_english() -> None:
    """Nothing is detected."""
    pcm = np.zeros(100, np.int16)
    engine = fake.FakeEngine("base")
    replies = transcribe(engine, [request(pcm), request(pcm, language="fr")])
    assert [each.language for each in replies] == ["en", "fr"]
    assert [language for _, language in engine.detected()] == ["en"]


def test_orders_are_found_anywhere_in_a_window() -> None:
    """A file can be made to fail at its second window, whatever comes before."""
    pcm = np.concatenate([np.full(5000, 7, np.int16), fake.marked(fake.FAILURE)])
    with pytest.raises(RuntimeError, match="fake device"):
        transcribe(fake.FakeEngine("base"), [request(pcm)])


def test_memory_is_short_only_for_more_than_one_row() -> None:
    """Halving the batch helps."""
    full = request(fake.marked(fake.NO_MEMORY))
    engine = fake.FakeEngine("base")
    with pytest.raises(OutOfMemory):
        transcribe(engine, [full, full])
    assert len(transcribe(engine, [full])) == 1


def test_worker_and_fake_engine_load_without_torch() -> None:
    """Everybody's end-to-end tests start it; and the service's own process must stay small."""
    program = (
        "import sys, pipeline.stage.work.worker, pipeline.stage.transcribe.fake;"
        "sys.exit(bool({'torch', 'whisper', 'silero_vad'} & set(sys.modules)))"
    )
    assert subprocess.run([sys.executable, "-c", program], check=False).returncode == 0
