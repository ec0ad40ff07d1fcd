"""Whisper's encoder over openai-whisper's weights."""

from __future__ import annotations

from typing import TYPE_CHECKING

from torch.nn.functional import gelu

from pipeline.stage.transcribe.attention import attend_all
from pipeline.stage.transcribe.layers import Feedforward, SelfAttention, normed

if TYPE_CHECKING:
    import torch
    from whisper.model import AudioEncoder, ResidualAttentionBlock

    from pipeline.stage.transcribe.linear import Make


class Encoder:
    """Log-mel windows in, features out; hidden states are summed in float32 whatever type the layers have."""

    def __init__(self, module: AudioEncoder, make: Make) -> None:
        self._module = module
        self._layers = [_Layer(block, make) for block in module.blocks]

    def __call__(self, mels: torch.Tensor) -> torch.Tensor:
        """Encode (windows, n_mels, 3000)."""
        module = self._module
        dtype = module.conv1.weight.dtype
        sound = gelu(module.conv2(gelu(module.conv1(mels.to(dtype))))).transpose(1, 2)
        hidden = sound.float() + module.positional_embedding
        for layer in self._layers:
            hidden = layer(hidden)
        return normed(hidden, module.ln_post).to(dtype)


class _Layer:
    def __init__(self, block: ResidualAttentionBlock, make: Make) -> None:
        self._norm = block.attn_ln
        self._attention = SelfAttention(block.attn, make)
        self._feedforward = Feedforward(block, make)

    def __call__(self, hidden: torch.Tensor) -> torch.Tensor:
        heads = attend_all(*self._attention.queries(normed(hidden, self._norm)))
        hidden = hidden + self._attention.joined(heads)
        return hidden + self._feedforward(hidden)
