from __future__ import annotations

import copy
import struct
import subprocess
from pathlib import Path
from typing import TYPE_CHECKING

import imageio_ffmpeg
import numpy as np
import pytest
import torch
from whisper.model import ModelDimensions, Whisper

from pipeline.stage.transcribe.decoder import Decoder
from pipeline.stage.transcribe.linear import Plain
from tests.integration.transcribe.small import ENDING, SMALL, random_model

if TYPE_CHECKING:
    from collections.abc import Callable

SAMPLES = Path(__file__).parents[3] / "samples"
TINY = ModelDimensions(
    n_mels=80, n_audio_ctx=1500, n_audio_state=64, n_audio_head=1, n_audio_layer=2,
    n_vocab=51865, n_text_ctx=48, n_text_state=64, n_text_head=1, n_text_layer=2,
)  # fmt: skip


@pytest.fixture(scope="session")
def recording() -> Callable[[str], np.ndarray]:
    """Decode one of the repository's samples: float32, 16 kHz, mono."""

    def decode(name: str) -> np.ndarray:
        command = [imageio_ffmpeg.get_ffmpeg_exe(), "-v", "error", "-nostdin", "-i", str(SAMPLES / name)]
        command += ["-f", "s16le", "-ac", "1", "-ar", "16000", "-"]
        pcm = subprocess.run(command, capture_output=True, check=True).stdout
        return np.frombuffer(pcm, np.int16).astype(np.float32) / 32768

    return decode


@pytest.fixture(scope="session")
def tiny_model() -> Whisper:
    """Return a multilingual Whisper of two small layers."""
    return random_model(TINY, seed=0, spread=0.2)


@pytest.fixture(scope="module")
def model() -> Whisper:
    """Return a random model that ends some of its windows early."""
    torch.set_num_threads(1)
    made = random_model(SMALL, seed=3, spread=0.12)
    tokens = made.decoder.token_embedding.weight.data
    tokens *= 20
    tokens[ENDING] += 13.4 * made.decoder.ln.bias.data
    return made


@pytest.fixture(scope="module")
def decoder(model: Whisper) -> Decoder:
    return Decoder(copy.deepcopy(model.decoder), Plain)


@pytest.fixture(scope="module")
def features() -> torch.Tensor:
    """Return what an encoder could have made of seven windows."""
    return 4 * torch.randn(7, 1500, 64, generator=torch.Generator().manual_seed(5))


@pytest.fixture
def model_bin(tiny_model: Whisper) -> bytes:
    """Return the same model in CTranslate2's binary form, float16, its attention projections fused."""
    return to_ctranslate2(tiny_model)


def to_ctranslate2(model: Whisper) -> bytes:
    variables = {
        "decoder/embeddings/weight": model.decoder.token_embedding.weight,
        "encoder/position_encodings/encodings": model.encoder.positional_embedding,
        "decoder/position_encodings/encodings": model.decoder.positional_embedding,
        **_norm("encoder/layer_norm", model.encoder.ln_post),
        **_norm("decoder/layer_norm", model.decoder.ln),
    }
    for conv in ("conv1", "conv2"):
        module = getattr(model.encoder, conv)
        variables |= {f"encoder/{conv}/weight": module.weight, f"encoder/{conv}/bias": module.bias}
    for side, stack in (("encoder", model.encoder), ("decoder", model.decoder)):
        for number, block in enumerate(stack.blocks):
            variables |= _block(f"{side}/layer_{number}", block)
    return _binary({name: array.detach().half().numpy() for name, array in variables.items()})


def _block(at: str, block: torch.nn.Module) -> dict[str, torch.Tensor]:
    own, cross = block.attn, block.cross_attn
    variables = {
        **_norm(f"{at}/self_attention/layer_norm", block.attn_ln),
        **_norm(f"{at}/ffn/layer_norm", block.mlp_ln),
        **_linear(f"{at}/self_attention/linear_0", own.query, own.key, own.value),
        **_linear(f"{at}/self_attention/linear_1", own.out),
        **_linear(f"{at}/ffn/linear_0", block.mlp[0]),
        **_linear(f"{at}/ffn/linear_1", block.mlp[2]),
    }
    if cross is not None:
        variables |= _norm(f"{at}/attention/layer_norm", block.cross_attn_ln)
        variables |= _linear(f"{at}/attention/linear_0", cross.query)
        variables |= _linear(f"{at}/attention/linear_1", cross.key, cross.value)
        variables |= _linear(f"{at}/attention/linear_2", cross.out)
    return variables


def _norm(at: str, norm: torch.nn.Module) -> dict[str, torch.Tensor]:
    return {f"{at}/gamma": norm.weight, f"{at}/beta": norm.bias}


def _linear(at: str, *fused: torch.nn.Linear) -> dict[str, torch.Tensor]:
    biases = [torch.zeros(len(each.weight)) if each.bias is None else each.bias for each in fused]
    return {f"{at}/weight": torch.cat([each.weight for each in fused]), f"{at}/bias": torch.cat(biases)}


def _binary(variables: dict[str, np.ndarray]) -> bytes:
    settings = {"decoder/num_heads": np.array(1, np.int16), "decoder/pre_norm": np.array(1, np.int8)}
    parts = [
        struct.pack("<I", 6),
        _text("WhisperSpec"),
        struct.pack("<II", 3, len(variables) + len(settings)),
    ]
    for name, array in {**settings, **variables}.items():
        kind = {"float16": 4, "int16": 2, "int8": 1}[array.dtype.name]
        shape = struct.pack(f"<B{array.ndim}I", array.ndim, *array.shape)
        parts += [_text(name), shape, struct.pack("<BI", kind, array.nbytes), array.tobytes()]
    parts += [struct.pack("<I", 1), _text("decoder/projection/weight"), _text("decoder/embeddings/weight")]
    return b"".join(parts)


def _text(value: str) -> bytes:
    raw = value.encode() + b"\0"
    return struct.pack("<H", len(raw)) + raw
