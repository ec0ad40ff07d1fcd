"""Whisper's encoder over openai-whisper's weights."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

import torch
from torch.nn.functional import gelu

from pipeline.stage.transcribe.attention import attend_all
from pipeline.stage.transcribe.layers import Feedforward, SelfAttention, normed

if TYPE_CHECKING:
    from whisper.model import AudioEncoder, ResidualAttentionBlock

    from pipeline.stage.transcribe.linear import Make


class Encoder:
    """Log-mel windows in, features out; hidden states are summed in float32 whatever type the layers have.

    On a CPU each window has a core to itself: two windows on a core each take six sevenths of the time that they
    take one after the other on both.
    """

    def __init__(self, module: AudioEncoder, make: Make) -> None:
        self._module = module
        self._layers = [_Layer(block, make) for block in module.blocks]
        self._cores = torch.get_num_threads()
        self._pool = ThreadPoolExecutor(self._cores, thread_name_prefix="encode")

    def __call__(self, mels: torch.Tensor) -> torch.Tensor:
        """Encode (windows, n_mels, 3000)."""
        if mels.device.type != "cpu":
            return self._encode(mels)
        return torch.cat([self._side_by_side(group) for group in torch.split(mels, self._cores)])

    def _side_by_side(self, mels: torch.Tensor) -> torch.Tensor:
        """Encode at most as many windows as there are cores."""
        if len(mels) == 1:
            return self._encode(mels)
        windows = torch.split(mels, 1)
        try:
            encoded = self._pool.map(self._encode_on_its_share, windows, [len(mels)] * len(mels))
            return torch.cat(list(encoded))
        finally:
            torch.set_num_threads(self._cores)  # MKL has one number for all threads

    def _encode_on_its_share(self, mels: torch.Tensor, windows: int) -> torch.Tensor:
        torch.set_num_threads(self._cores // windows)
        with torch.inference_mode():
            return self._encode(mels)

    def _encode(self, mels: torch.Tensor) -> torch.Tensor:
        module = self._module
        dtype = module.conv1.weight.dtype
        sound = gelu(module.conv2(gelu(module.conv1(mels.to(dtype))))).transpose(1, 2)
        hidden = (
            sound.float().contiguous() + module.positional_embedding
        )  # all that follows keeps this layout
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
        hidden += self._attention.joined(heads).float()  # one type: sums of two are slow
        hidden += self._feedforward(hidden).float()
        return hidden
