"""Whisper's layers as this engine computes them, made of openai-whisper's own weights."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import torch
from torch.nn.functional import layer_norm

if TYPE_CHECKING:
    from whisper.model import MultiHeadAttention, ResidualAttentionBlock

    from pipeline.stage.transcribe.linear import Linear, Make


def normed(hidden: torch.Tensor, norm: torch.nn.LayerNorm) -> torch.Tensor:
    """Normalise in float32, as whisper does."""
    return layer_norm(hidden, norm.normalized_shape, norm.weight, norm.bias, norm.eps)


class SelfAttention:
    """Positions of one sequence, or entries of one cache, over one another."""

    def __init__(self, module: MultiHeadAttention, make: Make) -> None:
        self._heads, self._dtype = module.n_head, module.query.weight.dtype
        self._into = joint(make, queries(module), part(module.key), part(module.value))
        self.joined = Joined(module, make)

    def queries(self, inputs: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        """Return scaled queries, keys and values: (windows, heads, positions, width) each."""
        query, key, value = self._into(inputs).to(self._dtype).chunk(3, -1)
        return parted(query, self._heads), parted(key, self._heads), parted(value, self._heads)


class CrossAttention:
    """What is being said over what was heard."""

    def __init__(self, module: MultiHeadAttention, make: Make) -> None:
        self._heads, self._dtype = module.n_head, module.query.weight.dtype
        self._query = joint(make, queries(module))
        self._memory = joint(make, part(module.key), part(module.value))
        self.joined = Joined(module, make)

    def queries(self, inputs: torch.Tensor) -> torch.Tensor:
        """Return scaled queries: (windows, heads, positions, width)."""
        return parted(self._query(inputs).to(self._dtype), self._heads)

    def heard(self, features: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Return keys and values of the encoder's features."""
        key, value = self._memory(features).to(self._dtype).chunk(2, -1)
        return parted(key, self._heads), parted(value, self._heads)


class Joined:
    """The projection of what the heads found, as one vector a position."""

    def __init__(self, module: MultiHeadAttention, make: Make) -> None:
        self._out = joint(make, part(module.out))

    def __call__(self, heads: torch.Tensor) -> torch.Tensor:
        """Return (windows, positions, width) of (windows, heads, positions, width)."""
        return self._out(heads.transpose(1, 2).flatten(2))


class Feedforward:
    """The two layers after attention."""

    def __init__(self, block: ResidualAttentionBlock, make: Make) -> None:
        self._norm = block.mlp_ln
        self._widen, self._narrow = joint(make, part(block.mlp[0])), joint(make, part(block.mlp[2]))

    def __call__(self, hidden: torch.Tensor) -> torch.Tensor:
        """Return what is added to the hidden states."""
        return self._narrow(self._widen.gelu(normed(hidden, self._norm)))


class Part(NamedTuple):
    """The weight and bias of one linear layer."""

    weight: torch.Tensor
    bias: torch.Tensor


def joint(make: Make, *parts: Part) -> Linear:
    """Return several linear layers of one input as one map."""
    return make(torch.cat([part.weight for part in parts]), torch.cat([part.bias for part in parts]))


def part(layer: torch.nn.Linear) -> Part:
    """Return a linear layer; one without a bias has a bias of zeros."""
    weight = layer.weight.data
    return Part(weight, weight.new_zeros(len(weight)) if layer.bias is None else layer.bias.data)


def queries(module: MultiHeadAttention) -> Part:
    """Return the query's layer so that its products with keys are scores: by a power of two in whisper's models."""
    scale = (module.query.out_features // module.n_head) ** -0.5
    weight, bias = part(module.query)
    return Part(weight * scale, bias * scale)


def parted(projected: torch.Tensor, heads: int) -> torch.Tensor:
    """Return (windows, heads, positions, width) of (windows, positions, heads * width)."""
    return projected.view(*projected.shape[:-1], heads, -1).transpose(1, 2)
