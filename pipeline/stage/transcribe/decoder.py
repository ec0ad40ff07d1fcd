"""Whisper's decoder over openai-whisper's weights: many windows, several hypotheses each, one token a step."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch.nn.functional import linear, pad

from pipeline.stage.transcribe.attention import attend
from pipeline.stage.transcribe.layers import CrossAttention, Feedforward, SelfAttention, normed
from pipeline.stage.transcribe.rules import NEVER

if TYPE_CHECKING:
    from collections.abc import Sequence

    from whisper.model import ResidualAttentionBlock, TextDecoder

BLOCK = 256  # the vocabulary is padded to a multiple of it
ROOM = 64  # steps that a new cache has room for; it doubles when they are over


class Cache:
    """Keys and values of the windows being decoded.

    The hypotheses of a window share both what was heard (never repeated) and what was said: each step adds an entry
    a hypothesis, and `past` says which entries are whose. So beams change places by exchanging rows of `past`,
    and the prompt is kept once.
    """

    def __init__(self, heard: Sequence[tuple[torch.Tensor, torch.Tensor]], room: int) -> None:
        # what was heard: (layers, windows, heads, n_audio_ctx, width)
        self.heard_keys, self.heard_values = (torch.stack(each) for each in zip(*heard, strict=True))
        layers, self.windows, heads, _, width = self.heard_keys.shape
        # keys lie transposed, as a product with a part of them would else copy that part
        self.keys = self.heard_keys.new_empty(layers, self.windows, heads, width, room)
        self.values = self.heard_keys.new_empty(layers, self.windows, heads, room, width)
        self.past = self.heard_keys.new_empty(0)  # (windows, hypotheses, entries): added to the scores
        self.used = 0

    def show(self, mask: torch.Tensor) -> None:
        """Set what the next tokens see, themselves included: (windows, tokens, entries), 0 or -inf."""
        self.past = mask.to(self.keys.dtype)
        room = self.values.shape[3]
        if mask.shape[-1] > room:
            more = max(mask.shape[-1] - room, room)
            self.keys, self.values = pad(self.keys, (0, more)), pad(self.values, (0, 0, 0, more))

    def grow(self, sources: torch.Tensor) -> None:
        """Make an entry for each hypothesis, which sees it and the past of the one it grew from."""
        past = self.past.gather(1, sources[..., None].expand(-1, -1, self.past.shape[-1]))
        hypotheses = sources.shape[1]
        own = torch.full(
            (hypotheses, hypotheses), NEVER, device=past.device, dtype=past.dtype
        ).fill_diagonal_(0.0)
        self.show(torch.cat([past, own.expand(len(past), -1, -1)], -1))

    def keep(self, order: Sequence[int]) -> None:
        """Keep these windows, in this order; those that stay in their place cost nothing."""
        for into, window in enumerate(order):
            if into != window:
                for each in (self.keys, self.values, self.heard_keys, self.heard_values):
                    each[:, into] = each[:, window]
        self.past = self.past[list(order)]
        self.windows = len(order)

    def said(self, layer: int, key: torch.Tensor, value: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Add entries to a layer; return all of its keys, transposed, and values."""
        end = self.past.shape[-1]
        keys, values = self.keys[layer, : self.windows], self.values[layer, : self.windows]
        keys[..., self.used : end] = key.transpose(-1, -2)
        values[..., self.used : end, :] = value
        return keys[..., :end], values[..., :end, :]

    def heard(self, layer: int) -> tuple[torch.Tensor, torch.Tensor]:
        """Return a layer's keys, transposed, and values of the sound."""
        return self.heard_keys[layer, : self.windows].transpose(-1, -2), self.heard_values[
            layer, : self.windows
        ]


class Decoder:
    """Tokens in, hidden states and logits out."""

    def __init__(self, module: TextDecoder) -> None:
        self.vocabulary: int = module.token_embedding.num_embeddings
        self.positions: int = module.positional_embedding.shape[0]
        self.padded = pad(module.token_embedding.weight.data, (0, 0, 0, -self.vocabulary % BLOCK))
        module.token_embedding.weight.data = self.padded[: self.vocabulary]
        self._module = module
        self._layers = [_Layer(block) for block in module.blocks]

    def listen(self, features: torch.Tensor, room: int) -> Cache:
        """Return a cache for windows of these features: (windows, n_audio_ctx, width)."""
        return Cache([layer.hear(features) for layer in self._layers], room)

    def __call__(self, tokens: torch.Tensor, positions: torch.Tensor, cache: Cache) -> torch.Tensor:
        """Say these tokens (windows, n), which see what `cache.past` shows them; return hidden states."""
        hidden = self._module.token_embedding(tokens).float() + self._module.positional_embedding[positions]
        for number, layer in enumerate(self._layers):
            hidden = layer(hidden, cache, number)
        cache.used = cache.past.shape[-1]
        return normed(hidden, self._module.ln, self.padded.dtype)

    def logits(self, hidden: torch.Tensor) -> torch.Tensor:
        """Return float32 logits (..., vocabulary), padded to a multiple of BLOCK."""
        return linear(hidden, self.padded).float()


class _Layer:
    def __init__(self, block: ResidualAttentionBlock) -> None:
        self._said_norm, self._heard_norm = block.attn_ln, block.cross_attn_ln
        self._said = SelfAttention(block.attn)
        self._heard = CrossAttention(block.cross_attn)
        self._feedforward = Feedforward(block)

    def hear(self, features: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        return self._heard.heard(features)

    def __call__(self, hidden: torch.Tensor, cache: Cache, number: int) -> torch.Tensor:
        dtype = cache.keys.dtype
        query, key, value = self._said.queries(normed(hidden, self._said_norm, dtype))
        keys, values = cache.said(number, key, value)
        hidden = hidden + self._said.joined(attend(query, keys, values, cache.past[:, None]))
        query = self._heard.queries(normed(hidden, self._heard_norm, dtype))
        hidden = hidden + self._heard.joined(attend(query, *cache.heard(number)))
        return hidden + self._feedforward(hidden, dtype)
