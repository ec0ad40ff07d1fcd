"""How hypotheses grow (the TokenDecoders of whisper/decoding.py), for all windows of a batch at once.

Shapes: (windows, hypotheses). Before the first token, a window has one hypothesis.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar, NamedTuple, Protocol, Self

import torch

from pipeline.stage.transcribe.decoder import BLOCK
from pipeline.stage.transcribe.said import Said
from pipeline.stage.transcribe.transfer import fetched

if TYPE_CHECKING:
    from collections.abc import Sequence


class Candidate(NamedTuple):
    """Something a window may say, without its end token."""

    tokens: tuple[int, ...]
    logprob: float


class Ends(NamedTuple):
    """The candidates of a step that ended, as the device knows them: (windows, candidates)."""

    are: torch.Tensor  # whether each did
    totals: torch.Tensor
    sources: torch.Tensor  # the hypothesis that each grew from
    said: torch.Tensor  # by all hypotheses before: (windows, hypotheses, room)


class Grown(NamedTuple):
    """What a step did to the hypotheses."""

    sources: torch.Tensor  # which one each grew from: (windows, hypotheses)
    ends: Ends | None


class Search(Protocol):
    """The hypotheses of the windows still being decoded."""

    rows: ClassVar[tuple[str, ...]]  # see rows.py
    said: Said

    @property
    def is_drawn(self) -> bool:
        """Whether tokens are drawn by generators of the windows' own, of which a captured step knows nothing."""
        ...

    def grow(self, logits: torch.Tensor) -> Grown:
        """Add a token to each, on the device alone."""
        ...

    def look(self, ends: Ends | None) -> None:
        """Learn which ended in the last step."""
        ...

    def ended(self) -> list[bool]:
        """Tell which windows need no further token."""
        ...

    def candidates(self, window: int) -> list[Candidate]:
        """Return what a window may say."""
        ...

    def join(self, other: Self) -> None:
        """Make ready for the windows of another search of this kind, whose rows are joined then."""
        ...

    def keep(self, order: Sequence[int]) -> None:
        """Keep these windows, in this order, of which the rows are kept already."""
        ...


class Beam:
    """Beam search; whisper's order of candidates is kept, as it breaks ties."""

    rows: ClassVar[tuple[str, ...]] = ("_totals",)
    is_drawn = False

    def __init__(self, logits: torch.Tensor, size: int, patience: float | None, end: int) -> None:
        """Begin with the best first tokens by logits (windows, 1, vocabulary): none of them can end."""
        self._size, self._end = size, end
        self._enough = max(1, round(size * (patience or 1.0)))  # whisper refuses less
        logprobs, tokens = best(logits, size)
        self._totals = logprobs[:, 0]
        self.said = Said(tokens[:, 0])
        self._finished: list[list[Candidate]] = [[] for _ in range(len(logits))]

    def grow(self, logits: torch.Tensor) -> Grown:
        """Keep the best continuations that go on, beside those better than the last of them that end."""
        logprobs, tokens = best(logits, self._size + 1)
        totals, at = (self._totals[..., None] + logprobs).flatten(1).sort(descending=True, stable=True)
        totals, at = totals[:, : 2 * self._size], at[:, : 2 * self._size]
        tokens, sources = tokens.flatten(1).gather(1, at), at // (self._size + 1)
        ends = tokens == self._end
        kept = ends.to(torch.uint8).sort(stable=True).indices[:, : self._size]
        better = torch.arange(at.shape[1], device=at.device) < kept[:, -1:]
        ended = Ends(ends & better, totals, sources, self.said.tokens.clone())
        self._totals, sources = totals.gather(1, kept), sources.gather(1, kept)
        self.said.go_on(sources, tokens.gather(1, kept))
        return Grown(sources, ended)

    def look(self, ends: Ends | None) -> None:
        """Set aside those that ended, as many as are wanted."""
        assert ends, "grow() returns them"  # noqa: S101 - invariant
        (are,) = fetched(ends.are)
        if not (found := are[: len(self._finished)].nonzero().tolist()):
            return
        totals, sources, said = fetched(*ends[1:])
        for window, place in found:
            if len(self._finished[window]) < self._enough:
                before = self.said.counts[window] - 1
                tokens = said[window, sources[window, place], :before].tolist()
                self._finished[window].append(Candidate(tuple(tokens), totals[window, place].item()))

    def ended(self) -> list[bool]:
        """Tell which windows have enough finished hypotheses."""
        return [len(finished) >= self._enough for finished in self._finished]

    def candidates(self, window: int) -> list[Candidate]:
        """Return the finished hypotheses, filled up with the best unfinished ones."""
        finished, said = self._finished[window], self.said.of(window)
        (totals,) = fetched(self._totals[window])
        open_ = [
            Candidate(tuple(said[at]), totals[at].item()) for at in totals.argsort(descending=True).tolist()
        ]
        return finished + open_[: max(0, self._size - len(finished))]

    def join(self, other: Self) -> None:
        """Make ready for the windows of another search of this kind, whose rows are joined then."""
        self.said.join(other.said)
        self._finished += other._finished

    def keep(self, order: Sequence[int]) -> None:
        """Keep these windows, in this order, of which the rows are kept already."""
        self.said.keep(order)
        self._finished = [self._finished[row] for row in order]


