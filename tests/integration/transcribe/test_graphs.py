"""Steps that are captured: what they say is what steps say that are not."""

from __future__ import annotations

import copy
import gc
import logging
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from whisper.model import Whisper

from pipeline.options import Options
from pipeline.stage.transcribe import frame
from pipeline.stage.transcribe.cache import rows_for
from pipeline.stage.transcribe.decoder import Decoder
from pipeline.stage.transcribe.decoding import Decoded
from pipeline.stage.transcribe.engine import OutOfMemory, Reply, Request
from pipeline.stage.transcribe.graphs import Graphs
from pipeline.stage.transcribe.linear import Plain
from pipeline.stage.transcribe.running import Running
from pipeline.stage.transcribe.weights import Checkpoint
from pipeline.stage.transcribe.whisper import WhisperEngine
from tests.engine import transcribe
from tests.integration.transcribe.recorder import Recorder, Recording
from tests.integration.transcribe.small import GREEDY, SEARCHES, requests, seats

SLOTS = 7


def running(decoder: Decoder, recorder: Recorder | None) -> Running:
    return Running(decoder, SLOTS, Graphs(recorder, SLOTS) if recorder else None)


@torch.inference_mode()
def decoded(
    chosen: Running, model: Whisper, rows: list[Request], features: torch.Tensor
) -> dict[int, Decoded]:
    """Return what becomes of windows of which some join late and one leaves early, by their number."""
    ended, numbers = {}, {id(row): number for number, row in enumerate(rows)}
    chosen.join(seats(model, rows[:3]), features[:3])
    for step in range(100):
        if step in {3, 6}:
            part = slice(step, step + 3 if step == 3 else None)
            chosen.join(seats(model, rows[part]), features[part])
        if step == 9:
            chosen.drop({id(rows[4])})
        ended |= {numbers[id(seat.request)]: each for seat, each in chosen.step()}
    assert not len(chosen)
    return ended


def assert_alike(expected: dict[int, Decoded], actual: dict[int, Decoded]) -> None:
    """Compare; products of other shapes round otherwise."""
    assert {at: each.tokens for at, each in expected.items()} == {
        at: each.tokens for at, each in actual.items()
    }
    for at, each in expected.items():
        assert each.avg_logprob == pytest.approx(actual[at].avg_logprob, abs=1e-4)
        assert each.no_speech_prob == pytest.approx(actual[at].no_speech_prob, abs=1e-4)


@pytest.mark.parametrize("search", ["greedy", "beam", "impatient", "sampled"])
def test_captured_steps_say_what_others_say(
    model: Whisper, decoder: Decoder, features: torch.Tensor, search: str
) -> None:
    """Whoever joins, leaves and ends, however long the beginnings, wherever beams grow from."""
    rows, recorder = requests(*SEARCHES[search]), Recorder()
    expected = decoded(running(decoder, None), model, rows, features)
    actual = decoded(running(decoder, recorder), model, rows, features)

    assert_alike(expected, actual)
    assert recorder.replays > recorder.captures > 0


def test_windows_of_a_kind_that_come_later_find_the_steps_captured(
    model: Whisper, decoder: Decoder, features: torch.Tensor
) -> None:
    """Though nothing ran in between; and another kind takes the place."""
    rows, recorder = requests(*SEARCHES["beam"]), Recorder()
    chosen = running(decoder, recorder)
    expected = decoded(chosen, model, rows, features)
    captures = recorder.captures
    again = decoded(chosen, model, rows, features)
    assert_alike(expected, again)
    warm = recorder.captures
    decoded(chosen, model, rows, features)

    assert 0 < captures <= warm == recorder.captures
    decoded(chosen, model, requests(*SEARCHES["greedy"]), features)
    assert len(chosen._batches) == 1


@torch.inference_mode()
def test_rows_that_are_nobodys_stay_in_bounds(
    model: Whisper, decoder: Decoder, features: torch.Tensor
) -> None:
    """Three windows are computed in four rows, and five in seven, as often as one likes."""
    rows, recorder = requests(*SEARCHES["greedy"]), Recorder()
    chosen = running(decoder, recorder)
    for _ in range(4):
        chosen.join(seats(model, rows[:3]), features[:3])
        while chosen:
            chosen.step()
    chosen.join(seats(model, rows[:5]), features[:5])
    while chosen:
        chosen.step()
    (batch,) = chosen._batches.values()

    assert batch._frames is not None
    assert {rows for rows, *_ in batch._frames._frames} <= {1, 2, 4, SLOTS}


