"""An openai-whisper checkpoint -> whisper.cpp's ggml file, weights in half precision.

Layout (whisper.cpp, models/convert-pt-to-ggml.py and src/whisper.cpp): magic, eleven sizes, mel filters, tokens,
tensors; every number a little-endian 32-bit one. A tensor is its rank, the length of its name, its type (0 float32,
1 float16), its shape from the last axis to the first, its name, its values.
"""

from __future__ import annotations

import base64
import struct
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
import whisper
from whisper.audio import mel_filters

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray

MAGIC = 0x67676D6C
HALF = 1
SIZES = (
    *("n_vocab", "n_audio_ctx", "n_audio_state", "n_audio_head", "n_audio_layer"),
    *("n_text_ctx", "n_text_state", "n_text_head", "n_text_layer", "n_mels"),
)
MULTILINGUAL_VOCABULARY = 51_865  # and more
COLUMNS = {
    "encoder.conv1.bias",
    "encoder.conv2.bias",
}  # added to (channels, frames): they are read as columns


def convert(checkpoint: Path, target: Path) -> None:
    """Write the ggml file of a checkpoint."""
    content = torch.load(checkpoint, map_location="cpu", weights_only=True)
    sizes, weights = content["dims"], content["model_state_dict"]
    with target.open("wb") as out:
        out.write(numbers(MAGIC, *(sizes[name] for name in SIZES), HALF))
        filters = mel_filters("cpu", sizes["n_mels"]).numpy()
        out.write(numbers(*filters.shape) + filters.astype("<f4").tobytes())
        words = list(vocabulary(multilingual=sizes["n_vocab"] >= MULTILINGUAL_VOCABULARY))
        out.write(numbers(len(words)))
        for word in words:
            out.write(numbers(len(word)) + word)
        for name, values in weights.items():
            out.write(tensor(name, values.float().numpy()))


def numbers(*values: int) -> bytes:
    """Return 32-bit little-endian integers."""
    return struct.pack(f"<{len(values)}i", *values)


def vocabulary(*, multilingual: bool) -> Iterator[bytes]:
    """Yield the bytes of each token in the order of its rank; whisper.cpp makes the special ones itself."""
    name = "multilingual" if multilingual else "gpt2"
    assets = Path(whisper.__file__).parent / "assets"
    for line in (assets / f"{name}.tiktoken").read_text().splitlines():
        yield base64.b64decode(line.split()[0])


def tensor(name: str, values: NDArray[Any]) -> bytes:
    """Return one tensor; vectors, biases and positions stay float32, as whisper.cpp wants them."""
    values = values.squeeze()
    if name in COLUMNS:
        values = values[:, None]
    whole = values.ndim == 1 or name in COLUMNS or name.endswith("positional_embedding")
    title = name.encode()
    head = numbers(values.ndim, len(title), 0 if whole else HALF, *reversed(values.shape))
    return head + title + values.astype("<f4" if whole else "<f2").tobytes()


if __name__ == "__main__":
    convert(Path(sys.argv[1]), Path(sys.argv[2]))
