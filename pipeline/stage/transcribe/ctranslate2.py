"""CTranslate2's model.bin -> an openai-whisper checkpoint. Every weight maps one to one.

Layout (CTranslate2, src/models/model.cc): version, spec name, revision, variables (name, shape, type, bytes),
aliases. Little-endian; strings carry a 16-bit length and end in NUL.
"""

from __future__ import annotations

import re
import struct
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray

    Variables = dict[str, NDArray[Any]]

BINARY_VERSION = 6
HEAD_SIZE = 64  # in every whisper model
DTYPES = {0: "<f4", 1: "<i1", 2: "<i2", 3: "<i4", 4: "<f2"}

_NAMES = [
    (re.compile(pattern), replacement)
    for pattern, replacement in [
        (r"/layer_(\d+)/self_attention/layer_norm/", r".blocks.\1.attn_ln."),
        (r"/layer_(\d+)/attention/layer_norm/", r".blocks.\1.cross_attn_ln."),
        (r"/layer_(\d+)/ffn/layer_norm/", r".blocks.\1.mlp_ln."),
        (r"/layer_(\d+)/self_attention/linear_1/", r".blocks.\1.attn.out."),
        (r"/layer_(\d+)/attention/linear_0/", r".blocks.\1.cross_attn.query."),
        (r"/layer_(\d+)/attention/linear_2/", r".blocks.\1.cross_attn.out."),
        (r"/layer_(\d+)/ffn/linear_0/", r".blocks.\1.mlp.0."),
        (r"/layer_(\d+)/ffn/linear_1/", r".blocks.\1.mlp.2."),
        (r"^encoder/layer_norm/", r"encoder.ln_post."),
        (r"^decoder/layer_norm/", r"decoder.ln."),
        (r"^decoder/embeddings/", r"decoder.token_embedding."),
        (r"/position_encodings/encodings$", r".positional_embedding"),
        (r"^encoder/(conv[12])/", r"encoder.\1."),
        (r"\bgamma$", "weight"),
        (r"\bbeta$", "bias"),
    ]
]
_FUSED = {
    "self_attention/linear_0": ("attn", "query key value"),
    "attention/linear_1": ("cross_attn", "key value"),
}
_FUSED_NAME = re.compile(
    r"^(encoder|decoder)/layer_(\d+)/(self_attention/linear_0|attention/linear_1)/(weight|bias)$"
)


class FormatError(ValueError):
    """The bytes are not a CTranslate2 Whisper model that maps onto openai-whisper's."""


def read(data: bytes) -> Variables:
    """Return the variables of a model.bin by name, as views of `data`."""
    reader = _Reader(data)
    version, spec, _revision = reader.number("I"), reader.text(), reader.number("I")
    if (version, spec) != (BINARY_VERSION, "WhisperSpec"):
        raise FormatError(f"binary version {version}, spec {spec!r}")
    variables = dict(reader.variable() for _ in range(reader.number("I")))
    aliases = [(reader.text(), reader.text()) for _ in range(reader.number("I"))]
    if aliases != [("decoder/projection/weight", "decoder/embeddings/weight")]:
        raise FormatError(f"the projection is not tied to the embedding: {aliases}")
    return variables


def dimensions(variables: Variables) -> dict[str, int]:
    """Return the fields of whisper's ModelDimensions, read off the shapes."""
    audio_ctx, audio_state = variables["encoder/position_encodings/encodings"].shape
    text_ctx, text_state = variables["decoder/position_encodings/encodings"].shape
    return {
        "n_mels": variables["encoder/conv1/weight"].shape[1],
        "n_audio_ctx": audio_ctx,
        "n_audio_state": audio_state,
        "n_audio_head": audio_state // HEAD_SIZE,
        "n_audio_layer": _layers(variables, "encoder"),
        "n_vocab": variables["decoder/embeddings/weight"].shape[0],
        "n_text_ctx": text_ctx,
        "n_text_state": text_state,
        "n_text_head": text_state // HEAD_SIZE,
        "n_text_layer": _layers(variables, "decoder"),
    }


def state_dict(variables: Variables) -> Variables:
    """Return the weights under openai-whisper's names, in the type they are stored in."""
    weights: Variables = {}
    for name, array in variables.items():
        if array.ndim:  # the scalars are CTranslate2's own settings
            weights.update(_renamed(name, array))
    return weights


def _renamed(name: str, array: NDArray[Any]) -> Iterator[tuple[str, NDArray[Any]]]:
    if array.dtype.kind != "f":
        raise FormatError(f"{name} is quantised ({array.dtype})")
    if fused := _FUSED_NAME.match(name):
        yield from _split(array, *fused.groups())
        return
    for pattern, replacement in _NAMES:
        name = pattern.sub(replacement, name)
    if "/" in name:
        raise FormatError(f"unknown variable {name}")
    yield name, array


def _split(
    array: NDArray[Any], side: str, layer: str, linear: str, kind: str
) -> Iterator[tuple[str, NDArray[Any]]]:
    """Cut fused rows; whisper's key has no bias, so CTranslate2 stores zeros there."""
    attention, parts = _FUSED[linear]
    for part, rows in zip(parts.split(), np.split(array, len(parts.split())), strict=True):
        if (part, kind) != ("key", "bias"):
            yield f"{side}.blocks.{layer}.{attention}.{part}.{kind}", rows
        elif rows.any():
            raise FormatError(f"{side} layer {layer}: the key has a bias")


def _layers(variables: Variables, side: str) -> int:
    return len({match[0] for name in variables if (match := re.match(rf"{side}/layer_\d+/", name))})


class _Reader:
    def __init__(self, data: bytes) -> None:
        self.data = data
        self.at = 0

    def number(self, kind: str) -> int:
        (value,) = struct.unpack_from(f"<{kind}", self.data, self.at)
        self.at += struct.calcsize(f"<{kind}")
        return int(value)

    def text(self) -> str:
        return self.take(self.number("H")).rstrip(b"\0").decode("ascii")

    def take(self, count: int) -> bytes:
        self.at += count
        return self.data[self.at - count : self.at]

    def variable(self) -> tuple[str, NDArray[Any]]:
        name = self.text()
        shape = [self.number("I") for _ in range(self.number("B"))]
        dtype = np.dtype(DTYPES[self.number("B")])
        size = self.number("I")
        array = np.frombuffer(self.data, dtype, size // dtype.itemsize, self.at).reshape(shape)
        self.at += size
        return name, array
