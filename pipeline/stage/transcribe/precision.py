"""In which numbers a model computes: float32, float16, bfloat16, or int8 beside bfloat16."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch

from pipeline.errors import BadOptionsError
from pipeline.stage.transcribe.balance import balance
from pipeline.stage.transcribe.linear import Packed, Plain, Quantized

if TYPE_CHECKING:
    from whisper.model import Whisper

    from pipeline.stage.transcribe.linear import Make
    from pipeline.stage.transcribe.sources import Report

TYPES = {
    "float32": torch.float32,
    "float16": torch.float16,
    "bfloat16": torch.bfloat16,
    "int8": torch.bfloat16,
}
LARGE = (torch.nn.Linear, torch.nn.Conv1d, torch.nn.Embedding)


def apply(name: str, model: Whisper, report: Report) -> Make:
    """Store a model's large weights in a precision ("auto", "int8", …); return how its linear maps are made.

    Layer norms stay float32, as in whisper.
    """
    name = _chosen(name, model.device, report)
    if name == "int8":
        balance(model)
    for module in model.modules():
        if isinstance(module, LARGE):
            module.to(TYPES[name])
    if model.device.type != "cpu":
        return Plain
    return Quantized if name == "int8" else Packed


def _chosen(name: str, device: torch.device, report: Report) -> str:
    if name == "auto":
        return "float16" if device.type == "cuda" else _fast_on_cpu()
    if name not in TYPES:
        raise BadOptionsError(f"dtype {name!r}: this engine has auto, {', '.join(TYPES)}")
    if name == "float16" and device.type == "cpu":
        report("float16 is slow on a CPU: using float32", None)
        return "float32"
    return name


def _fast_on_cpu() -> str:
    """Return bfloat16 where the processor multiplies it: twice to four times as fast, and no word error rate more.

    By its features and not by a measurement, which could choose otherwise in the next process.
    """
    features = torch.cpu.get_capabilities()
    return "bfloat16" if features.get("avx512_bf16") or features.get("amx_bf16") else "float32"
