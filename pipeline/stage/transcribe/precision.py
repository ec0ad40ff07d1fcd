"""In which numbers a model computes: float32, float16, bfloat16, or int8 beside bfloat16."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch

from pipeline.stage.transcribe.balance import balance
from pipeline.stage.transcribe.linear import Packed, Plain, Quantized

if TYPE_CHECKING:
    from whisper.model import Whisper

    from pipeline.stage.transcribe.linear import Make

TYPES = {
    "float32": torch.float32,
    "float16": torch.float16,
    "bfloat16": torch.bfloat16,
    "int8": torch.bfloat16,
}
LARGE = (torch.nn.Linear, torch.nn.Conv1d, torch.nn.Embedding)


def apply(name: str, model: Whisper) -> Make:
    """Store a model's large weights in a precision ("int8", …); return how its linear maps are made."""
    if name == "int8":
        balance(model)
    store(name, model)
    return maker(name, model.device)


def store(name: str, module: torch.nn.Module) -> None:
    """Store the large weights of a model, or of a part of it; layer norms stay float32, as in whisper."""
    for each in module.modules():
        if isinstance(each, LARGE):
            each.to(TYPES[name])


def maker(name: str, device: torch.device) -> Make:
    """Return how a device's linear maps are made of weights so stored."""
    if device.type != "cpu":
        return Plain
    return Quantized if name == "int8" else Packed
