"""When each token of a window was said: whisper's alignment by cross-attention (whisper/timing.py), in batches."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import torch
from torch.nn.functional import pad, scaled_dot_product_attention
from whisper.audio import TOKENS_PER_SECOND

from pipeline.stage.transcribe.dtw import begins

if TYPE_CHECKING:
    from collections.abc import Sequence

    import numpy as np
    from numpy.typing import NDArray
    from whisper.model import Whisper
    from whisper.tokenizer import Tokenizer

    from pipeline.stage.transcribe.decoder import Decoder

    Heads = Sequence[list[int]]  # numbers of each layer's
    Sound = tuple[torch.Tensor, torch.Tensor]  # keys and values: (layers, heads, n_audio_ctx, width)

REACH = 3  # frames on each side that the median is of
# Sorting seven values so far that the fourth is the median: 13 exchanges (N. Devillard, Fast median search, 1998)
EXCHANGES = (
    (0, 5), (0, 3), (1, 6), (2, 4), (0, 1), (3, 5), (2, 6), (2, 3), (3, 6), (4, 5), (1, 4), (1, 3), (3, 4),
)  # fmt: skip


class Spoken(NamedTuple):
    """What is to be aligned with one window."""

    text: list[int]  # its text tokens
    tokenizer: Tokenizer  # of its language and task
    frames: int  # mel frames of sound in it

    @property
    def tokens(self) -> list[int]:
        """All tokens, as whisper has the model say them."""
        tokenizer = self.tokenizer
        return [*tokenizer.sot_sequence, tokenizer.no_timestamps, *self.text, tokenizer.eot]


class Alignment(NamedTuple):
    """When each text token was said, and how probable it was."""

    times: NDArray[np.float64]  # seconds of the window at which each begins, and the end after the last
    probabilities: list[float]


class Rehearsal:
    """What tokens see that are said all at once: those before them, and the sound of their own window.

    The windows stand in one row, each after the other, so that what is a product of each token is one product for
    all and nothing is padded.
    """

    def __init__(self, sounds: Sequence[Sound], heads: Heads, lengths: list[int]) -> None:
        self._sounds, self._heads, self._lengths = sounds, heads, lengths
        self.scores: list[list[torch.Tensor]] = [[] for _ in lengths]  # of the alignment heads

    def recall(
        self, _layer: int, query: torch.Tensor, key: torch.Tensor, value: torch.Tensor
    ) -> torch.Tensor:
        """Return what tokens find among those of their window; see Memory."""
        windows = zip(*(torch.split(each[0], self._lengths, 1) for each in (query, key, value)), strict=True)
        found = [scaled_dot_product_attention(q, k, v, is_causal=True, scale=1.0) for q, k, v in windows]
        return torch.cat(found, 1)[None]

    def hear(self, layer: int, query: torch.Tensor) -> torch.Tensor:
        """Return what tokens hear in their window; see Memory."""
        heard = []
        for window, asked in enumerate(torch.split(query[0], self._lengths, 1)):
            keys, values = self._sounds[window]
            scores = asked @ keys[layer].transpose(-1, -2)
            self.scores[window].append(scores[self._heads[layer]])
            heard.append(scores.softmax(-1) @ values[layer])
        return torch.cat(heard, 1)[None]


def alignment_heads(model: Whisper) -> Heads:
    """Return the numbers of the heads of each layer that follow what is being said."""
    chosen = model.alignment_heads.to_dense().tolist()
    return [[number for number, is_chosen in enumerate(layer) if is_chosen] for layer in chosen]


def align(
    decoder: Decoder, heads: Heads, sounds: Sequence[Sound], spoken: Sequence[Spoken]
) -> list[Alignment]:
    """Align the sound of windows with what was said in them."""
    device = sounds[0][0].device
    lengths = [len(each.tokens) for each in spoken]
    tokens = torch.tensor([token for each in spoken for token in each.tokens], device=device)
    positions = torch.cat([torch.arange(length, device=device) for length in lengths])
    rehearsal = Rehearsal(sounds, heads, lengths)
    hidden = decoder(tokens[None], positions[None], rehearsal)[0]
    matrices = [_matrix(*each) for each in zip(spoken, map(torch.cat, rehearsal.scores), strict=True)]
    rows = zip(
        begins([-each.cpu().numpy() for each in matrices]), spoken, torch.split(hidden, lengths), strict=True
    )
    return [
        Alignment(columns / TOKENS_PER_SECOND, _probabilities(decoder, each, states))
        for columns, each, states in rows
    ]


def _matrix(spoken: Spoken, scores: torch.Tensor) -> torch.Tensor:
    """Return how well each text token, and the end, goes with each 20 ms of sound: (tokens + 1, frames)."""
    first, tokens = len(spoken.tokenizer.sot_sequence), len(spoken.tokens)
    weights = scores[:, :tokens, : spoken.frames // 2].float().softmax(-1)
    deviation, mean = torch.std_mean(weights, dim=-2, keepdim=True, unbiased=False)
    weights = (weights[:, first:-1] - mean) / deviation
    medians = [_median(head) for head in weights]
    return sum(medians[1:], medians[0]) / len(medians)


def _median(rows: torch.Tensor) -> torch.Tensor:
    """Return the median of each value and its neighbours along the last dimension, mirrored at the ends.

    By exchanges of whole rows: torch.sort of seven values at a time takes 20 times as long.
    """
    length = rows.shape[-1]
    if length <= REACH:
        return rows
    mirrored = pad(rows[None], (REACH, REACH), mode="reflect")[0]
    values = [mirrored[..., at : at + length] for at in range(2 * REACH + 1)]
    for low, high in EXCHANGES:
        values[low], values[high] = (
            torch.minimum(values[low], values[high]),
            torch.maximum(values[low], values[high]),
        )
    return values[REACH]


def _probabilities(decoder: Decoder, spoken: Spoken, hidden: torch.Tensor) -> list[float]:
    """Return how probable each text token was, among text."""
    chances = decoder.logits(hidden[len(spoken.tokenizer.sot_sequence) : -1])[:, : spoken.tokenizer.eot]
    chosen = torch.tensor([*spoken.text, 0], device=chances.device)[:, None]
    probabilities: list[float] = chances.softmax(-1).gather(-1, chosen)[:-1, 0].tolist()
    return probabilities
