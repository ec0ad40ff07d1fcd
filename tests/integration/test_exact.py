"""Exact mode against whisper.transcribe itself: the same answers of a model make the same transcript."""

import random
import sys
from dataclasses import asdict
from itertools import pairwise
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
import whisper
from whisper.decoding import DecodingResult
from whisper.tokenizer import get_tokenizer

from pipeline.options import Options
from pipeline.stage.pack.cut import Clip, to_float
from pipeline.stage.pack.exact import ExactTrack
from pipeline.stage.pack.spool import Spool
from pipeline.stage.pack.thresholds import temperatures
from pipeline.stage.transcribe import mel
from pipeline.stage.transcribe.engine import HOP, SAMPLE_RATE, Heard, Reply
from pipeline.stage.transcribe.segments import cut

TOKENIZER = get_tokenizer(multilingual=True, num_languages=99, language="fr", task="transcribe")
WORDS = TOKENIZER.encode(" bonjour la nuit le vent il est tard et nous partons demain")


class Script:
    """A model whose answers are drawn by lot; what it was asked is noted."""

    def __init__(self, seed: int) -> None:
        self._lot = random.Random(seed)  # noqa: S311 - drawn by lot, and the same in every run
        self.asked = []

    def answer(self, prompt: Any, temperature: float) -> Any:
        self.asked.append((list(prompt or [])[-223:], round(temperature, 6)))
        lot = self._lot
        return DecodingResult(
            audio_features=None,
            language="fr",
            tokens=self._tokens(),
            avg_logprob=lot.choice([-0.2, -0.5, -1.5]),
            no_speech_prob=lot.choice([0.01, 0.1, 0.8]),
            temperature=temperature,
            compression_ratio=lot.choice([1.2, 1.6, 2.6]),
        )

    def _tokens(self) -> Any:
        lot, begin, tokens, at = self._lot, TOKENIZER.timestamp_begin, [], 0
        most = lot.choice([0, 4, 4, 4])
        for _ in range(lot.randint(0, 3)):
            at = min(1500, at + lot.choice([0, 40, 300] if at else [40, 300]))  # the rules forbid to end at 0
            end = min(1500, at + lot.choice([0, 150, 400]))
            tokens += [begin + at, *lot.sample(WORDS, lot.randint(0, most)), begin + end]
            at = end
        tail = lot.choice(["nothing", "open", "closed"])
        if tail != "nothing" or not tokens:
            tokens += [begin + at, *lot.sample(WORDS, 3)]
        return [*tokens, begin + min(1500, at + 200)] if tail == "closed" else tokens


def spoken(pcm_seconds: Any) -> Any:
    return np.random.default_rng(3).integers(-9000, 9000, int(pcm_seconds * SAMPLE_RATE), dtype=np.int16)


def words_of(segments: Any, offset: Any, last_speech: Any) -> Any:
    """Return made-up words for each segment with text, which depend on when the last word before was said."""
    made = []
    for start, end, tokens in segments:
        step = (end - start) / 3
        lot = random.Random(len(tokens) * 7 + round(end - offset, 2) + round(last_speech, 1))  # noqa: S311 - as above
        bounds = [round(start + number * step, 2) for number in range(4)]
        made.append(
            [
                {"word": " la", "start": a, "end": b, "probability": lot.choice([0.05, lot.random(), 0.9])}
                for a, b in pairwise(bounds)
            ]
            if any(token < TOKENIZER.eot for token in tokens)
            else []
        )
    return made


def theirs(script: Any, pcm: Any, options: Any, monkeypatch: pytest.MonkeyPatch) -> Any:
    """Return the result of whisper.transcribe with this model, and the mels it decoded."""
    mels = []

    def decode(segment: Any, decoding: Any) -> Any:
        mels.append(segment)
        return script.answer(decoding.prompt, decoding.temperature)

    def add_words(*, segments: Any, last_speech_timestamp: Any, **_: Any) -> None:
        spans = [(each["start"], each["end"], each["tokens"]) for each in segments]
        offset = segments[0]["seek"] / 100
        for each, words in zip(segments, words_of(spans, offset, last_speech_timestamp), strict=True):
            each["words"] = words

    monkeypatch.setattr(sys.modules["whisper.transcribe"], "add_word_timestamps", add_words)
    model = SimpleNamespace(
        dims=SimpleNamespace(n_mels=80, n_audio_ctx=1500, n_text_ctx=448),
        device=torch.device("cpu"), is_multilingual=True, num_languages=99, decode=decode,
    )  # fmt: skip
    values = asdict(options)
    names = (
        "language", "initial_prompt", "carry_initial_prompt", "condition_on_previous_text", "word_timestamps",
        "clip_timestamps", "hallucination_silence_threshold", "no_speech_threshold", "logprob_threshold",
    )  # fmt: skip
    named = {name: values[name] for name in names}
    temperature = tuple(temperatures(options))
    return whisper.transcribe(model, to_float(pcm), temperature=temperature, fp16=False, **named), mels


