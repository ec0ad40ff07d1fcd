"""What is to be done with a media file, given what the queue knows of it and what lies beside it. Pure."""

from __future__ import annotations

from enum import Enum, auto
from typing import TYPE_CHECKING, Any

from pipeline.options import contradicts, text_key
from pipeline.tasks import OPEN, WAITING, FileState, Fingerprint, MediaFile

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from pipeline.outputs import Written


class Verdict(Enum):
    """What becomes of a file that was found."""

    KNOWN = auto()  # in the queue or done, in this version
    CHANGED = auto()  # waits in the queue in an earlier version
    HELD = auto()  # a stage has an earlier version and will notice
    NEW = auto()


def unasked(
    fingerprint: Fingerprint,
    rows: Sequence[MediaFile],
    *,
    is_over: Callable[[MediaFile], bool],
    is_done: Callable[[], bool],
) -> Verdict:
    """Judge a file that watcher or rescan found: what has ended stays so, unless its reason is over."""
    in_hand = [row for row in rows if row.state in OPEN]
    if any(row.fingerprint == fingerprint for row in in_hand):
        return Verdict.KNOWN
    if in_hand:
        return Verdict.CHANGED if any(row.state in WAITING for row in in_hand) else Verdict.HELD
    if any(row.fingerprint == fingerprint and not is_over(row) for row in rows):
        return Verdict.KNOWN
    return Verdict.KNOWN if is_done() else Verdict.NEW


def asked(
    fingerprint: Fingerprint,
    rows: Sequence[MediaFile],
    *,
    named: Mapping[str, Any],
    written: Written | None,
    force: bool,
) -> Verdict:
    """Judge a file that somebody asked for: done only if its transcript lies there and is what they named."""
    if any(row.state in WAITING for row in rows):
        return Verdict.KNOWN
    held = [row for row in rows if row.state in OPEN]
    if any(row.fingerprint == fingerprint and is_what_they_named(row, named) for row in held):
        return Verdict.KNOWN
    if held or force or written is None:
        return Verdict.NEW
    return Verdict.NEW if contradicts(named, written.options, written.language) else Verdict.KNOWN


def is_what_they_named(row: MediaFile, named: Mapping[str, Any]) -> bool:
    """Tell whether options named now leave the text of a row as it will be."""
    return text_key({**row.options, **named}) == row.text_key


def in_the_way(rows: Sequence[MediaFile], fingerprint: Fingerprint) -> list[int]:
    """Return the ended rows of this version, which a new row takes the place of."""
    ended = [row for row in rows if row.state not in OPEN and row.state is not FileState.SUPERSEDED]
    return [row.id for row in ended if row.fingerprint == fingerprint]
