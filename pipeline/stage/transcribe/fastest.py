"""The numbers in which this processor computes soonest: measured once, remembered beside the weights.

Remembered, because another choice after a restart would be another text; where nothing can be remembered it goes by
the processor's features.
"""

from __future__ import annotations

import copy
import json
import time
from contextlib import suppress
from typing import TYPE_CHECKING, Any

import torch

from pipeline.errors import BadOptionsError
from pipeline.stage.transcribe.encoder import Layer
from pipeline.stage.transcribe.manifest import locked, replacing
from pipeline.stage.transcribe.precision import TYPES, maker, store

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from whisper.model import Whisper

    from pipeline.stage.transcribe.sources import Report

WORTH = 0.8  # coarser numbers must save a fifth of the time
ROUNDS = 4
CANDIDATES = ("float32", "bfloat16", "int8")  # finest first


def meant(dtype: str, model: Whisper, folder: Path, report: Report) -> str:
    """Return the precision that `--dtype` means for a model; what has to be measured is remembered in `folder`."""
    on_cpu = model.device.type == "cpu"
    if dtype == "auto":
        return _fastest(model, folder, report) if on_cpu else "float16"
    if dtype not in TYPES:
        raise BadOptionsError(f"dtype {dtype!r}: this engine has auto, {', '.join(TYPES)}")
    if dtype == "int8" and not on_cpu:
        report("int8 is for CPUs: using float16", None)
        return "float16"
    if dtype == "float16" and on_cpu:
        report("float16 is slow on a CPU: using float32", None)
        return "float32"
    return dtype


def _fastest(model: Whisper, folder: Path, report: Report) -> str:
    if not _multiplies_bfloat16():
        return "float32"  # the others would be computed in float32 all the same, and converted
    remembered = _Measured(folder / "processors.json", _subject(model))
    if (known := remembered.read()) is None:
        report("measuring which numbers this processor is fastest in (once)", None)
        known = measure(model)
        if not remembered.write(known):
            return "bfloat16"
    return choose(known)


def choose(seconds: Mapping[str, float]) -> str:
    """Return the finest precision that no coarser one beats by more than a little."""
    best = CANDIDATES[0]
    for name in CANDIDATES[1:]:
        if seconds[name] <= WORTH * seconds[best]:
            best = name
    return best


def measure(model: Whisper) -> dict[str, float]:
    """Return the seconds that an encoder layer takes for a whole window, on one core as in the encoder."""
    block = model.encoder.blocks[0]
    sound = torch.randn(1, *model.encoder.positional_embedding.shape)
    layers = {}
    for name in CANDIDATES:
        stored = copy.deepcopy(block)
        store(name, stored)
        layers[name] = Layer(stored, maker(name, sound.device))
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        with torch.inference_mode():
            rounds = [{name: _seconds(layer, sound) for name, layer in layers.items()} for _ in range(ROUNDS)]
    finally:
        torch.set_num_threads(threads)
    return {name: min(each[name] for each in rounds) for name in CANDIDATES}


def _seconds(layer: Layer, sound: torch.Tensor) -> float:
    hidden = sound.clone()
    began = time.perf_counter()
    layer(hidden)
    return time.perf_counter() - began


def _multiplies_bfloat16() -> bool:
    features = torch.cpu.get_capabilities()
    return any(features.get(name) for name in ("avx512_bf16", "amx_bf16"))


def _subject(model: Whisper) -> str:
    """Name all that a measurement depends on."""
    features = torch.cpu.get_capabilities()
    has = " ".join(sorted(name for name, value in features.items() if value is True))
    return f"{features.get('cpu_name')} ({has}), torch {torch.__version__}, width {model.dims.n_audio_state}"


class _Measured:
    """What was measured of one subject, in a file with other machines' measurements."""

    def __init__(self, path: Path, subject: str) -> None:
        self._path, self._subject = path, subject

    def read(self) -> dict[str, float] | None:
        found = self._all().get(self._subject)
        return found if isinstance(found, dict) and set(found) == set(CANDIDATES) else None

    def write(self, seconds: dict[str, float]) -> bool:
        """Tell whether it is remembered now."""
        with suppress(OSError), locked(self._path.with_name(".processors.lock")):
            content = self._all() | {self._subject: seconds}
            with replacing(self._path) as file:
                file.write(json.dumps(content, indent=1).encode())
            return True
        return False

    def _all(self) -> dict[str, Any]:
        with suppress(OSError, ValueError):  # absent or damaged: measured again
            content = json.loads(self._path.read_bytes())
            return content if isinstance(content, dict) else {}
        return {}
