"""Windows of several files -> tokens, as whisper/decoding.py finds them; windows join a running batch and leave it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar, NamedTuple, TypeVar

import torch
from whisper.tokenizer import Tokenizer, get_tokenizer
from whisper.utils import compression_ratio

from pipeline.stage.transcribe import rows
from pipeline.stage.transcribe.cache import room_for
from pipeline.stage.transcribe.frame import Frames
from pipeline.stage.transcribe.mel import POSITIONS, context
from pipeline.stage.transcribe.prompts import beginning, side_by_side
from pipeline.stage.transcribe.rules import Rules
from pipeline.stage.transcribe.search import Beam, Candidate, Draw, Ends, Sample, Search
from pipeline.stage.transcribe.transfer import sent

if TYPE_CHECKING:
    from collections.abc import Callable, Container, Sequence

    from whisper.model import Whisper

    from pipeline.stage.transcribe.decoder import Decoder
    from pipeline.stage.transcribe.engine import Request
    from pipeline.stage.transcribe.graphs import Graphs
    from pipeline.stage.transcribe.rows import Rowed

T = TypeVar("T")


class Decoded(NamedTuple):
    """What was decoded of one window."""

    tokens: tuple[int, ...]
    avg_logprob: float
    no_speech_prob: float
    compression_ratio: float
    sound: tuple[torch.Tensor, torch.Tensor] | None = None  # to time words by: see Cache.sound


def tokenizer_for(model: Whisper, language: str | None, task: str) -> Tokenizer:
    """Return the model's tokenizer."""
    return get_tokenizer(
        model.is_multilingual, num_languages=model.num_languages, language=language, task=task
    )


def detect(decoder: Decoder, features: Sequence[torch.Tensor], tokenizer: Tokenizer) -> list[str]:
    """Return the likeliest language of each window; features as in Batch."""
    tokens = torch.full((len(features), 1), tokenizer.sot, device=features[0].device)
    cache = decoder.listen(features, POSITIONS, 1)
    logits = decoder.logits(decoder(tokens, torch.zeros_like(tokens), cache))[:, 0]
    likeliest = logits[:, list(tokenizer.all_language_tokens)].argmax(-1)
    return [tokenizer.all_language_codes[at] for at in likeliest.tolist()]


def kind(request: Request) -> object:
    """Return what windows must have in common to be decoded together: room, the search, what is suppressed."""
    options = request.options
    width = options.best_of if request.temperature > 0 else (options.beam_size, options.patience)
    return room_for(context(request)), request.temperature > 0, width, options.suppress_tokens


@dataclass(frozen=True, slots=True)
class _Window:
    request: Request
    tokenizer: Tokenizer
    begun: tuple[int, ...]
    silence: float  # the probability that nobody spoke


