"""What goes to the device and comes from it: for a GPU by way of pinned memory, else the host waits for each copy."""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING

import torch

if TYPE_CHECKING:
    from collections.abc import Sequence

    import numpy as np
    from numpy.typing import NDArray


def sent(values: Sequence[int] | Sequence[Sequence[int]], device: torch.device) -> torch.Tensor:
    """Return whole numbers as a tensor on a device, without waiting for what a GPU does."""
    made = torch.tensor(values, dtype=torch.long)
    return made if device.type == "cpu" else made.pin_memory().to(device, non_blocking=True)


def uploaded(pcm: NDArray[np.float32], device: torch.device) -> torch.Tensor:
    """Return samples on a device, where they are before anything that is asked of it from now on.

    They go to a GPU on a stream of their own, beside what is computed meanwhile.
    """
    here = torch.from_numpy(pcm)
    if device.type == "cpu":
        return here
    with torch.cuda.stream(_copies(device)):
        there = here.pin_memory().to(device, non_blocking=True)
    reader = torch.cuda.current_stream(device)
    reader.wait_stream(_copies(device))
    there.record_stream(reader)  # its memory is the copies' stream's, which would use it again too soon
    return there


def fetched(*tensors: torch.Tensor) -> list[torch.Tensor]:
    """Return tensors of one device on the host; a GPU is waited for once for all of them."""
    if tensors[0].device.type == "cpu":
        return list(tensors)
    here = [torch.empty(each.shape, dtype=each.dtype, pin_memory=True) for each in tensors]
    for into, each in zip(here, tensors, strict=True):
        into.copy_(each, non_blocking=True)
    torch.cuda.current_stream(tensors[0].device).synchronize()
    return here


@cache
def _copies(device: torch.device) -> torch.cuda.Stream:
    return torch.cuda.Stream(device)  # type: ignore[no-untyped-call]
