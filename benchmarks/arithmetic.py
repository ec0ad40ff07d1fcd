"""What a whisper model has to compute and to read, counted from its sizes. Pure."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Sizes:
    """The sizes that count, named as in whisper's ModelDimensions."""

    n_mels: int
    n_audio_ctx: int
    n_audio_state: int
    n_audio_head: int
    n_audio_layer: int
    n_vocab: int
    n_text_ctx: int
    n_text_state: int
    n_text_head: int
    n_text_layer: int


TINY = Sizes(80, 1500, 384, 6, 4, 51865, 448, 384, 6, 4)
BASE = Sizes(80, 1500, 512, 8, 6, 51865, 448, 512, 8, 6)
LARGE_V3 = Sizes(128, 1500, 1280, 20, 32, 51866, 448, 1280, 20, 32)


def encoder_operations(sizes: Sizes) -> float:
    """Return the operations of one window's encoder, cross-attention keys and values included."""
    width, frames = sizes.n_audio_state, sizes.n_audio_ctx
    convolutions = 2 * 3 * width * (sizes.n_mels * 2 * frames + width * frames)
    layer = frames * (24 * width**2 + 4 * frames * width)
    keys_and_values = sizes.n_text_layer * frames * 4 * width * sizes.n_text_state
    return float(convolutions + sizes.n_audio_layer * layer + keys_and_values)


def decoder_operations(sizes: Sizes) -> float:
    """Return the operations of one token of one beam."""
    width = sizes.n_text_state
    heard = 4 * sizes.n_audio_ctx * width
    return float(sizes.n_text_layer * (28 * width**2 + heard) + 2 * sizes.n_vocab * width)


def decoder_bytes(sizes: Sizes, itemsize: int) -> tuple[float, float]:
    """Return the bytes of weights that a step reads, and those that it reads of each window it decodes."""
    width = sizes.n_text_state
    weights = sizes.n_text_layer * 14 * width**2 + sizes.n_vocab * width
    heard = sizes.n_text_layer * 2 * sizes.n_audio_ctx * width
    return float(weights * itemsize), float(heard * itemsize)
