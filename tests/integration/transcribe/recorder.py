"""What a CUDA graph does, done on a CPU: kernels are recorded with their tensors, and launched again over these."""

from __future__ import annotations

import weakref
from collections.abc import Callable
from typing import Any

import torch
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

aten = torch.ops.aten
WAITS = {aten._local_scalar_dense.default, aten.nonzero.default, aten.masked_select.default}
COPIES = {
    aten.lift_fresh.default,
    aten.scalar_tensor.default,
}  # from the host: each where() with a number makes one
GARBAGE = (
    10**12
)  # what a capture leaves in tensors: an index of it is out of bounds, and a sum with it is far off


class Recording(TorchDispatchMode):
    """Kernels in the order of their launch."""

    def __init__(self) -> None:
        super().__init__()
        self._launches: list[tuple[Any, Any, Any, list[torch.Tensor]]] = []
        self._made: set[int] = set()
        self._changed: list[tuple[torch.Tensor, torch.Tensor]] = []

    def __torch_dispatch__(self, func: Any, _types: Any, args: Any = (), kwargs: Any = None) -> Any:
        """Launch a kernel, as nothing can be recorded without a result."""
        kwargs = kwargs or {}
        if func in WAITS | COPIES:
            raise RuntimeError(f"{func}: operation not permitted when stream is capturing")
        for argument, given in zip(func._schema.arguments, args, strict=False):
            is_written = argument.alias_info is not None and argument.alias_info.is_write
            if is_written and at(given) not in self._made:
                self._changed.append((given, given.clone()))
        result = func(*args, **kwargs)
        known = {at(each) for each in tensors((args, kwargs))}
        new = [each for each in tensors(result) if at(each) not in known]
        self._made |= {at(each) for each in new}
        self._launches.append((func, args, kwargs, new))
        return result

    def take_back(self) -> None:
        """Leave everything as if nothing had been computed."""
        for changed, before in reversed(self._changed):
            changed.copy_(before)
        for *_, made in self._launches:
            for each in made:
                each.fill_(each.dtype == torch.bool or min(GARBAGE, largest(each.dtype)))

    def again(self) -> None:
        """Launch all of them, over the same tensors."""
        for func, args, kwargs, made in self._launches:
            known = {at(each) for each in tensors((args, kwargs))}
            new = [each for each in tensors(func(*args, **kwargs)) if at(each) not in known]
            for into, each in zip(made, new, strict=True):
                into.copy_(each)


class Recorder:
    """A device that records; `fails` is what it raises instead."""

    def __init__(self, fails: Exception | None = None) -> None:
        self._fails = fails
        self.captures = self.replays = 0
        self.living: weakref.WeakSet[Recording] = weakref.WeakSet()

    def pool(self) -> list[weakref.ref[Recording]]:
        return []

    def warm(self, work: Callable[[], None]) -> None:
        work()

    def capture(self, work: Callable[[], None], pool: Any) -> Callable[[], None]:
        """Record; as torch, refuse a pool whose graphs are all gone."""
        assert not pool or any(graph() for graph in pool)
        self.captures += 1
        if self._fails:
            raise self._fails
        recording = Recording()
        with recording:
            work()
        recording.take_back()
        pool.append(weakref.ref(recording))
        self.living.add(recording)

        def replay() -> None:
            self.replays += 1
            recording.again()

        return replay


def at(tensor: torch.Tensor) -> int:
    return tensor.untyped_storage().data_ptr()


def tensors(tree: Any) -> list[torch.Tensor]:
    return [leaf for leaf in tree_leaves(tree) if isinstance(leaf, torch.Tensor)]


def largest(dtype: torch.dtype) -> float:
    return (torch.finfo if dtype.is_floating_point else torch.iinfo)(dtype).max
