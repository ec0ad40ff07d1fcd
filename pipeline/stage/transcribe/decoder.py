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
ROOM = 64  # entries: room is made in these steps, as products with a part of a tensor would copy that part


class Cache:
    """Keys and values of the windows being decoded.

    The hypotheses of a window share both what was heard (never repeated) and what was said: each step adds an entry
    a hypothesis, and `past` says which entries are whose. So beams change places by exchanging rows of `past`,
    and the prompt is kept once.
    """

    def __init__(self, heard: Sequence[tuple[torch.Tensor, torch.Tensor]]) -> None:
        # what was heard: (layers, windows, heads, n_audio_ctx, width)
        self.heard_keys, self.heard_values = (torch.stack(each) for each in zip(*heard, strict=True))
        layers, self.windows, heads, _, width = self.heard_keys.shape
        self.keys = self.values = self.heard_keys.new_zeros(layers, self.windows, heads, 0, width)
        self.past = self.heard_keys.new_empty(0)  # (windows, hypotheses, room): added to the scores
        self.used, self._end = 0, 0

    def show(self, mask: torch.Tensor) -> None:
        """Set what the next tokens see, themselves included: (windows, tokens, entries), 0 or -inf."""
        self._end = mask.shape[-1]
        room = -(-self._end // ROOM) * ROOM
        if room > self.keys.shape[3]:
            more = (0, 0, 0, room - self.keys.shape[3])
            self.keys, self.values = pad(self.keys, more), pad(self.values, more)
        self.past = pad(mask.to(self.keys.dtype), (0, self.keys.shape[3] - self._end), value=NEVER)

    def grow(self, sources: torch.Tensor) -> None:
        """Make an entry for each hypothesis, which sees it and the past of the one it grew from."""
        past = self.past[..., : self.used].gather(1, sources[..., None].expand(-1, -1, self.used))
        hypotheses = sources.shape[1]
        own = past.new_full((hypotheses, hypotheses), NEVER).fill_diagonal_(0.0)
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
        """Add entries to a layer; return all of its keys and values, those of the room left too."""
        keys, values = self.keys[layer, : self.windows], self.values[layer, : self.windows]
        keys[:, :, self.used : self._end] = key
        values[:, :, self.used : self._end] = value
        return keys, values

    def filled(self) -> None:
        """Take the entries for said in every layer."""
        self.used = self._end

    def heard(self, layer: int) -> tuple[torch.Tensor, torch.Tensor]:
        """Return a layer's keys and values of the sound."""
        return self.heard_keys[layer, : self.windows], self.heard_values[layer, : self.windows]


class Decoder:
    """Tokens in, hidden states and logits out."""

    def __init__(self, module: TextDecoder) -> None:
        self.vocabulary: int = module.token_embedding.num_embeddings
        self.positions: int = module.positional_embedding.shape[0]
        self.padded = pad(module.token_embedding.weight.data, (0, 0, 0, -self.vocabulary % BLOCK))
        module.token_embedding.weight.data = self.padded[: self.vocabulary]
        self._module = module
        self._layers = [_Layer(block) for block in module.blocks]

    def listen(self, features: torch.Tensor) -> Cache:
        """Return a cache for windows of these features: (windows, n_audio_ctx, width)."""
        return Cache([layer.hear(features) for layer in self._layers])

    def __call__(self, tokens: torch.Tensor, positions: torch.Tensor, cache: Cache) -> torch.Tensor:
        """Say these tokens (windows, n), which see what `cache.past` shows them; return hidden states."""
        hidden = self._module.token_embedding(tokens).float() + self._module.positional_embedding[positions]
        for number, layer in enumerate(self._layers):
            hidden = layer(hidden, cache, number)
        cache.filled()
        return normed(hidden, self._module.ln, self.padded.dtype)

    def logits(self, hidden: torch.Tensor) -> torch.Tensor:
        """Return float32 logits (..., vocabulary), padded to a multiple of BLOCK."""
        rows = hidden.reshape(-1, hidden.shape[-1])  # torch would repeat the vocabulary for rows of a view
        return linear(rows, self.padded).float().view(*hidden.shape[:-1], -1)


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