def reply_of(result: Any, request: Any) -> Any:
    """Return the engine's reply to what a model said, as the real engine makes it."""
    segments, consumed, single_ending = cut(result.tokens, TOKENIZER, request.frames)
    if request.options.word_timestamps:
        spans = [(each.start, each.end, each.tokens) for each in segments]
        segments = [
            Heard(start=each.start, end=each.end, text=each.text, tokens=each.tokens, words=tuple(words))
            for each, words in zip(
                segments, words_of(spans, 0, request.last_speech + request.seek / 100), strict=True
            )
        ]
    return Reply(
        language="fr", segments=tuple(segments), tokens=tuple(result.tokens), consumed=consumed,
        temperature=result.temperature, avg_logprob=result.avg_logprob, single_ending=single_ending,
        compression_ratio=result.compression_ratio, no_speech_prob=result.no_speech_prob,
    )  # fmt: skip


def loudest_of(pcm: Any) -> Any:
    return float(mel.log10_mel(torch.from_numpy(pcm)[None], 80).max())


def opened(pcm: Any, options: Any, resume: Any = (), loudest: Any = loudest_of) -> Any:
    """Return a track that has had its first pass."""
    prompt = tuple(TOKENIZER.encode(" " + options.initial_prompt.strip())) if options.initial_prompt else ()
    track = ExactTrack(options, sha256="ab", prompt=prompt, log_mel_max=loudest, resume=resume)
    for at in range(0, len(pcm), 470_001):
        track.feed(Clip(at, pcm[at : at + 470_001]))
    track.end()
    return track


def ours(script: Any, track: Any) -> Any:
    """Return the finished track with this model, and what it asked for."""
    requests = []
    while not track.finished:
        window, request = track.offer()
        requests.append(request)
        track.take(window, reply_of(script.answer(request.prompt, request.temperature), request))
    return track, requests


