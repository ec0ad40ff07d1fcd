"""The windows that an engine decodes now: a batch for each kind of search."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from pipeline.stage.transcribe.decoding import Batch, kind

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator, Sequence

    import torch
    from whisper.tokenizer import Tokenizer

    from pipeline.stage.transcribe.decoder import Decoder
    from pipeline.stage.transcribe.decoding import Decoded
    from pipeline.stage.transcribe.engine import Request
    from pipeline.stage.transcribe.graphs import Graphs


FEW = 4  # windows that begin at once: what they heard lies in memory twice until they have joined


class Seat(NamedTuple):
    """A window among those that run."""

    request: Request
    language: str
    tokenizer: Tokenizer


class Running:
    """Windows join those of their kind and leave when they end; `len` counts them."""

    def __init__(self, decoder: Decoder, slots: int, graphs: Graphs | None = None) -> None:
        self._decoder, self._slots, self._graphs = decoder, slots, graphs
        self._seats: dict[int, Seat] = {}  # by the id of the request, in the order of admission
        self._batches: dict[object, Batch] = {}  # by kind

    def __len__(self) -> int:
        return len(self._seats)

    def join(self, seats: Sequence[Seat], features: Sequence[torch.Tensor]) -> None:
        """Let windows join, a few of a kind at a time; where one fails, none does."""
        joining = {id(seat.request): seat for seat in seats}
        for alike, rows in _few_of_a_kind(seats):
            try:
                batch = self._begin(seats, features, rows)
            except Exception:
                self.drop(joining)  # those that have joined already
                raise
            self._take_in(alike, batch)
        self._seats |= joining

    def _take_in(self, alike: object, batch: Batch) -> None:
        if alike in self._batches:
            self._batches[alike].join(batch, self._slots)
        else:
            self._batches[alike] = batch

    def step(self) -> list[tuple[Seat, Decoded]]:
        """Add a token everywhere; return the windows that ended, in the order of admission."""
        ended: dict[int, Decoded] = {}
        for batch in filter(len, self._batches.values()):
            batch.step()
            ended |= {id(request): decoded for request, decoded in batch.leave()}
        self._close_empty()
        return [(self._seats.pop(at), ended[at]) for at in list(self._seats) if at in ended]

    def drop(self, requests: Collection[int]) -> None:
        """Let these windows go (by the id of their request) as they are."""
        for batch in self._batches.values():
            batch.drop(requests)
        self._close_empty()
        self._seats = {at: seat for at, seat in self._seats.items() if at not in requests}

    def clear(self) -> None:
        """Let all go."""
        self._seats.clear()
        self._batches.clear()

    def _begin(self, seats: Sequence[Seat], features: Sequence[torch.Tensor], rows: list[int]) -> Batch:
        chosen = [seats[row] for row in rows]
        requests, tokenizers = [seat.request for seat in chosen], [seat.tokenizer for seat in chosen]
        return Batch(self._decoder, [features[row] for row in rows], requests, tokenizers, self._graphs)

    def _close_empty(self) -> None:
        """Let empty batches go; where steps are captured all but one, so that they need not be captured again."""
        empty = [alike for alike, batch in self._batches.items() if not len(batch)]
        for alike in empty[:-1] if self._graphs else empty:
            del self._batches[alike]


def _few_of_a_kind(seats: Sequence[Seat]) -> Iterator[tuple[object, list[int]]]:
    kinds: dict[object, list[int]] = {}
    for row, seat in enumerate(seats):
        kinds.setdefault(kind(seat.request), []).append(row)
    for alike, rows in kinds.items():
        for first in range(0, len(rows), FEW):
            yield alike, rows[first : first + FEW]