def test_windows_fit_in_few_numbers_of_rows() -> None:
    """Powers of two, and as many as there may be."""
    assert [rows_for(windows, 7) for windows in range(1, 8)] == [1, 2, 4, 4, 7, 7, 7]
    assert rows_for(9, 7) == 9


def test_few_shapes_are_kept(
    model: Whisper, decoder: Decoder, features: torch.Tensor, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where there are more, all are captured anew, in a pool of their own."""
    monkeypatch.setattr(frame, "MOST", 2)
    rows, recorder = requests(*SEARCHES["beam"]), Recorder()
    chosen = running(decoder, recorder)

    assert_alike(
        decoded(running(decoder, None), model, rows, features), decoded(chosen, model, rows, features)
    )
    gc.collect()
    assert len(recorder.living) <= 2


def test_where_nothing_can_be_captured_steps_go_on(
    model: Whisper, decoder: Decoder, features: torch.Tensor, caplog: pytest.LogCaptureFixture
) -> None:
    """It is said once, and not tried again."""
    rows = requests(*SEARCHES["greedy"])
    recorder = Recorder(RuntimeError("CUDA error: operation not permitted when stream is capturing"))
    with caplog.at_level(logging.WARNING):
        actual = decoded(running(decoder, recorder), model, rows, features)

    assert_alike(decoded(running(decoder, None), model, rows, features), actual)
    assert (recorder.captures, recorder.replays) == (1, 0)
    assert "operation not permitted" in caplog.text


def test_a_step_that_waits_for_the_device_cannot_be_captured() -> None:
    """Else these tests would show little."""
    for waits in (
        lambda: torch.ones(3).nonzero(),
        lambda: torch.ones(3).sum().item(),
        lambda: torch.tensor([1, 2]),
        lambda: torch.where(torch.ones(3) > 0, 1, torch.ones(3)),
    ):
        with pytest.raises(RuntimeError, match="capturing"), Recording():
            waits()


@pytest.fixture
def small_engine(tiny_model: Whisper) -> tuple[WhisperEngine, Recorder]:
    return engine(tiny_model, recorder := Recorder()), recorder


def engine(model: Whisper, recorder: Recorder | None) -> WhisperEngine:
    checkpoint = Checkpoint(Path("tiny.pt"), "tiny", "0" * 64)
    return WhisperEngine(copy.deepcopy(model), checkpoint, Plain, recorder)


def windows(count: int) -> list[Request]:
    chance = np.random.default_rng(1)
    every = [chance.normal(0, 0.1, (1 + 7 * at) * 16_000).astype(np.float32) for at in range(count)]
    request = Request(pcm=every[0], options=GREEDY, language="fr", temperature=0.0)
    return [
        replace(request, pcm=pcm, prompt=tuple(range(1000, 1000 + 3 * at))) for at, pcm in enumerate(every)
    ]


def test_replies_are_the_same(small_engine: tuple[WhisperEngine, Recorder], tiny_model: Whisper) -> None:
    """Of windows of several kinds, with words and without."""
    options = [replace(GREEDY, word_timestamps=True), Options(beam_size=2)]
    rows = [replace(each, options=chosen) for chosen in options for each in windows(2)]
    rows.append(replace(rows[0], temperature=0.6, seed=3))
    plain = engine(tiny_model, None)
    chosen, recorder = small_engine

    def heard(reply: Reply) -> object:
        return [
            (each.tokens, each.start, each.end, each.words and len(each.words)) for each in reply.segments
        ]

    expected = [transcribe(plain, [row])[0] for row in rows]
    actual = transcribe(chosen, rows)
    assert [heard(each) for each in expected] == [heard(each) for each in actual]
    assert recorder.replays > 0


def test_memory_that_runs_out_lets_all_graphs_go(small_engine: tuple[WhisperEngine, Recorder]) -> None:
    """In whatever words CUDA says it, and be it said while another error is raised."""
    chosen, recorder = small_engine
    transcribe(chosen, windows(1))
    assert len(recorder.living) > 0
    shortage = RuntimeError("CUDA error: capture was invalidated")
    shortage.__context__ = torch.OutOfMemoryError("CUDA out of memory")
    recorder._fails = shortage
    chosen.admit(windows(2))
    with pytest.raises(OutOfMemory):
        [chosen.advance() for _ in iter(lambda: chosen.running, 0)]

    assert chosen.running == 0
    assert len(recorder.living) == 0
    recorder._fails = None
    assert len(transcribe(chosen, windows(2))) == 2


def test_graphs_go_with_the_model(small_engine: tuple[WhisperEngine, Recorder]) -> None:
    """Their memory is the device's."""
    chosen, recorder = small_engine
    transcribe(chosen, windows(1))
    chosen.close()
    assert len(recorder.living) == 0