@pytest.mark.parametrize("seed", range(12))
@pytest.mark.parametrize(
    "named",
    [
        {},
        {"initial_prompt": "Les noms propres", "carry_initial_prompt": True},
        {"initial_prompt": "Les noms propres", "condition_on_previous_text": False},
        {"clip_timestamps": "3,40,50,55.5,60"},
        {"word_timestamps": True},
        {"word_timestamps": True, "hallucination_silence_threshold": 1.0},
    ],
    ids=["plain", "carried", "unconditioned", "clips", "words", "hallucinations"],
)
def test_the_transcript_is_whispers(
    seed: int, named: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Segments, seeks, prompts and temperatures are equal, whatever the model says."""
    options, pcm = Options(language="fr", exact=True, **named), spoken(95.5)
    their_script, our_script = Script(seed), Script(seed)
    blank = torch.zeros(80, len(pcm) // HOP + 3000)  # the mels are compared below
    monkeypatch.setattr(sys.modules["whisper.transcribe"], "log_mel_spectrogram", lambda *_, **__: blank)
    result, _ = theirs(their_script, pcm, options, monkeypatch)
    track, _ = ours(our_script, opened(pcm, options, loudest=lambda _: 0.0))
    assert our_script.asked == their_script.asked
    segments = [each for window in track.windows for each in window.segments]
    assert [(each.seek, each.text, list(each.tokens)) for each in segments] == [
        (each["seek"], each["text"], each["tokens"]) for each in result["segments"]
    ]
    for mine, whispers in zip(segments, result["segments"], strict=True):
        assert (mine.start, mine.end) == pytest.approx((whispers["start"], whispers["end"]))
        assert [each["probability"] for each in mine.words or ()] == [
            each["probability"] for each in whispers.get("words", ())
        ]


def test_the_mels_are_whispers(monkeypatch: pytest.MonkeyPatch) -> None:
    """Clamped to the loudest of the whole file, padded with zeros, edges as in one long spectrogram."""
    options, pcm = Options(language="fr", exact=True), spoken(41.3)
    pcm[: 20 * SAMPLE_RATE] //= 2000
    result, their_mels = theirs(Script(2), pcm, options, monkeypatch)
    _, requests = ours(Script(2), opened(pcm, options))
    our_mels = [mel.blanked(mel.log_mels([each], 80, torch.device("cpu")), [each])[0] for each in requests]
    assert result["segments"]
    assert all(torch.allclose(a, b, atol=1e-4) for a, b in zip(our_mels, their_mels, strict=True))


@pytest.mark.parametrize("seed", range(12))
@pytest.mark.parametrize(
    "named",
    [
        {},
        {"initial_prompt": "Les noms propres", "condition_on_previous_text": False},
        {"word_timestamps": True, "hallucination_silence_threshold": 1.0},
    ],
    ids=["plain", "unconditioned", "hallucinations"],
)
def test_a_resumed_file_goes_on_as_if_it_had_not_stopped(seed: int, named: dict[str, Any]) -> None:
    """Seek, prompt, last word and language come from the windows that are finished, whichever the last of them is."""
    options, pcm = Options(language="fr", exact=True, **named), spoken(95.5)
    straight, script = opened(pcm, options, loudest=lambda _: 0.0), Script(seed)
    while not straight.finished:
        window, wanted = straight.offer()
        if wanted.temperature == 0.0 and straight.windows:
            here, mine = opened(pcm, options, straight.windows, loudest=lambda _: 0.0).offer()
            assert (window, wanted.prompt, wanted.frames) == (here, mine.prompt, mine.frames)
            assert (wanted.seek, wanted.last_speech) == (mine.seek, pytest.approx(mine.last_speech))
            assert np.array_equal(wanted.pcm, mine.pcm)
        straight.take(window, reply_of(script.answer(wanted.prompt, wanted.temperature), wanted))


def test_the_language_is_that_of_the_beginning_whatever_the_clips() -> None:
    """Whisper detects it on the first 30 s; nothing said there is heard."""
    pcm, script = spoken(70), Script(0)
    track = opened(pcm, Options(exact=True, clip_timestamps="40"), loudest=lambda _: 0.0)
    window, request = track.offer()
    assert (request.language, request.prompt, request.frames) == (None, (), 3000)
    assert np.array_equal(to_float(pcm)[: 30 * SAMPLE_RATE], request.pcm[200:-200])
    track.take(window, reply_of(script.answer((), 0.0), request))
    assert track.windows == ()
    window, request = track.offer()
    assert (window, request.language) == (40 * SAMPLE_RATE, "fr")


def test_only_one_window_is_out_at_a_time() -> None:
    """The next prompt and the next seek depend on the reply."""
    track = opened(spoken(70), Options(exact=True))
    assert track.ready == 1
    track.offer()
    assert track.ready == 0


def test_a_window_that_never_moves_on_is_left_behind() -> None:
    """Whisper would ask for the same window for ever when its timestamps stay at zero."""
    track = opened(spoken(40), Options(exact=True, language="fr"))
    begin = TOKENIZER.timestamp_begin
    stuck = DecodingResult(
        audio_features=None, language="fr", tokens=[begin, WORDS[0], begin, begin], avg_logprob=-0.1,
        no_speech_prob=0.0, temperature=0.0, compression_ratio=1.0,
    )  # fmt: skip
    window, request = track.offer()
    track.take(window, reply_of(stuck, request))
    assert track.waiting_from == 30 * SAMPLE_RATE


def test_the_spool_gives_back_what_the_stft_sees() -> None:
    """Mirrored before the first sample, zero after the last."""
    spool, pcm = Spool(), spoken(0.1)
    spool.append(pcm[:700])
    spool.append(pcm[700:])
    whole = np.concatenate([to_float(pcm)[1:201][::-1], to_float(pcm), np.zeros(90, np.float32)])
    assert np.array_equal(whole, spool.read(-200, len(pcm) + 90))
    assert np.array_equal(to_float(pcm)[HOP:400], spool.read(HOP, 400))
    spool.close()
