"""A checkpoint becomes the ggml file that whisper.cpp reads."""

import struct
from pathlib import Path
from typing import BinaryIO

import numpy as np
import pytest
import torch

from benchmarks.ggml import SIZES, convert

DIMS = dict.fromkeys(SIZES, 4) | {"n_vocab": 51865, "n_mels": 80}
WEIGHTS = {
    "encoder.conv1.weight": torch.arange(24.0).reshape(2, 4, 3),
    "encoder.conv1.bias": torch.arange(2.0),
    "decoder.positional_embedding": torch.arange(6.0).reshape(2, 3),
    "decoder.ln.weight": torch.arange(3.0),
}
STORED = {
    "encoder.conv1.weight": ("<f2", (2, 4, 3)),
    "encoder.conv1.bias": ("<f4", (2, 1)),
    "decoder.positional_embedding": ("<f4", (2, 3)),
    "decoder.ln.weight": ("<f4", (3,)),
}


@pytest.fixture
def converted(tmp_path: Path) -> Path:
    """Return the ggml file of a small checkpoint."""
    torch.save({"dims": DIMS, "model_state_dict": WEIGHTS}, tmp_path / "model.pt")
    convert(tmp_path / "model.pt", tmp_path / "model.bin")
    return tmp_path / "model.bin"


def numbers(file: BinaryIO, count: int) -> tuple[int, ...]:
    return struct.unpack(f"<{count}i", file.read(4 * count))


def test_the_file_is_read_back(converted: Path) -> None:
    """Sizes, mel filters, the whole vocabulary and every tensor stand where whisper.cpp looks for them."""
    with converted.open("rb") as file:
        assert numbers(file, 12) == (0x67676D6C, *(DIMS[name] for name in SIZES), 1)
        assert numbers(file, 2) == (80, 201)
        file.seek(80 * 201 * 4, 1)
        words = [file.read(numbers(file, 1)[0]) for _ in range(numbers(file, 1)[0])]
        assert (len(words), words[:3]) == (50257, [b"!", b'"', b"#"])
        for name, (dtype, shape) in STORED.items():
            rank, length, kind = numbers(file, 3)
            assert (numbers(file, rank)[::-1], file.read(length).decode()) == (shape, name)
            assert kind == (dtype == "<f2")
            values = np.frombuffer(file.read(int(np.prod(shape)) * (4 - 2 * kind)), dtype)
            assert values.tolist() == WEIGHTS[name].flatten().tolist()
        assert file.read() == b""
