"""Whisper's layers as this engine computes them: over openai-whisper's own weights, held once."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch.nn.functional import gelu, layer_norm, linear

if TYPE_CHECKING:
    from whisper.model import MultiHeadAttention, ResidualAttentionBlock


def normed(hidden: torch.Tensor, norm: torch.nn.LayerNorm, dtype: torch.dtype) -> torch.Tensor:
    """Normalise in float32, as whisper does, for a linear layer in its own type."""
    return layer_norm(hidden, norm.normalized_shape, norm.weight, norm.bias, norm.eps).to(dtype)


class Projection:
    """Several linear layers of one input as one product; theirs become views of its weights."""

    def __init__(self, *parts: torch.nn.Linear) -> None:
        self.weight = torch.cat([part.weight.data for part in parts])
        self.bias = torch.cat([_bias(part) for part in parts])
        sizes = [len(part.weight) for part in parts]
        for part, rows in zip(parts, torch.split(self.weight, sizes), strict=True):
            part.weight.data = rows

    def __call__(self, inputs: torch.Tensor) -> torch.Tensor:
        """Return (..., all their outputs)."""
        return linear(inputs, self.weight, self.bias)


class SelfAttention:
    """Positions of one sequence, or entries of one cache, over one another."""

    def __init__(self, module: MultiHeadAttention) -> None:
        self._heads = module.n_head
        self._into = Projection(module.query, module.key, module.value)
        self.joined = Joined(module)

    def queries(self, inputs: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        """Return scaled queries, keys and values: (windows, heads, positions, width) each."""
        query, key, value = (parted(each, self._heads) for each in self._into(inputs).chunk(3, -1))
        return scaled(query), key, value


class CrossAttention:
    """What is being said over what was heard."""

    def __init__(self, module: MultiHeadAttention) -> None:
        self._heads = module.n_head
        self._query, self._memory = Projection(module.query), Projection(module.key, module.value)
        self.joined = Joined(module)

    def queries(self, inputs: torch.Tensor) -> torch.Tensor:
        """Return scaled queries: (windows, heads, positions, width)."""
        return scaled(parted(self._query(inputs), self._heads))

    def heard(self, features: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Return keys and values of the encoder's features."""
        key, value = (parted(each, self._heads) for each in self._memory(features).chunk(2, -1))
        return key, value


class Joined:
    """The projection of what the heads found, as one vector a position."""

    def __init__(self, module: MultiHeadAttention) -> None:
        self._out = Projection(module.out)

    def __call__(self, heads: torch.Tensor) -> torch.Tensor:
        """Return (windows, positions, width) of (windows, heads, positions, width)."""
        return self._out(heads.transpose(1, 2).flatten(2))


class Feedforward:
    """The two layers after attention."""

    def __init__(self, block: ResidualAttentionBlock) -> None:
        self.norm = block.mlp_ln
        self.widen, self.narrow = Projection(block.mlp[0]), Projection(block.mlp[2])

    def __call__(self, hidden: torch.Tensor, dtype: torch.dtype) -> torch.Tensor:
        """Return what is added to the hidden states."""
        return self.narrow(gelu(self.widen(normed(hidden, self.norm, dtype))))


def parted(projected: torch.Tensor, heads: int) -> torch.Tensor:
    """Return (windows, heads, positions, width) of (windows, positions, heads * width)."""
    return projected.view(*projected.shape[:-1], heads, -1).transpose(1, 2)


def scaled(query: torch.Tensor) -> torch.Tensor:
    """Return queries whose products with keys are scores."""
    scale: float = query.shape[-1] ** -0.5
    return query * scale


def _bias(part: torch.nn.Linear) -> torch.Tensor:
    return part.weight.new_zeros(len(part.weight)) if part.bias is None else part.bias.data