@dataclass(frozen=True, slots=True)
class Draw:
    """How one window's tokens are drawn."""

    temperature: float
    seed: int


class Sample:
    """Independent hypotheses: the likeliest token at temperature 0, else drawn, each window by its own seed."""

    rows: ClassVar[tuple[str, ...]] = ("_totals",)

    def __init__(
        self, logits: torch.Tensor, draws: Sequence[Draw], size: int, end: int, vocabulary: int
    ) -> None:
        """Begin with first tokens by logits (windows, 1, padded vocabulary)."""
        device = logits.device
        self._draws = [(draw, torch.Generator(device).manual_seed(draw.seed)) for draw in draws]
        self._end, self._vocabulary = end, vocabulary
        tokens, self._totals = self._chosen(logits.expand(-1, size, -1))
        self.said = Said(tokens)
        self._sources = torch.arange(size, device=device)

    @property
    def is_drawn(self) -> bool:
        """Whether any window has a temperature."""
        return any(draw.temperature for draw, _ in self._draws)

    def grow(self, logits: torch.Tensor) -> Grown:
        """Draw the next token of each hypothesis; one that has ended goes on with the end token."""
        tokens, logprobs = self._chosen(logits)
        over = self.said.last == self._end
        self._totals = self._totals + logprobs.masked_fill(over, 0.0)
        sources = self._sources.expand(len(logits), -1)
        self.said.go_on(sources, tokens.masked_fill(over, self._end))
        return Grown(sources, None)

    def look(self, ends: Ends | None) -> None:
        """Nothing is set aside: hypotheses that have ended stay."""

    def _chosen(self, logits: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        if not self.is_drawn:
            logprobs, tokens = best(logits, 1)
            return tokens[..., 0], logprobs[..., 0]
        tokens = torch.stack([self._drawn(row, *draw) for row, draw in zip(logits, self._draws, strict=True)])
        return tokens, torch.log_softmax(logits, -1).gather(-1, tokens[..., None])[..., 0]

    def _drawn(self, logits: torch.Tensor, draw: Draw, generator: torch.Generator) -> torch.Tensor:
        """Draw as torch's Categorical does, so that a seed means what it means in whisper."""
        probabilities = torch.softmax(logits[:, : self._vocabulary] / draw.temperature, -1)
        return torch.multinomial(probabilities, 1, replacement=True, generator=generator)[:, 0]

    def ended(self) -> list[bool]:
        """Tell which windows have ended in every hypothesis."""
        (over,) = fetched((self.said.last == self._end).all(-1))
        ended: list[bool] = over.tolist()
        return ended

    def candidates(self, window: int) -> list[Candidate]:
        """Return all hypotheses."""
        rows = zip(self.said.of(window), self._totals[window].tolist(), strict=True)
        return [Candidate(self._before_end(tokens), total) for tokens, total in rows]

    def _before_end(self, tokens: list[int]) -> tuple[int, ...]:
        return tuple(tokens[: tokens.index(self._end)] if self._end in tokens else tokens)

    def join(self, other: Self) -> None:
        """Make ready for the windows of another search of this kind, whose rows are joined then."""
        self.said.join(other.said)
        self._draws += other._draws

    def keep(self, order: Sequence[int]) -> None:
        """Keep these windows, in this order, of which the rows are kept already."""
        self.said.keep(order)
        self._draws = [self._draws[row] for row in order]


def best(logits: torch.Tensor, count: int) -> tuple[torch.Tensor, torch.Tensor]:
    """Return the log-probabilities of the likeliest tokens, and these: (..., count)."""
    largest, tokens = top(logits, count)
    return largest - _logsumexp(logits), tokens


def _logsumexp(logits: torch.Tensor) -> torch.Tensor:
    """Return what torch's does, (..., 1), block by block: the sum of one long row depends on how many threads add."""
    blocks = logits.view(*logits.shape[:-1], -1, BLOCK)
    return blocks.logsumexp(-1).logsumexp(-1, keepdim=True)


def top(values: torch.Tensor, count: int) -> tuple[torch.Tensor, torch.Tensor]:
    """Return what torch.topk returns over (..., a multiple of BLOCK), looking only into the blocks that can hold it."""
    blocks = values.view(*values.shape[:-1], -1, BLOCK)
    chosen = blocks.amax(-1).topk(count).indices.sort(-1).values
    inside = blocks.gather(-2, chosen[..., None].expand(*chosen.shape, BLOCK)).flatten(-2)
    found, at = inside.topk(count)
    return found, chosen.gather(-1, at // BLOCK) * BLOCK + at % BLOCK
