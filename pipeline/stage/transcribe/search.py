"""How hypotheses grow (the TokenDecoders of whisper/decoding.py), for all windows of a batch at once.

Shapes: (windows, hypotheses) and (windows, hypotheses, tokens). Before the first token, a window has one hypothesis.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple, Protocol

import torch

from pipeline.stage.transcribe.decoder import BLOCK

if TYPE_CHECKING:
    from collections.abc import Sequence


class Candidate(NamedTuple):
    """Something a window may say, without its end token."""

    tokens: tuple[int, ...]
    logprob: float


class Search(Protocol):
    """The hypotheses of the windows still being decoded."""

    said: torch.Tensor  # (windows, hypotheses, tokens)

    def grow(self, logits: torch.Tensor) -> torch.Tensor:
        """Add a token to each; return which hypothesis each one grew from: (windows, hypotheses)."""
        ...

    def ended(self) -> list[bool]:
        """Tell which windows need no further token."""
        ...

    def candidates(self, window: int) -> list[Candidate]:
        """Return what a window may say."""
        ...

    def keep(self, order: Sequence[int]) -> None:
        """Keep these windows, in this order."""
        ...


class Beam:
    """Beam search; whisper's order of candidates is kept, as it breaks ties."""

    def __init__(
        self, windows: int, size: int, patience: float | None, end: int, device: torch.device
    ) -> None:
        self.said = torch.empty(windows, 1, 0, dtype=torch.long, device=device)
        self._totals = torch.zeros(windows, 1, device=device)
        self._finished: list[list[Candidate]] = [[] for _ in range(windows)]
        self._size, self._end = size, end
        self._enough = round(size * (patience or 1.0))

    def grow(self, logits: torch.Tensor) -> torch.Tensor:
        """Keep the best continuations that go on; set aside those better than the last of them that end."""
        logprobs, tokens = top(torch.log_softmax(logits, -1), self._size + 1)
        totals, at = (self._totals[..., None] + logprobs).flatten(1).sort(descending=True, stable=True)
        totals, at = totals[:, : 2 * self._size], at[:, : 2 * self._size]
        tokens, sources = tokens.flatten(1).gather(1, at), at // (self._size + 1)
        ends = tokens == self._end
        kept = ends.to(torch.uint8).sort(stable=True).indices[:, : self._size]
        self._finish(totals, sources, ends & (torch.arange(at.shape[1], device=at.device) < kept[:, -1:]))
        self._totals, sources = totals.gather(1, kept), sources.gather(1, kept)
        self.said = continued(self.said, sources, tokens.gather(1, kept))
        return sources

    def _finish(self, totals: torch.Tensor, sources: torch.Tensor, ends: torch.Tensor) -> None:
        for window, place in ends.nonzero().tolist():
            if len(self._finished[window]) < self._enough:
                tokens = self.said[window, sources[window, place]].tolist()
                self._finished[window].append(Candidate(tuple(tokens), totals[window, place].item()))

    def ended(self) -> list[bool]:
        """Tell which windows have enough finished hypotheses."""
        return [len(finished) >= self._enough for finished in self._finished]

    def candidates(self, window: int) -> list[Candidate]:
        """Return the finished hypotheses, filled up with the best unfinished ones."""
        finished = self._finished[window]
        best = self._totals[window].argsort(descending=True).tolist()
        open_ = [
            Candidate(tuple(self.said[window, at].tolist()), self._totals[window, at].item()) for at in best
        ]
        return finished + open_[: max(0, self._size - len(finished))]

    def keep(self, order: Sequence[int]) -> None:
        """Keep these windows, in this order."""
        rows = list(order)
        self.said, self._totals = self.said[rows], self._totals[rows]
        self._finished = [self._finished[row] for row in rows]


@dataclass(frozen=True, slots=True)
class Draw:
    """How one window's tokens are drawn."""

    temperature: float
    seed: int


