"""The steps of a batch in fixed shapes at fixed addresses, so that they can be captured.

Windows are rounded up to a few numbers of rows. Rows that are nobody's repeat the first window's tensors, so that every
index in them is in bounds; what becomes of them is never looked at.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    import torch

    from pipeline.stage.transcribe.graphs import Graphs, Work
    from pipeline.stage.transcribe.rows import Rowed

MOST = 32  # frames of a batch: shapes that come again are few


class Frames:
    """A frame for each shape that a batch's tensors have had; all share one pool."""

    def __init__(self, graphs: Graphs) -> None:
        self.most = graphs.most
        self._graphs = graphs
        self._frames: dict[object, Frame] = {}
        self._around: object = None
        self._pool: Any = None

    def run(self, owners: Sequence[Rowed], rows: int, around: object, work: Callable[[], Any]) -> Any:
        """Do this work over the owners' tensors, in so many rows; return what it returns, in as many.

        The work reads and writes nothing else but what `around` stands for: all is begun anew when that changes.
        """
        places = [(owner, name) for owner in owners for name in owner.rows]
        tensors = [getattr(owner, name) for owner, name in places]
        shape = rows, *(each.shape[1:] for each in tensors)
        if around != self._around or (shape not in self._frames and len(self._frames) == MOST):
            self._frames, self._pool, self._around = {}, self._graphs.pool(), around
        if shape not in self._frames:
            self._frames[shape] = Frame(tensors, rows)
        return self._frames[shape].run(places, work, self._graphs, self._pool)


class Frame:
    """One shape: tensors that stay where they are, and what was captured over them."""

    def __init__(self, tensors: Sequence[torch.Tensor], rows: int) -> None:
        self._kept = [each.new_zeros(rows, *each.shape[1:]) for each in tensors]
        self._shown = self._kept  # the part of them that the owners were given
        self._made: Any = None
        self._again: Work | None = None
        self._has_run = False

    def run(
        self, places: Sequence[tuple[Rowed, str]], work: Callable[[], Any], graphs: Graphs, pool: Any
    ) -> Any:
        """Do the work: as it is the first time, then as it was captured, if it could be."""
        windows = self._take_in(places)

        def step() -> None:
            self._step(places, work)

        if self._has_run and self._again is None:
            self._again = graphs.captured(step, pool)
        if self._again is None:
            graphs.warm(step)
        else:
            self._again()
        self._has_run = True
        self._show(places, windows)
        return self._made

    def _step(self, places: Sequence[tuple[Rowed, str]], work: Callable[[], Any]) -> None:
        """Do the work over the kept tensors, and keep there what it replaced them by."""
        _give(places, self._kept)
        self._made = work()
        for kept, (owner, name) in zip(self._kept, places, strict=True):
            if (new := getattr(owner, name)) is not kept:
                kept.copy_(new)

    def _take_in(self, places: Sequence[tuple[Rowed, str]]) -> int:
        """Copy what others have replaced since the last step; return the number of windows."""
        windows = 0
        for kept, shown, (owner, name) in zip(self._kept, self._shown, places, strict=True):
            tensor = getattr(owner, name)
            windows = len(tensor)
            if tensor is not shown:
                kept[:windows] = tensor
                kept[windows:] = tensor[0]
        return windows

    def _show(self, places: Sequence[tuple[Rowed, str]], windows: int) -> None:
        if len(self._shown[0]) != windows:
            self._shown = [kept[:windows] for kept in self._kept]
        _give(places, self._shown)


def _give(places: Sequence[tuple[Rowed, str]], tensors: Sequence[torch.Tensor]) -> None:
    for (owner, name), tensor in zip(places, tensors, strict=True):
        setattr(owner, name, tensor)
