"""Keys and values of the windows being decoded."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

import torch
from torch.nn.functional import pad

from pipeline.stage.transcribe.attention import attend
from pipeline.stage.transcribe.rules import NEVER
from pipeline.stage.transcribe.transfer import sent

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    Pair = tuple[torch.Tensor, torch.Tensor]  # keys and values

STEP = 500  # positions: windows share a cache whose rooms for what they heard are as long, in these steps
ROOM = 64  # entries: room is made in these steps, as products with a part of a tensor would copy that part
WIDE = 192  # and from here on in these: MKL sums more float32 numbers in parts, which lie elsewhere in 256 and 320


class Cache:
    """What windows heard and said; windows join at the end and leave from anywhere.

    The hypotheses of a window share both what was heard (never repeated) and what was said: each step adds an entry
    a hypothesis, and `past` says which entries are whose. So beams change places by exchanging rows of `past`,
    the prompt is kept once, and what no hypothesis remembers is cleared away. A window's entries lie in the order
    and at the places that its own history gives them, so that no sum depends on the company.

    A steady cache stays where it is as long as it can, for steps that are captured at their addresses: there is more
    room than is used, of which products take a part.
    """

    rows: ClassVar[tuple[str, ...]] = ("past", "_first", "_audible")

    def __init__(
        self, heard: Iterable[Pair], layers: int, lengths: list[int], room: int, tokens: int
    ) -> None:
        """Begin with what windows heard, layer by layer, and the room for so many first tokens of each.

        What was heard comes as (1, heads, positions, width), one window after another, so many positions of each;
        there is room for so many.
        """
        # (layers, room for windows, heads, room, width)
        self.heard_keys, self.heard_values = _apart(heard, layers, lengths, room)
        _, self.windows, heads, _, width = self.heard_keys.shape
        self._device = self.heard_keys.device
        self.is_steady = False
        # what was said: (layers, room for windows, heads, room for entries, width)
        self.keys = self.heard_keys.new_zeros(layers, self.windows, heads, 0, width)
        self.values = torch.zeros_like(self.keys)
        # what is added to the scores: (windows, hypotheses, room for entries)
        self.past = self.keys.new_empty(self.windows, 1, 0)
        self.used = [0] * self.windows  # entries of each window
        self._first = self.past.new_empty(self.windows, dtype=torch.long)  # the next one of each
        self._contexts = lengths
        places = torch.arange(room, device=self._device)
        # what is added to the scores of the sound: (windows, room)
        self._audible = self._shown(places < sent(lengths, self._device)[:, None])
        self._clear_at = [0] * self.windows  # as many entries as are worth clearing
        self._make_room(tokens)
        columns = torch.arange(self.past.shape[-1], device=self._device)
        self._at = columns[:tokens].expand(self.windows, -1)  # the entries to be filled
        self.past = self._shown(columns <= columns[:tokens, None]).expand(self.windows, -1, -1)

    def begun(self, lengths: Sequence[int]) -> None:
        """Let what comes see these first tokens, and not the padding after them."""
        columns = torch.arange(self.past.shape[-1], device=self._device)
        self._first = sent(lengths, self._device)
        self.past = self._shown(columns < self._first[:, None])[:, None]
        self.used = list(lengths)
        self._clear_at = [length + ROOM for length in lengths]

    def settle(self) -> None:
        """Have room for an entry of each hypothesis."""
        hypotheses = self.past.shape[1]
        if self._clear(hypotheses):
            self._first = sent(self.used, self._device)
        self._make_room(max(self.used) + hypotheses)
        self.used = [used + hypotheses for used in self.used]

    def extend(self) -> None:
        """Make an entry for each hypothesis, which sees it; settle() comes first."""
        hypotheses = self.past.shape[1]
        self._at = self._first[:, None] + torch.arange(hypotheses, device=self._device)
        self._first = self._first + hypotheses
        self.past.scatter_(2, self._at[..., None], 0.0)

    def follow(self, sources: torch.Tensor) -> None:
        """Let hypotheses see the past of those that they grew from: (windows, hypotheses)."""
        self.past = self.past.gather(1, sources[..., None].expand(-1, -1, self.past.shape[-1]))

    def reserve(self, most: int) -> int:
        """Return how many rows a captured step has, for which there is room then."""
        self._make_seats(self.windows, most)
        return rows_for(self.windows, most)

    @property
    def places(self) -> object:
        """What a captured step depends on: where keys and values lie, and how."""
        return tuple((each.data_ptr(), each.shape) for each in self._tensors())

    def sound(self, window: int) -> tuple[torch.Tensor, torch.Tensor]:
        """Return copies of a window's keys and values of the sound: (layers, heads, positions, width)."""
        heard = (slice(None), window, slice(None), slice(self._contexts[window]))
        return self.heard_keys[heard].clone(), self.heard_values[heard].clone()

    def recall(self, layer: int, query: torch.Tensor, key: torch.Tensor, value: torch.Tensor) -> torch.Tensor:
        """Return what new entries find among those they see, themselves included; see Memory."""
        part = (layer, slice(len(query)), slice(None), slice(self.past.shape[-1]))
        keys, values = self.keys[part], self.values[part]
        rows = torch.arange(len(query), device=self._device)[:, None]
        keys[rows, :, self._at] = key.transpose(1, 2)
        values[rows, :, self._at] = value.transpose(1, 2)
        return attend(query, keys, values, self.past[:, None])

    def hear(self, layer: int, query: torch.Tensor) -> torch.Tensor:
        """Return what new entries hear; see Memory."""
        heard = self.heard_keys[layer, : len(query)], self.heard_values[layer, : len(query)]
        return attend(query, *heard, self._audible[:, None, None])

    def join(self, other: Cache, most: int) -> None:
        """Make ready for the windows of another cache, whose rows are joined then; there will be so many at most."""
        room = max(self.past.shape[-1], other.past.shape[-1])
        self._make_room(room)
        other._make_room(room)
        self._make_seats(self.windows + other.windows, most)
        seats = slice(self.windows, self.windows + other.windows)
        for mine, theirs in zip(self._tensors(), other._tensors(), strict=True):
            part = slice(min(mine.shape[3], theirs.shape[3]))
            mine[:, seats, :, part] = theirs[:, : other.windows, :, part]
        self._contexts += other._contexts
        self.used += other.used
        self._clear_at += other._clear_at
        self.windows += other.windows

    def keep(self, order: Sequence[int]) -> None:
        """Keep these windows, of which the rows are kept already; those that stay in their place cost nothing."""
        for into, window in enumerate(order):
            if into != window:
                for each in self._tensors():
                    each[:, into] = each[:, window]
        self._contexts = [self._contexts[window] for window in order]
        self.used = [self.used[window] for window in order]
        self._clear_at = [self._clear_at[window] for window in order]
        self.windows = len(order)

    def _tensors(self) -> tuple[torch.Tensor, ...]:
        return self.heard_keys, self.heard_values, self.keys, self.values

    def _shown(self, seen: torch.Tensor) -> torch.Tensor:
        return torch.zeros(seen.shape, dtype=self.keys.dtype, device=self._device).masked_fill(~seen, NEVER)

    def _make_room(self, entries: int) -> None:
        """Have room for so many entries a window, and not for many more; where steady, what there was stays."""
        step = ROOM if entries <= WIDE else WIDE
        room = -(-entries // step) * step
        if room != self.past.shape[-1]:
            self.past = pad(self.past, (0, room - self.past.shape[-1]), value=NEVER)
        kept = self.keys.shape[3]
        if self.is_steady:
            room = kept if kept >= room else max(room, 2 * kept, WIDE)
        if room != kept:
            self.keys, self.values = (pad(each, (0, 0, 0, room - kept)) for each in (self.keys, self.values))

    def _make_seats(self, windows: int, most: int) -> None:
        """Have room for so many windows: for twice as many as before, so that it is seldom made.

        On a CPU for all there will be: pages that nobody has written to are no memory.
        """
        seats, wanted = self.keys.shape[1], windows
        if self.is_steady or (windows > seats and self._device.type != "cpu"):
            wanted = rows_for(windows, most)
        elif windows > seats:
            wanted = max(windows, most)
        if wanted > seats:
            self.heard_keys, self.heard_values, self.keys, self.values = (
                self._seated(each, wanted) for each in self._tensors()
            )

    def _seated(self, each: torch.Tensor, seats: int) -> torch.Tensor:
        layers, _, *sizes = each.shape
        # a row that is nobody's is computed with too, and must hold numbers
        made = (each.new_zeros if self.is_steady else each.new_empty)(layers, seats, *sizes)
        made[:, : self.windows] = each[:, : self.windows]
        return made

    def _clear(self, coming: int) -> bool:
        """Clear away what no hypothesis sees, in windows where enough has gathered; tell whether there were any."""
        has_cleared = False
        for window, used in enumerate(self.used):
            if used + coming <= self._clear_at[window]:
                continue
            seen = (self.past[window, :, :used] == 0).any(0).nonzero()[:, 0]
            left = len(seen)
            for each in (self.keys, self.values):
                each[:, window, :, :left] = each[:, window].index_select(2, seen)
            self.past[window, :, :left] = self.past[window].index_select(1, seen)
            self.past[window, :, left:] = NEVER
            self.used[window], self._clear_at[window] = left, left + ROOM
            has_cleared = True
        return has_cleared


def rows_for(windows: int, most: int) -> int:
    """Return a number of rows that so many windows fit in: a power of two, or as many as there may be."""
    return max(windows, min(1 << (windows - 1).bit_length(), most))


def room_for(positions: int) -> int:
    """Return the room for what a window heard: products of as many numbers sum them in one order."""
    return -(-positions // STEP) * STEP


def _apart(heard: Iterable[Pair], layers: int, lengths: list[int], room: int) -> Pair:
    """Return (layers, windows, heads, room, width) of windows that come one after another in each layer.

    One layer is taken at a time, so that what was heard never lies in memory twice.
    """
    made: list[torch.Tensor] = []
    for layer, pair in enumerate(heard):
        _, heads, _, width = pair[0].shape
        made = made or [each.new_zeros(layers, len(lengths), heads, room, width) for each in pair]
        for into, windows in zip(made, pair, strict=True):
            for window, each in enumerate(torch.split(windows[0], lengths, 1)):
                into[layer, window, :, : lengths[window]] = each
    keys, values = made
    return keys, values