class Sample:
    """Independent hypotheses: the likeliest token at temperature 0, else drawn, each window by its own seed."""

    def __init__(
        self, draws: Sequence[Draw], size: int, end: int, vocabulary: int, device: torch.device
    ) -> None:
        self.said = torch.empty(len(draws), 1, 0, dtype=torch.long, device=device)
        self._totals = torch.zeros(len(draws), size, device=device)
        self._draws = [(draw, torch.Generator(device).manual_seed(draw.seed)) for draw in draws]
        self._size, self._end, self._vocabulary = size, end, vocabulary

    def grow(self, logits: torch.Tensor) -> torch.Tensor:
        """Draw the next token of each hypothesis; one that has ended goes on with the end token."""
        logits = logits.expand(-1, self._size, -1)
        sources = torch.arange(logits.shape[1], device=logits.device).clamp(max=self.said.shape[1] - 1)
        sources = sources.expand(len(logits), -1)
        chosen, logprobs = self._chosen(logits)
        if self.said.shape[-1]:
            over = self.said[..., -1] == self._end
            logprobs, chosen = logprobs.masked_fill(over, 0.0), chosen.masked_fill(over, self._end)
        self._totals += logprobs
        self.said = continued(self.said, sources, chosen)
        return sources

    def _chosen(self, logits: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        logprobs = torch.log_softmax(logits, -1)
        if all(draw.temperature == 0 for draw, _ in self._draws):
            best, tokens = top(logprobs, 1)
            return tokens[..., 0], best[..., 0]
        tokens = torch.stack([self._drawn(row, *draw) for row, draw in zip(logits, self._draws, strict=True)])
        return tokens, logprobs.gather(-1, tokens[..., None])[..., 0]

    def _drawn(self, logits: torch.Tensor, draw: Draw, generator: torch.Generator) -> torch.Tensor:
        """Draw as torch's Categorical does, so that a seed means what it means in whisper."""
        probabilities = torch.softmax(logits[:, : self._vocabulary] / draw.temperature, -1)
        return torch.multinomial(probabilities, 1, replacement=True, generator=generator)[:, 0]

    def ended(self) -> list[bool]:
        """Tell which windows have ended in every hypothesis."""
        over: list[bool] = (self.said[..., -1] == self._end).all(-1).tolist()
        return over

    def candidates(self, window: int) -> list[Candidate]:
        """Return all hypotheses."""
        rows = zip(self.said[window].tolist(), self._totals[window].tolist(), strict=True)
        return [Candidate(self._before_end(tokens), total) for tokens, total in rows]

    def _before_end(self, tokens: list[int]) -> tuple[int, ...]:
        return tuple(tokens[: tokens.index(self._end)] if self._end in tokens else tokens)

    def keep(self, order: Sequence[int]) -> None:
        """Keep these windows, in this order."""
        rows = list(order)
        self.said, self._totals = self.said[rows], self._totals[rows]
        self._draws = [self._draws[row] for row in rows]


def continued(said: torch.Tensor, sources: torch.Tensor, tokens: torch.Tensor) -> torch.Tensor:
    """Return the hypotheses that grew from these by these tokens."""
    grown = said.gather(1, sources[..., None].expand(-1, -1, said.shape[-1]))
    return torch.cat([grown, tokens[..., None]], -1)


def top(values: torch.Tensor, count: int) -> tuple[torch.Tensor, torch.Tensor]:
    """Return what torch.topk returns over (..., a multiple of BLOCK), looking only into the blocks that can hold it."""
    blocks = values.view(*values.shape[:-1], -1, BLOCK)
    chosen = blocks.amax(-1).topk(count).indices.sort(-1).values
    inside = blocks.gather(-2, chosen[..., None].expand(*chosen.shape, BLOCK)).flatten(-2)
    best, at = inside.topk(count)
    return best, chosen.gather(-1, at // BLOCK) * BLOCK + at % BLOCK
