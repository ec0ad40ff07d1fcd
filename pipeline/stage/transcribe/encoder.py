"""Whisper's encoder over openai-whisper's weights."""

from __future__ import annotations

from itertools import groupby
from typing import TYPE_CHECKING

import torch
from torch.nn.functional import gelu

from pipeline.stage.transcribe.attention import attend_all
from pipeline.stage.transcribe.layers import Feedforward, SelfAttention, normed

if TYPE_CHECKING:
    from collections.abc import Sequence

    from whisper.model import AudioEncoder, ResidualAttentionBlock

    from pipeline.stage.transcribe.linear import Make


class Encoder:
    """Log-mel windows in, features out; hidden states are summed in float32 whatever type the layers have.

    A window is as long as its context: see mel.context. On a CPU each goes by itself, which keeps it in the caches.
    """

    def __init__(self, module: AudioEncoder, make: Make) -> None:
        self._module = module
        self._layers = [Layer(block, make) for block in module.blocks]

    def __call__(self, mels: torch.Tensor, contexts: Sequence[int]) -> list[torch.Tensor]:
        """Encode so many positions of each of (windows, n_mels, 3000): (its context, width) each."""
        encoded: dict[int, torch.Tensor] = {}
        every = range(len(contexts))
        for rows in [[row] for row in every] if mels.device.type == "cpu" else _alike(contexts):
            together = torch.stack([mels[row, :, : 2 * contexts[row]] for row in rows])
            encoded |= zip(rows, self._encode(together), strict=True)
        return [encoded[row] for row in every]

    def _encode(self, mels: torch.Tensor) -> torch.Tensor:
        module = self._module
        dtype = module.conv1.weight.dtype
        sound = gelu(module.conv2(gelu(module.conv1(mels.to(dtype))))).transpose(1, 2)
        places = module.positional_embedding[: sound.shape[1]]
        hidden = sound.float().contiguous() + places  # all that follows keeps this layout
        for layer in self._layers:
            hidden = layer(hidden)
        return normed(hidden, module.ln_post).to(dtype)


def _alike(contexts: Sequence[int]) -> list[list[int]]:
    """Return the windows of each length."""
    rows = sorted(range(len(contexts)), key=contexts.__getitem__)
    return [list(group) for _, group in groupby(rows, contexts.__getitem__)]


class Layer:
    """One layer over whisper's weights."""

    def __init__(self, block: ResidualAttentionBlock, make: Make) -> None:
        self._norm = block.attn_ln
        self._attention = SelfAttention(block.attn, make)
        self._feedforward = Feedforward(block, make)

    def __call__(self, hidden: torch.Tensor) -> torch.Tensor:
        """Return float32 hidden states (windows, positions, width), changed in place."""
        heads = attend_all(*self._attention.queries(normed(hidden, self._norm)))
        hidden += self._attention.joined(heads).float()  # one type: sums of two are slow
        hidden += self._feedforward(hidden).float()
        return hidden
