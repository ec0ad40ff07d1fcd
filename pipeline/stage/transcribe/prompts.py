"""What each window's decoding begins with, and how beginnings of different length share a batch."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pipeline.stage.transcribe.transfer import sent

if TYPE_CHECKING:
    from collections.abc import Sequence

    import torch
    from whisper.tokenizer import Tokenizer

LEAST = 4  # tokens; the products of fewer are summed in another order, so that company would be heard


def beginning(prompt: Sequence[int], tokenizer: Tokenizer, positions: int) -> tuple[int, ...]:
    """Return the tokens before a window's first one, the prompt cut as whisper cuts it."""
    if not prompt:
        return tuple(tokenizer.sot_sequence)
    return (tokenizer.sot_prev, *prompt[-(positions // 2 - 1) :], *tokenizer.sot_sequence)


def side_by_side(beginnings: Sequence[Sequence[int]], device: torch.device) -> torch.Tensor:
    """Return beginnings as one tensor (windows, n); shorter ones have padding after them."""
    longest = max(LEAST, *map(len, beginnings))
    return sent([[*each, *[0] * (longest - len(each))] for each in beginnings], device)
