"""Word times against whisper.timing: the same paths, medians, words and times, several windows at once."""

from __future__ import annotations

import copy
import random
from itertools import pairwise
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
import torch
import whisper.timing
from whisper.model import ModelDimensions, Whisper
from whisper.timing import add_word_timestamps, dtw_cpu, median_filter

from pipeline.options import Options
from pipeline.stage.transcribe import alignment, dtw, words
from pipeline.stage.transcribe.alignment import Alignment, Spoken, align, alignment_heads
from pipeline.stage.transcribe.decoder import Decoder
from pipeline.stage.transcribe.decoding import Decoded, tokenizer_for
from pipeline.stage.transcribe.engine import Heard, Request
from pipeline.stage.transcribe.linear import Plain
from pipeline.stage.transcribe.replies import Ended, replies
from tests.integration.transcribe.small import random_model

if TYPE_CHECKING:
    from collections.abc import Sequence

    from whisper.tokenizer import Tokenizer

SMALL = ModelDimensions(
    n_mels=80, n_audio_ctx=1500, n_audio_state=64, n_audio_head=2, n_audio_layer=1,
    n_vocab=51865, n_text_ctx=96, n_text_state=64, n_text_head=2, n_text_layer=4,
)  # fmt: skip
SAID = {
    "fr": " Bonjour, dit la nuit. « Il est tard ! » Et nous partons demain",
    "en": " Hello there. How are you? (Well.)",
    "ja": "こんにちは。元気ですか",
    "de": " Ja!",
}


def whispers_path(costs: np.ndarray) -> list[int]:
    rows, columns = dtw_cpu(costs.astype(np.float64))
    return columns[np.pad(np.diff(rows), (1, 0), constant_values=1).astype(bool)].tolist()


@pytest.mark.parametrize("decimals", [8, 1, 0], ids=["distinct", "some alike", "many alike"])
def test_paths_are_whispers(decimals: int) -> None:
    """Matrices of every shape side by side; where ways cost the same, the same one is taken."""
    lot = np.random.default_rng(decimals)
    shapes = [(1, 1), (5, 20), (1, 9), (40, 300), (30, 3), (2, 1), (17, 17)]
    matrices = [lot.normal(size=shape).round(decimals).astype(np.float32) for shape in shapes]

    assert [whispers_path(each) for each in matrices] == [each.tolist() for each in dtw.begins(matrices)]


@pytest.mark.parametrize("frames", [1, 3, 4, 5, 50, 1500])
def test_medians_are_whispers(frames: int) -> None:
    """Of seven frames each, mirrored at the ends."""
    rows = torch.randn(5, frames, generator=torch.Generator().manual_seed(frames)).round(decimals=1)

    assert torch.equal(median_filter(rows[None], 7)[0], alignment._median(rows))


@pytest.fixture(scope="module")
def model() -> Whisper:
    """Return a random model, which listens wherever it likes."""
    torch.set_num_threads(1)
    return random_model(SMALL, seed=3, spread=0.2)


BOUNDS = (0.0, 2.0, 2.0, 7.2, 11.0)


def segments_of(tokenizer: Tokenizer, text: str, bounds: Sequence[float] = BOUNDS) -> list[Heard]:
    """Return a text as segments of a few tokens each, one of them empty."""
    tokens = tokenizer.encode(text)
    parts = [tokens[:4], [], tokens[4:9], tokens[9:]]
    spans = zip(pairwise(bounds), parts, strict=True)
    return [Heard(start=start, end=end, text="", tokens=tuple(part)) for (start, end), part in spans]


def whispers(segments: list[Heard], request: Request, tokenizer: Tokenizer, **named: Any) -> list[Any]:
    """Return start, end and words of each segment as whisper finds them, in seconds of the file."""
    offset = request.seek / 100
    rows = [
        {"seek": request.seek, "start": each.start + offset, "end": each.end + offset, "tokens": list(each.tokens)}
        for each in segments
    ]  # fmt: skip
    add_word_timestamps(
        segments=rows, tokenizer=tokenizer, last_speech_timestamp=request.last_speech + offset, **named
    )
    return [(row["start"], row["end"], row["words"]) for row in rows]


def ours(segments: list[Heard], request: Request, tokenizer: Tokenizer, found: Alignment) -> list[Any]:
    offset = request.seek / 100
    timed = words.with_words(segments, found, tokenizer, request)
    return [
        (
            each.start + offset,
            each.end + offset,
            [
                word | {"start": word["start"] + offset, "end": word["end"] + offset}
                for word in each.words or ()
            ],
        )
        for each in timed
    ]


