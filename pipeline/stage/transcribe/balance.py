"""Weights made ready for int8: what a row's few large inputs would drown is evened out first.

A layer norm's outputs differ in size from channel to channel, up to a hundred times, and share one scale a row. What
is taken from a channel there is given to the column of weights that reads it, so the product stays the same and
rounding costs less: the encoder's error falls by a fifth. After SmoothQuant (Xiao et al., 2023), without its
calibration: how large a channel gets is read off the norm itself.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from whisper.model import ResidualAttentionBlock, Whisper

SPREAD = 4.0  # standard deviations: how far a normalised value strays
SHARE = 0.7  # of the evening out that the weights bear


@torch.inference_mode()
def balance(model: Whisper) -> None:
    """Even out the inputs of a model's linear maps, in place, before its weights are stored in a precision."""
    for block in (*model.encoder.blocks, *model.decoder.blocks):
        for norm, readers in _pairs(block):
            _balance(norm, readers)


def _pairs(block: ResidualAttentionBlock) -> Iterator[tuple[torch.nn.LayerNorm, Sequence[torch.nn.Linear]]]:
    """Return each norm with all the layers that read it."""
    yield block.attn_ln, (block.attn.query, block.attn.key, block.attn.value)
    yield block.mlp_ln, (block.mlp[0],)
    if block.cross_attn:
        yield block.cross_attn_ln, (block.cross_attn.query,)


def _balance(norm: torch.nn.LayerNorm, readers: Sequence[torch.nn.Linear]) -> None:
    reach = SPREAD * norm.weight.abs() + norm.bias.abs()
    columns = torch.stack([reader.weight.abs().amax(0) for reader in readers]).amax(0)
    shift = (reach**SHARE / columns ** (1 - SHARE)).clamp_(min=1e-4)
    norm.weight.div_(shift)
    norm.bias.div_(shift)
    for reader in readers:
        reader.weight.mul_(shift)
