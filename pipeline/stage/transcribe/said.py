"""What the hypotheses of the windows being decoded have said so far."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

import torch
from torch.nn.functional import pad

if TYPE_CHECKING:
    from collections.abc import Sequence

ROOM = 32  # tokens that room is made for at a time


class Said:
    """Tokens (windows, hypotheses, room) of which each window has its own number."""

    rows: ClassVar[tuple[str, ...]] = ("tokens", "_at", "last", "last_but_one", "largest")

    def __init__(self, first: torch.Tensor) -> None:
        """Begin with the first token of each hypothesis: (windows, hypotheses)."""
        self.tokens = pad(first[..., None], (0, ROOM - 1))
        self._at = torch.zeros(len(first), 1, 1, dtype=torch.long, device=first.device)  # of the last token
        self.last = self.last_but_one = self.largest = first
        self.counts = [1] * len(first)  # of each window's tokens: what the device has in `lengths`

    @property
    def lengths(self) -> torch.Tensor:
        """How many tokens each window has: (windows,)."""
        return self._at[:, 0, 0] + 1

    def settle(self) -> None:
        """Have room for the next token of each window."""
        self.counts = [count + 1 for count in self.counts]
        self.reserve(max(self.counts))

    def reserve(self, tokens: int) -> None:
        """Have room for so many tokens a window."""
        missing = tokens - self.tokens.shape[-1]
        if missing > 0:
            self.tokens = pad(self.tokens, (0, -(-missing // ROOM) * ROOM))

    def go_on(self, sources: torch.Tensor, tokens: torch.Tensor) -> None:
        """Grow by one token from these hypotheses: (windows, hypotheses) each; settle() comes first."""
        self._at += 1
        self.tokens = self.tokens.gather(1, sources[..., None].expand(self.tokens.shape))
        self.tokens.scatter_(2, self._at.expand(*tokens.shape, 1), tokens[..., None])
        self.last_but_one = self.last.gather(1, sources)
        self.largest = self.largest.gather(1, sources).maximum(tokens)
        self.last = tokens

    def of(self, window: int) -> list[list[int]]:
        """Return the tokens of a window's hypotheses."""
        tokens: list[list[int]] = self.tokens[window, :, : self.counts[window]].tolist()
        return tokens

    def join(self, other: Said) -> None:
        """Make ready for the windows of another, whose rows are joined then."""
        self.reserve(other.tokens.shape[-1])
        other.reserve(self.tokens.shape[-1])
        self.counts += other.counts

    def keep(self, order: Sequence[int]) -> None:
        """Keep these windows, in this order, of which the rows are kept already."""
        self.counts = [self.counts[row] for row in order]
