"""What the hypotheses of the windows being decoded have said so far."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch.nn.functional import pad

if TYPE_CHECKING:
    from collections.abc import Sequence

ROOM = 32  # tokens that room is made for at a time


class Said:
    """Tokens (windows, hypotheses, room) of which each window has its own number."""

    def __init__(self, first: torch.Tensor) -> None:
        """Begin with the first token of each hypothesis: (windows, hypotheses)."""
        self.tokens = pad(first[..., None], (0, ROOM - 1))
        self._at = torch.zeros(len(first), 1, 1, dtype=torch.long, device=first.device)  # of the last token
        self.last = self.last_but_one = self.largest = first

    @property
    def lengths(self) -> torch.Tensor:
        """How many tokens each window has: (windows,)."""
        return self._at[:, 0, 0] + 1

    def go_on(self, sources: torch.Tensor, tokens: torch.Tensor) -> None:
        """Grow by one token from these hypotheses: (windows, hypotheses) each."""
        self._at += 1
        if int(self._at.max()) >= self.tokens.shape[-1]:
            self.tokens = pad(self.tokens, (0, ROOM))
        self.tokens = self.tokens.gather(1, sources[..., None].expand(self.tokens.shape))
        self.tokens.scatter_(2, self._at.expand(*tokens.shape, 1), tokens[..., None])
        self.last_but_one = self.last.gather(1, sources)
        self.largest = self.largest.gather(1, sources).maximum(tokens)
        self.last = tokens

    def of(self, window: int) -> list[list[int]]:
        """Return the tokens of a window's hypotheses."""
        length = int(self._at[window]) + 1
        tokens: list[list[int]] = self.tokens[window, :, :length].tolist()
        return tokens

    def join(self, other: Said) -> None:
        """Take in the windows of another."""
        room = max(self.tokens.shape[-1], other.tokens.shape[-1])
        mine, theirs = (pad(each.tokens, (0, room - each.tokens.shape[-1])) for each in (self, other))
        self.tokens = torch.cat([mine, theirs])
        self._at = torch.cat([self._at, other._at])
        self.last = torch.cat([self.last, other.last])
        self.last_but_one = torch.cat([self.last_but_one, other.last_but_one])
        self.largest = torch.cat([self.largest, other.largest])

    def keep(self, order: Sequence[int]) -> None:
        """Keep these windows, in this order."""
        rows = list(order)
        self.tokens, self._at = self.tokens[rows], self._at[rows]
        self.last, self.last_but_one = self.last[rows], self.last_but_one[rows]
        self.largest = self.largest[rows]
