"""What was measured on: the processor, the versions, and the machine's own limits."""

from __future__ import annotations

import os
import platform
import re
import time
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch

if TYPE_CHECKING:
    from collections.abc import Callable

FEATURES = ("avx2", "avx512f", "avx512_bf16", "avx512_vnni", "amx_bf16", "amx_int8")
ROWS, COLUMNS = 6000, 2048  # four windows of a model two sizes above base
TRIES = 5
COPIED = 1 << 28  # bytes: far more than any cache


def describe() -> dict[str, Any]:
    """Return processor, cores, memory, system and versions of our own side."""
    cpuinfo = Path("/proc/cpuinfo").read_text() if Path("/proc/cpuinfo").exists() else ""
    flags = set(next(iter(re.findall(r"^flags\s*: (.*)", cpuinfo, re.MULTILINE)), "").split())
    return {
        "processor": next(
            iter(re.findall(r"^model name\s*: (.*)", cpuinfo, re.MULTILINE)), platform.processor()
        ),
        "cores": os.cpu_count(),
        "features": [name for name in FEATURES if name in flags],
        "memory_gb": round(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 1e9, 1),
        "system": platform.platform(),
        "python": platform.python_version(),
        "torch": torch.__version__,
        "openai-whisper": version("openai-whisper"),
        "silero-vad": version("silero-vad"),
    }


def limits(threads: int) -> dict[str, float]:
    """Return the best of a few tries: matrix products in GFLOP/s by number format, memory in GB/s."""
    torch.set_num_threads(threads)
    return {
        "float32": _products(torch.float32),
        "bfloat16": _products(torch.bfloat16),
        "int8": _int8(),
        "memory": _memory(),
    }


def _products(dtype: torch.dtype) -> float:
    left, right = torch.randn(ROWS, COLUMNS).to(dtype), torch.randn(COLUMNS, COLUMNS).to(dtype)
    return _operations() / _quickest(lambda: left @ right) / 1e9


def _int8() -> float:
    left = torch.randint(-99, 99, (ROWS, COLUMNS), dtype=torch.int8)
    right = torch.randint(-99, 99, (COLUMNS, COLUMNS), dtype=torch.int8)
    return _operations() / _quickest(lambda: torch._int_mm(left, right)) / 1e9  # noqa: SLF001 - it has no public name


def _memory() -> float:
    source, target = torch.ones(COPIED, dtype=torch.uint8), torch.empty(COPIED, dtype=torch.uint8)
    return 2 * COPIED / _quickest(lambda: target.copy_(source)) / 1e9


def _operations() -> float:
    return 2.0 * ROWS * COLUMNS * COLUMNS


def _quickest(work: Callable[[], object]) -> float:
    times = []
    for _ in range(TRIES):
        began = time.perf_counter()
        work()
        times.append(time.perf_counter() - began)
    return min(times)