class Batch:
    """Windows of one kind decoded side by side, each until its own end; each has its first token already."""

    rows: ClassVar[tuple[str, ...]] = ("_lengths", "_until")

    def __init__(
        self,
        decoder: Decoder,
        features: Sequence[torch.Tensor],
        requests: Sequence[Request],
        tokenizers: Sequence[Tokenizer],
        graphs: Graphs | None = None,
    ) -> None:
        """Begin; `features` are (positions, width) of each window. Steps are captured where there are graphs."""
        self._decoder, device = decoder, features[0].device
        self._frames = Frames(graphs) if graphs else None
        pairs = list(zip(requests, tokenizers, strict=True))
        begun = [beginning(request.prompt, tokenizer, decoder.positions) for request, tokenizer in pairs]
        suppressed = requests[0].options.suppress_tokens
        self._rules = Rules(
            tokenizers[0], suppressed, decoder.vocabulary, device, is_captured=graphs is not None
        )
        self._lengths = sent(list(map(len, begun)), device)
        until = [self._rules.stamp(request.speech_until) for request in requests]
        self._until = sent(until, device)
        tokens = side_by_side(begun, device)
        room = room_for(max(map(len, features)))
        self._cache = decoder.listen(features, room, tokens.shape[1])
        logits, silences = self._begin(tokens, tokenizers[0], list(map(len, begun)))
        self._windows = [
            _Window(*pair, first, silence)
            for pair, first, silence in zip(pairs, begun, silences, strict=True)
        ]
        self._search = _search(requests, logits, self._rules.end, decoder.vocabulary)
        self._cache.follow(torch.zeros_like(self._search.said.last))
        if graphs:
            self._cache.is_steady = True
            self._search.said.reserve(decoder.positions // 2)

    def __len__(self) -> int:
        return len(self._windows)

    @property
    def _owners(self) -> tuple[Rowed, ...]:
        return self, self._search, self._search.said, self._cache

    def join(self, other: Batch, most: int) -> None:
        """Take in the windows of another batch of this kind; there will be so many at most."""
        self._windows += other._windows
        self._cache.join(other._cache, most)
        self._search.join(other._search)
        rows.join(self._owners, other._owners)

    def step(self) -> None:
        """Add a token to every hypothesis."""
        self._search.said.settle()
        self._cache.settle()
        if self._search.is_drawn:
            ends = self._choose(self._run(self._predict)[: len(self)])
        else:
            ends = self._run(lambda: self._choose(self._predict()))
        self._search.look(ends)

    def _run(self, work: Callable[[], T]) -> T:
        """Do what asks nothing of the host but to be done."""
        if self._frames is None:
            return work()
        count = self._cache.reserve(self._frames.most)
        made: T = self._frames.run(self._owners, count, self._cache.places, work)
        return made

    def _predict(self) -> torch.Tensor:
        """Return the logits of what may follow."""
        said = self._search.said
        positions = (self._lengths + said.lengths - 1)[:, None].expand(said.last.shape)
        self._cache.extend()
        logits = self._decoder.logits(self._decoder(said.last, positions, self._cache))
        self._rules.go_on(logits, said)
        self._rules.say_what_began(logits, said, self._until)
        return logits

    def _choose(self, logits: torch.Tensor) -> Ends | None:
        sources, ends = self._search.grow(logits)
        self._cache.follow(sources)
        return ends

    def leave(self) -> list[tuple[Request, Decoded]]:
        """Let the windows go that have ended, or are as long as whisper lets them be."""
        lengths = self._search.said.counts
        over = [
            ended or length >= self._longest(window)
            for ended, length, window in zip(self._search.ended(), lengths, self._windows, strict=True)
        ]
        left = [
            (window.request, self._decoded(at, window)) for at, window in enumerate(self._windows) if over[at]
        ]
        self._remove(over)
        return left

    def _decoded(self, at: int, window: _Window) -> Decoded:
        decoded = _decoded(self._search.candidates(at), window)
        wants_words = window.request.options.word_timestamps
        return decoded._replace(sound=self._cache.sound(at)) if wants_words else decoded

    def drop(self, requests: Container[int]) -> None:
        """Let these windows go (by the id of their request) as they are."""
        self._remove([id(window.request) in requests for window in self._windows])

    def _begin(
        self, tokens: torch.Tensor, tokenizer: Tokenizer, lengths: list[int]
    ) -> tuple[torch.Tensor, list[float]]:
        """Say beginnings of these lengths; return the logits of what follows, and how likely windows are silent."""
        hidden = self._decoder(tokens, torch.arange(tokens.shape[1], device=tokens.device), self._cache)
        self._cache.begun(lengths)
        windows, starts = torch.arange(len(tokens), device=tokens.device), len(tokenizer.sot_sequence)
        ends = torch.stack([hidden[windows, self._lengths - back] for back in (starts, 1)], 1)
        logits = self._decoder.logits(ends)
        chances = logits[:, 0, : self._decoder.vocabulary].softmax(-1)
        first = logits[:, 1:].contiguous()
        self._rules.begin(first)
        return first, chances[:, tokenizer.no_speech].tolist()

    def _remove(self, over: Sequence[bool]) -> None:
        if not any(over):
            return
        order = _closed_up(over)
        self._windows = [self._windows[slot] for slot in order]
        rows.keep(self._owners, sent(order, self._lengths.device))
        self._search.keep(order)
        self._cache.keep(order)

    def _longest(self, window: _Window) -> int:
        """Return how many tokens this window may have: half the context, and what its beginning leaves."""
        positions = self._decoder.positions
        return min(positions // 2, positions + 1 - len(window.begun))


def _search(requests: Sequence[Request], logits: torch.Tensor, end: int, vocabulary: int) -> Search:
    options = requests[0].options
    if requests[0].temperature == 0 and options.beam_size:
        return Beam(logits, options.beam_size, options.patience, end)
    draws = [Draw(request.temperature, request.seed) for request in requests]
    size = (options.best_of if draws[0].temperature else None) or 1
    return Sample(logits, draws, size, end, vocabulary)


def _closed_up(over: Sequence[bool]) -> list[int]:
    """Return the order in which few of those that stay move: the last ones fill the gaps."""
    count = over.count(False)
    movers = [slot for slot in range(count, len(over)) if not over[slot]]
    return [movers.pop() if over[slot] else slot for slot in range(count)]


def _decoded(candidates: Sequence[Candidate], window: _Window) -> Decoded:
    """Choose whisper's best candidate (MaximumLikelihoodRanker)."""

    def score(candidate: Candidate) -> float:
        length, alpha = len(candidate.tokens), window.request.options.length_penalty
        return candidate.logprob / (length if alpha is None else ((5 + length) / 6) ** alpha)

    best = max(candidates, key=score)
    return Decoded(
        tokens=best.tokens,
        avg_logprob=best.logprob / (len(best.tokens) + 1),
        no_speech_prob=window.silence,
        compression_ratio=compression_ratio(window.tokenizer.decode(best.tokens).strip()),
    )
