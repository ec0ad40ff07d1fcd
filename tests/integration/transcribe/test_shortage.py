"""Memory that runs out is known by all its names."""

import gc
import weakref

import pytest
import torch

from pipeline.stage.transcribe.engine import OutOfMemory
from pipeline.stage.transcribe.shortage import naming_shortage


@pytest.mark.parametrize(
    "error",
    [
        MemoryError(),
        torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB"),
        RuntimeError("[enforce fail at alloc_cpu.cpp:124] DefaultCPUAllocator: can't allocate memory"),
        torch.AcceleratorError("CUDA error: out of memory"),
        RuntimeError("CUDA error: CUBLAS_STATUS_ALLOC_FAILED when calling `cublasCreate(handle)`"),
    ],
    ids=["Python", "torch", "torch on a CPU", "CUDA", "cuBLAS"],
)
def test_it_is_one_error_by_any_name(error: Exception) -> None:
    """CUDA's own is raised for pinned memory and graphs, which torch's allocator does not hand out."""
    with pytest.raises(OutOfMemory), naming_shortage():
        raise error


def test_another_error_stays_what_it_is() -> None:
    """It ends a GPU's process; short memory does not."""
    with pytest.raises(RuntimeError, match="illegal"), naming_shortage():
        raise RuntimeError("CUDA error: an illegal memory access was encountered")


def test_what_failed_holds_no_tensors_any_more() -> None:
    """Else nothing could be given back before the error is forgotten."""
    held = []

    def step() -> None:
        tensor = torch.ones(3)
        held.append(weakref.ref(tensor))
        raise MemoryError(tensor.shape)

    with pytest.raises(OutOfMemory) as caught, naming_shortage():
        step()
    gc.collect()

    assert caught.value.__cause__ is not None
    assert held[0]() is None