def same(theirs: list[Any], mine: list[Any]) -> None:
    for (*span, their_words), (*own_span, own_words) in zip(theirs, mine, strict=True):
        assert span == pytest.approx(own_span)
        assert [each["word"] for each in their_words] == [each["word"] for each in own_words]
        for name in ("start", "end", "probability"):
            assert [each[name] for each in their_words] == pytest.approx([each[name] for each in own_words])


@torch.inference_mode()
def test_windows_aligned_together_are_as_whisper_aligns_each(model: Whisper) -> None:
    """Of several languages, lengths and places in their files."""
    features = 4 * torch.randn(4, 1500, 64, generator=torch.Generator().manual_seed(5))
    frames, tokenizers = [3000, 2222, 1400, 3000], [tokenizer_for(model, each, "transcribe") for each in SAID]
    rows = [segments_of(tokenizer, text) for tokenizer, text in zip(tokenizers, SAID.values(), strict=True)]
    requests = [request(seek=seek, last_speech=-1.0) for seek in (0, 3000, 123_456, 40)]
    decoder = Decoder(copy.deepcopy(model.decoder), Plain)
    spoken = [
        Spoken(words.text_of(row, tokenizer), tokenizer, length)
        for row, tokenizer, length in zip(rows, tokenizers, frames, strict=True)
    ]
    cache = decoder.listen(features, 1500, 1)
    found = align(decoder, alignment_heads(model), [cache.sound(at) for at in range(4)], spoken)

    for number, (row, asked, tokenizer) in enumerate(zip(rows, requests, tokenizers, strict=True)):
        heard = {
            "model": Encoded(model, features[number]),
            "mel": features[number],
            "num_frames": frames[number],
        }
        same(whispers(row, asked, tokenizer, **heard), ours(row, asked, tokenizer, found[number]))


class Encoded:
    """The model as whisper.timing calls it, of a window that is encoded already."""

    def __init__(self, model: Whisper, features: torch.Tensor) -> None:
        self._model, self._features = model, features

    def __call__(self, _mel: torch.Tensor, tokens: torch.Tensor) -> torch.Tensor:
        return self._model.decoder(tokens, self._features[None])

    def __getattr__(self, name: str) -> Any:
        return getattr(self._model, name)


def request(*, seek: int, last_speech: float) -> Request:
    return Request(
        pcm=np.zeros(480_000, np.float32), options=Options(word_timestamps=True), language="fr", temperature=0.0,
        seek=seek, last_speech=last_speech,
    )  # fmt: skip


@pytest.mark.parametrize("seed", range(100))
def test_words_are_fitted_to_segments_as_whisper_does(
    model: Whisper, seed: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Long words, pauses, sentence ends and late windows, whatever the alignment."""
    lot = random.Random(seed)  # noqa: S311 - drawn by lot, and the same in every run
    language = lot.choice(list(SAID))
    tokenizer = tokenizer_for(model, language, "transcribe")
    bounds = sorted(lot.choice([0, 30, 200, 500, 1400]) / 50 for _ in range(5))
    segments = segments_of(tokenizer, SAID[language], bounds)
    text = words.text_of(segments, tokenizer)
    steps = [lot.choice([0, 2, 10, 20, 30, 70, 250]) for _ in range(len(text) + 1)]
    found = Alignment(np.cumsum(steps) / 50, [lot.random() for _ in text])
    asked = request(seek=lot.choice([0, 37, 90_000]), last_speech=lot.choice([-3.0, 0.0, 1.0]))
    timings = words._timings(text, found, tokenizer)
    monkeypatch.setattr(whisper.timing, "find_alignment", lambda *_, **__: copy.deepcopy(timings))

    theirs = whispers(segments, asked, tokenizer, model=None, mel=None, num_frames=0)
    same(theirs, ours(segments, asked, tokenizer, found))


@torch.inference_mode()
def test_where_nothing_was_said_there_are_no_words(model: Whisper) -> None:
    """Beside windows with words; their segments keep their times."""
    decoder, tokenizer = (
        Decoder(copy.deepcopy(model.decoder), Plain),
        tokenizer_for(model, "fr", "transcribe"),
    )
    begin, sound = tokenizer.timestamp_begin, decoder.listen(torch.randn(1, 1500, 64), 1500, 1).sound(0)
    said = [[begin, begin + 50], [begin, *tokenizer.encode(" Oui, oui"), begin + 50]]
    asked = request(seek=0, last_speech=0.0)
    windows = [
        Ended(asked, "fr", tokenizer, Decoded(tuple(each), 0.0, 0.0, 0.0, sound=sound)) for each in said
    ]
    silent, spoken = replies(decoder, alignment_heads(model), windows)

    assert [(each.start, each.end, each.words) for each in silent.segments] == [(0.0, 0.0, ())]
    assert "".join(word["word"] for word in spoken.segments[0].words or ()) == " Oui, oui"
