"""Dynamic time warping of several matrices at once, diagonal by diagonal: the paths of whisper/timing.py.

whisper's own is compiled by numba when it is first called, which takes seconds in every process. Here each step
computes one diagonal of all matrices, whose cells depend on the two diagonals before only.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    Costs = NDArray[np.float32]

DIAGONAL, UP, LEFT = 0, 1, 2


def begins(matrices: Sequence[Costs]) -> list[NDArray[np.intp]]:
    """Return at which column the cheapest path through each matrix (rows, columns) enters each of its rows."""
    trace = _trace(_skewed(matrices))
    return [_entered(trace[:, number], *matrix.shape) for number, matrix in enumerate(matrices)]


def _skewed(matrices: Sequence[Costs]) -> Costs:
    """Return (diagonals, matrices, rows): cell (row, column) lies on the diagonal row + column."""
    rows = max(len(matrix) for matrix in matrices)
    columns = max(matrix.shape[1] for matrix in matrices)
    skewed = np.zeros((rows + columns - 1, len(matrices), rows), np.float32)
    for number, matrix in enumerate(matrices):
        for row, costs in enumerate(matrix):
            skewed[row : row + len(costs), number, row] = costs
    return skewed


def _trace(skewed: Costs) -> NDArray[np.uint8]:
    """Return which neighbour the path to each cell came from, in the same layout.

    A matrix that is smaller than its place is right nonetheless: no cell depends on one below or right of it.
    """
    trace = np.empty(skewed.shape, np.uint8)
    # the first column is what lies above row 0
    before = np.full((skewed.shape[1], skewed.shape[2] + 1), np.inf, np.float32)
    last, new = before.copy(), before.copy()
    before[:, 0] = 0.0
    for costs, steps in zip(skewed, trace, strict=True):
        diagonal, up, left = before[:, :-1], last[:, :-1], last[:, 1:]
        by_diagonal, by_up = (diagonal < up) & (diagonal < left), (up < diagonal) & (up < left)
        steps[:] = np.where(by_diagonal, DIAGONAL, np.where(by_up, UP, LEFT))
        new[:, 1:] = np.where(by_diagonal, diagonal, np.where(by_up, up, left)) + costs
        before[:, 0] = np.inf
        before, last, new = last, new, before
    return trace


def _entered(trace: NDArray[np.uint8], rows: int, columns: int) -> NDArray[np.intp]:
    """Walk back from the last cell of one matrix."""
    entered = np.zeros(rows, np.intp)
    row, column = rows - 1, columns - 1
    while row >= 0 and column >= 0:
        entered[row] = column
        step = trace[row + column, row]
        row -= step != LEFT
        column -= step != UP
    return entered
