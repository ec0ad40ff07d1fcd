"""Tensors with a row for each window of a batch: they join, are kept and are captured all alike."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar, Protocol, TypeVar

import torch

if TYPE_CHECKING:
    from collections.abc import Sequence


class Rowed(Protocol):
    """What has such tensors, which a step reads and replaces."""

    rows: ClassVar[tuple[str, ...]]  # their names


T = TypeVar("T", bound=Rowed)


def join(mine: Sequence[T], theirs: Sequence[T]) -> None:
    """Add the rows of others to those of their like; the rest of their shapes is the same."""
    for owner, other in zip(mine, theirs, strict=True):
        for name in owner.rows:
            setattr(owner, name, torch.cat([getattr(owner, name), getattr(other, name)]))


def keep(owners: Sequence[Rowed], order: torch.Tensor) -> None:
    """Keep these rows, in this order."""
    for owner in owners:
        for name in owner.rows:
            setattr(owner, name, getattr(owner, name).index_select(0, order))
