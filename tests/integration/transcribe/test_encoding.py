"""Windows are encoded beside the decoder: none is lost, none comes out twice, and company changes no bit."""

from __future__ import annotations

import threading
from collections.abc import Iterator, Sequence

import numpy as np
import pytest
import torch
from whisper.model import Whisper

from pipeline.options import Options
from pipeline.stage.transcribe.encoder import Encoder
from pipeline.stage.transcribe.encoding import Encoding
from pipeline.stage.transcribe.engine import Request
from pipeline.stage.transcribe.linear import Plain

FOREVER_S = 30.0


class Held:
    """An encoder that waits until it is let go, but for the thread that calls it first."""

    def __init__(self, encoder: Encoder) -> None:
        self._encoder = encoder
        self.go = threading.Event()
        self.by: list[str] = []

    def __call__(self, mels: torch.Tensor, contexts: Sequence[int]) -> list[torch.Tensor]:
        name = threading.current_thread().name
        self.by.append(name)
        if name.startswith("encode"):
            assert self.go.wait(FOREVER_S)
        return self._encoder(mels, contexts)


@pytest.fixture
def encoder(tiny_model: Whisper) -> Encoder:
    return Encoder(tiny_model.encoder, Plain)


@pytest.fixture
def held(encoder: Encoder) -> Held:
    return Held(encoder)


@pytest.fixture
def encoding(held: Held) -> Iterator[Encoding]:
    """Two cores, of which one encodes."""
    torch.set_num_threads(2)
    made = Encoding(held, 80, torch.device("cpu"))  # type: ignore[arg-type]  # is called like one
    yield made
    held.go.set()
    made.close()
    torch.set_num_threads(1)


def windows(count: int) -> list[Request]:
    chance = np.random.default_rng(1)
    every = [chance.normal(0, 0.1, (1 + number) * 16_000).astype(np.float32) for number in range(count)]
    return [Request(pcm=pcm, options=Options(), language="fr", temperature=0.0) for pcm in every]


def test_a_decoder_that_has_work_does_not_wait(encoding: Encoding) -> None:
    """What is not ready yet is asked for again."""
    encoding.add(windows(2))
    assert encoding.take(9, hungry=False, idle=False) == []
    assert (len(encoding), encoding.at_work) == (2, True)


def test_a_hungry_decoder_encodes_what_no_core_has_begun(encoding: Encoding, held: Held) -> None:
    """The core that encodes has the first one in its hands."""
    requests = windows(3)
    encoding.add(requests)
    while not held.by:
        pass
    ((taken, _),) = encoding.take(9, hungry=True, idle=False)
    assert taken is requests[1]
    assert held.by[1:] == ["MainThread"]


def test_an_idle_decoder_waits(encoding: Encoding, held: Held) -> None:
    """Until a window is ready: there is nothing else to do."""
    encoding.add(windows(1))
    while not held.by:
        pass
    threading.Timer(0.1, held.go.set).start()
    assert len(encoding.take(9, hungry=True, idle=True)) == 1


def test_no_more_go_out_than_there_is_room_for(encoding: Encoding, held: Held) -> None:
    """In the order in which they came in."""
    held.go.set()
    requests = windows(4)
    encoding.add(requests)
    while encoding.at_work:
        pass
    out = [encoding.take(room, hungry=False, idle=False) for room in (3, 0, 9)]
    assert [
        [request for request, _ in each] == part
        for each, part in zip(out, [requests[:3], [], requests[3:]], strict=True)
    ]
    assert [len(each) for each in out] == [3, 0, 1]


def test_a_dropped_window_does_not_come_out(encoding: Encoding, held: Held) -> None:
    """Neither one that is being encoded, nor one that waits."""
    requests = windows(4)
    encoding.add(requests)
    encoding.drop({id(requests[0]), id(requests[2])})
    held.go.set()
    while encoding.at_work:
        pass
    assert [request for request, _ in encoding.take(9, hungry=False, idle=False)] == [
        requests[1],
        requests[3],
    ]
    assert len(encoding) == 0


def test_what_waits_is_not_encoded_after_the_end(encoding: Encoding, held: Held) -> None:
    """Only the window that a core has in its hands: a process that is to end ends after it."""
    encoding.add(windows(4))
    while not held.by:
        pass
    threading.Timer(0.1, held.go.set).start()
    encoding.close()
    assert len(held.by) == 1


def test_what_fails_aside_is_raised_where_it_is_taken(
    encoding: Encoding, monkeypatch: pytest.MonkeyPatch
) -> None:
    """And after a clear nothing is left of it."""
    monkeypatch.setattr(encoding, "_encoder", lambda *_: 1 / 0)
    encoding.add(windows(2))
    with pytest.raises(ZeroDivisionError):
        encoding.take(9, hungry=True, idle=True)
    encoding.clear()
    assert (len(encoding), encoding.at_work) == (0, False)


@torch.inference_mode()
def test_company_and_cores_change_no_bit(encoder: Encoder) -> None:
    """A window is encoded by itself on one core."""
    requests, found = windows(3), []
    for cores in (1, 2):
        torch.set_num_threads(cores)
        encoding = Encoding(encoder, 80, torch.device("cpu"))
        encoding.add(requests)
        sounds = []
        while len(sounds) < len(requests):
            sounds += encoding.take(9, hungry=True, idle=True)
        found.append({id(request): sound.heard for request, sound in sounds})
        encoding.close()
    torch.set_num_threads(1)
    assert all(torch.equal(found[0][id(each)], found[1][id(each)]) for each in requests)
