"""Windows of several files -> tokens, as whisper/decoding.py finds them: those that decode alike go together."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import torch
from whisper.tokenizer import Tokenizer, get_tokenizer
from whisper.utils import compression_ratio

from pipeline.stage.transcribe.prompts import aligned, beginning
from pipeline.stage.transcribe.rules import Rules
from pipeline.stage.transcribe.search import Beam, Candidate, Draw, Sample, Search

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from whisper.model import Whisper

    from pipeline.stage.transcribe.decoder import Decoder
    from pipeline.stage.transcribe.engine import Request


class Decoded(NamedTuple):
    """What was decoded of one window."""

    tokens: tuple[int, ...]
    avg_logprob: float
    no_speech_prob: float
    compression_ratio: float


def tokenizer_for(model: Whisper, language: str | None, task: str) -> Tokenizer:
    """Return the model's tokenizer."""
    return get_tokenizer(
        model.is_multilingual, num_languages=model.num_languages, language=language, task=task
    )


def decode(
    decoder: Decoder, features: torch.Tensor, requests: Sequence[Request], tokenizers: Sequence[Tokenizer]
) -> list[Decoded]:
    """Decode windows; `features` is (windows, n_audio_ctx, width)."""
    results: dict[int, Decoded] = {}
    for rows in _groups(requests):
        alike, speaking = [requests[row] for row in rows], [tokenizers[row] for row in rows]
        candidates, silences = _Batch(decoder, features[rows], alike, speaking).run()
        for row, heard, silence in zip(rows, candidates, silences, strict=True):
            results[row] = _decoded(heard, silence, requests[row], tokenizers[row])
    return [results[row] for row in range(len(requests))]


def detect(decoder: Decoder, features: torch.Tensor, tokenizer: Tokenizer) -> list[str]:
    """Return the likeliest language of each window."""
    tokens = torch.full((len(features), 1), tokenizer.sot, device=features.device)
    cache = decoder.listen(features)
    cache.show(features.new_zeros(len(features), 1, 1))
    logits = decoder.logits(decoder(tokens, torch.zeros_like(tokens), cache))[:, 0]
    likeliest = logits[:, list(tokenizer.all_language_tokens)].argmax(-1)
    return [tokenizer.all_language_codes[at] for at in likeliest.tolist()]


def _groups(requests: Sequence[Request]) -> Iterable[list[int]]:
    """Part the rows by what a batch has in common: the kind of search, its width, and what is suppressed."""
    groups: dict[object, list[int]] = {}
    for row, request in enumerate(requests):
        options = request.options
        width = options.best_of if request.temperature > 0 else (options.beam_size, options.patience)
        key = (request.temperature > 0, width, options.suppress_tokens)
        groups.setdefault(key, []).append(row)
    return groups.values()


class _Batch:
    """Windows decoded together, each until its own end: those that ended make room."""

    def __init__(
        self,
        decoder: Decoder,
        features: torch.Tensor,
        requests: Sequence[Request],
        tokenizers: Sequence[Tokenizer],
    ) -> None:
        self._decoder, self._tokenizer = decoder, tokenizers[0]
        self._device = features.device
        options = requests[0].options
        self._rules = Rules(self._tokenizer, options.suppress_tokens, decoder.vocabulary, self._device)
        self._search = _search(requests, self._rules.end, decoder.vocabulary, self._device)
        self._begun = [
            beginning(request.prompt, tokenizer, decoder.positions)
            for request, tokenizer in zip(requests, tokenizers, strict=True)
        ]
        self._windows = list(range(len(requests)))  # those still being decoded
        self._candidates: dict[int, list[Candidate]] = {}
        self._lengths = torch.tensor([len(each) for each in self._begun], device=self._device)
        self._cache = decoder.listen(features)

    def run(self) -> tuple[list[list[Candidate]], list[float]]:
        """Return what each window may say, and the probability that nobody spoke in it."""
        logits, silences = self._begin()
        while True:
            self._rules.apply(logits, self._search.said)
            self._cache.grow(self._search.grow(logits))
            self._part()
            if not self._windows:
                return [self._candidates[window] for window in range(len(self._begun))], silences
            logits = self._go_on()

    def _begin(self) -> tuple[torch.Tensor, list[float]]:
        batch = aligned(self._begun, self._device)
        self._cache.show(batch.mask)
        hidden = self._decoder(batch.tokens, batch.positions, self._cache)
        self._cache.show(batch.mask[:, -1:])
        start = self._decoder.logits(hidden[:, -len(self._tokenizer.sot_sequence)])
        chances = start[:, : self._decoder.vocabulary].softmax(-1)
        return self._decoder.logits(hidden[:, -1:]), chances[:, self._tokenizer.no_speech].tolist()

    def _go_on(self) -> torch.Tensor:
        said = self._search.said
        positions = self._lengths[self._windows] + said.shape[-1] - 1
        hidden = self._decoder(said[..., -1], positions[:, None].expand(said.shape[:2]), self._cache)
        return self._decoder.logits(hidden)

    def _part(self) -> None:
        """Let the windows go that have ended, or are as long as whisper lets them be."""
        length = self._search.said.shape[-1]
        over = [
            ended or length >= self._longest(window)
            for ended, window in zip(self._search.ended(), self._windows, strict=True)
        ]
        for slot, window in enumerate(self._windows):
            if over[slot]:
                self._candidates[window] = self._search.candidates(slot)
        if any(over):
            order = _closed_up(over)
            self._windows = [self._windows[slot] for slot in order]
            self._search.keep(order)
            self._cache.keep(order)

    def _longest(self, window: int) -> int:
        """Return how many tokens this window may have: half the context, and what its beginning leaves."""
        positions = self._decoder.positions
        return min(positions // 2, positions + 1 - len(self._begun[window]))


def _search(requests: Sequence[Request], end: int, vocabulary: int, device: torch.device) -> Search:
    options, windows = requests[0].options, len(requests)
    if requests[0].temperature == 0 and options.beam_size:
        return Beam(windows, options.beam_size, options.patience, end, device)
    draws = [Draw(request.temperature, request.seed) for request in requests]
    return Sample(draws, (options.best_of if draws[0].temperature else None) or 1, end, vocabulary, device)


def _closed_up(over: Sequence[bool]) -> list[int]:
    """Return the order in which few of those that stay move: the last ones fill the gaps."""
    count = over.count(False)
    movers = [slot for slot in range(count, len(over)) if not over[slot]]
    return [movers.pop() if over[slot] else slot for slot in range(count)]


def _decoded(
    candidates: Sequence[Candidate], silence: float, request: Request, tokenizer: Tokenizer
) -> Decoded:
    """Choose whisper's best candidate (MaximumLikelihoodRanker)."""

    def score(candidate: Candidate) -> float:
        length, alpha = len(candidate.tokens), request.options.length_penalty
        return candidate.logprob / (length if alpha is None else ((5 + length) / 6) ** alpha)

    best = max(candidates, key=score)
    return Decoded(
        tokens=best.tokens,
        avg_logprob=best.logprob / (len(best.tokens) + 1),
        no_speech_prob=silence,
        compression_ratio=compression_ratio(tokenizer.decode(best.tokens).strip()),
    )
