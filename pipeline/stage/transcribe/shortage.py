"""Memory that runs out, by whichever name torch calls it."""

from __future__ import annotations

import traceback
from contextlib import contextmanager
from typing import TYPE_CHECKING

import torch

from pipeline.stage.transcribe.engine import OutOfMemory

if TYPE_CHECKING:
    from collections.abc import Iterator

# by torch's CPU allocator; by CUDA outside torch's allocator (pinned memory, graphs); by cuBLAS; by cuDNN
SAID = ("can't allocate memory", "out of memory", "ALLOC_FAILED")


def is_shortage(error: BaseException) -> bool:
    """Tell whether memory ran out, be it that something else failed because of it."""
    if isinstance(error, (MemoryError, torch.OutOfMemoryError)):
        return True
    if isinstance(error, RuntimeError) and any(each in str(error) for each in SAID):
        return True
    return error.__context__ is not None and is_shortage(error.__context__)


@contextmanager
def naming_shortage() -> Iterator[None]:
    """Have memory that runs out raise OutOfMemory."""
    try:
        yield
    except (MemoryError, RuntimeError) as error:
        if is_shortage(error):
            traceback.clear_frames(error.__traceback__)  # what failed has tensors in its hands
            raise OutOfMemory(str(error)) from error
        raise
