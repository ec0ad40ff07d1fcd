"""Whisper's decoder over openai-whisper's weights: many windows, several hypotheses each, one token a step."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

import torch
from torch.nn.functional import pad

from pipeline.stage.transcribe.cache import Cache
from pipeline.stage.transcribe.layers import CrossAttention, Feedforward, SelfAttention, normed

if TYPE_CHECKING:
    from collections.abc import Sequence

    from whisper.model import ResidualAttentionBlock, TextDecoder

    from pipeline.stage.transcribe.linear import Make

BLOCK = 256  # the vocabulary is padded to a multiple of it
ALIGNED = 8  # numbers: a mask whose rows begin elsewhere is copied by a GPU's attention, in every layer


class Memory(Protocol):
    """What the tokens of a call see in each layer; all are (windows, heads, tokens, width), queries come scaled."""

    def recall(self, layer: int, query: torch.Tensor, key: torch.Tensor, value: torch.Tensor) -> torch.Tensor:
        """Return what queries find in what was said, of which these keys and values are part from now on."""
        ...

    def hear(self, layer: int, query: torch.Tensor) -> torch.Tensor:
        """Return what queries find in the sound."""
        ...


class Decoder:
    """Tokens in, hidden states and logits out."""

    def __init__(self, module: TextDecoder, make: Make) -> None:
        self.vocabulary: int = module.token_embedding.num_embeddings
        self.positions: int = module.positional_embedding.shape[0]
        self._module = module
        self._layers = [_Layer(block, make) for block in module.blocks]
        self._logits = make(
            pad(module.token_embedding.weight.data, (0, 0, 0, -self.vocabulary % BLOCK)), None
        )

    def listen(self, features: Sequence[torch.Tensor], room: int, tokens: int) -> Cache:
        """Return a cache for windows that begin with so many tokens.

        Their features are (positions, width) each; there is room for so many positions.
        """
        together = torch.cat(list(features))[None]
        heard = (layer.hear(together) for layer in self._layers)
        room = room if together.device.type == "cpu" else -(-room // ALIGNED) * ALIGNED
        return Cache(heard, len(self._layers), list(map(len, features)), room, tokens)

    def __call__(self, tokens: torch.Tensor, positions: torch.Tensor, memory: Memory) -> torch.Tensor:
        """Say these tokens (windows, n), which see what `memory` shows them; return hidden states."""
        hidden = self._module.token_embedding(tokens).float() + self._module.positional_embedding[positions]
        for number, layer in enumerate(self._layers):
            hidden = layer(hidden, memory, number)
        return normed(hidden, self._module.ln)

    def logits(self, hidden: torch.Tensor) -> torch.Tensor:
        """Return float32 logits (..., vocabulary), padded to a multiple of BLOCK."""
        rows = hidden.reshape(-1, hidden.shape[-1])
        return self._logits(rows).float().view(*hidden.shape[:-1], -1)


class _Layer:
    def __init__(self, block: ResidualAttentionBlock, make: Make) -> None:
        self._said_norm, self._heard_norm = block.attn_ln, block.cross_attn_ln
        self._said = SelfAttention(block.attn, make)
        self._heard = CrossAttention(block.cross_attn, make)
        self._feedforward = Feedforward(block, make)

    def hear(self, features: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        return self._heard.heard(features)

    def __call__(self, hidden: torch.Tensor, memory: Memory, number: int) -> torch.Tensor:
        queries = self._said.queries(normed(hidden, self._said_norm))
        hidden = hidden + self._said.joined(memory.recall(number, *queries))
        query = self._heard.queries(normed(hidden, self._heard_norm))
        hidden = hidden + self._heard.joined(memory.hear(number, query))
        return hidden + self._feedforward(hidden)
