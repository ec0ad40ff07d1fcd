"""What each window's decoding begins with, and how beginnings of different length share a batch."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import torch

from pipeline.stage.transcribe.rules import NEVER

if TYPE_CHECKING:
    from collections.abc import Sequence

    from whisper.tokenizer import Tokenizer


class Beginnings(NamedTuple):
    """Beginnings of a batch, aligned at their ends: shorter ones have padding before them, seen by none."""

    tokens: torch.Tensor  # (windows, n)
    positions: torch.Tensor  # (windows, n)
    mask: torch.Tensor  # (windows, n, n), 0 where the second may be seen from the first, else -inf


def beginning(prompt: Sequence[int], tokenizer: Tokenizer, positions: int) -> tuple[int, ...]:
    """Return the tokens before a window's first one, the prompt cut as whisper cuts it."""
    if not prompt:
        return tuple(tokenizer.sot_sequence)
    return (tokenizer.sot_prev, *prompt[-(positions // 2 - 1) :], *tokenizer.sot_sequence)


def aligned(beginnings: Sequence[Sequence[int]], device: torch.device) -> Beginnings:
    """Return beginnings as one batch."""
    longest = max(map(len, beginnings))
    gaps = [longest - len(each) for each in beginnings]
    tokens = [[0] * gap + list(each) for gap, each in zip(gaps, beginnings, strict=True)]
    columns, gap = torch.arange(longest, device=device), torch.tensor(gaps, device=device)[:, None]
    causal = columns <= columns[:, None]
    itself = columns == columns[:, None]  # a row that saw nothing would be no number
    seen = causal & (columns >= gap)[:, None, :] | itself
    return Beginnings(
        tokens=torch.tensor(tokens, device=device),
        positions=(columns - gap).clamp(min=0),
        mask=torch.zeros(seen.shape, device=device).masked_fill(~seen, NEVER),
    )
