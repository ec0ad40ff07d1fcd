"""Windows on their way through the encoder: on a CPU beside the decoder, each on a core of its own.

The encoder computes while the decoder, in many small steps, waits for memory. On two cores `base` takes a fifth less
time with one of each side by side than with both cores for the one and then for the other.
"""

from __future__ import annotations

import time
import weakref
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from typing import TYPE_CHECKING, NamedTuple

import torch

from pipeline.stage.transcribe import mel
from pipeline.stage.transcribe.shortage import naming_shortage

if TYPE_CHECKING:
    from collections.abc import Collection, Sequence

    from pipeline.stage.transcribe.encoder import Encoder
    from pipeline.stage.transcribe.engine import Request

AHEAD = 3  # windows for each core that encodes: it does not wait until the decoder takes them


class Sound(NamedTuple):
    """What the encoder makes of a window, (positions, width) each."""

    heard: torch.Tensor  # by the decoder
    whole: (
        torch.Tensor
    )  # all 30 s, which the language is detected on: in exact mode the decoder may not be shown them


class Encoded(NamedTuple):
    """The sound of some windows, and in how many seconds it was made."""

    sounds: list[Sound]
    seconds: float


class Encoding:
    """Takes windows in and gives their sound out, which it keeps for as long as somebody holds their samples.

    Half of the cores encode while the decoder runs on the others. On a GPU, and on a single core, windows are encoded
    as they come in. On a CPU each is encoded by itself on one core, so that no bit depends on its company.
    """

    def __init__(self, encoder: Encoder, n_mels: int, device: torch.device) -> None:
        self._encoder, self._n_mels, self._device = encoder, n_mels, device
        on_cpu = device.type == "cpu"
        self.cores = torch.get_num_threads() // 2 if on_cpu else 0
        self._share = (
            1 / torch.get_num_threads() if on_cpu else 1.0
        )  # of the machine that a window is encoded on
        self._pool = ThreadPoolExecutor(max(1, self.cores), "encode", torch.set_num_threads, (1,))
        self._under_way: dict[int, tuple[Request, Future[Encoded]]] = {}  # by the id of the request
        self._ready: list[tuple[Request, Sound]] = []
        self._kept: dict[int, Sound] = {}  # by the id of a window's samples
        self.seconds = 0.0  # that encoding has taken, as if on all cores

    def __len__(self) -> int:
        """Return how many windows have come in and not gone out."""
        return len(self._under_way) + len(self._ready)

    @property
    def at_work(self) -> bool:
        """Whether cores are encoding."""
        return not all(future.done() for _, future in self._under_way.values())

    def add(self, requests: Sequence[Request]) -> None:
        """Take windows in."""
        known = [(request, self._remembered(request)) for request in requests]
        self._ready += [(request, sound) for request, sound in known if sound]
        new = [request for request, sound in known if not sound]
        if self.cores:
            tasks = [(request, self._pool.submit(self._alone, request)) for request in new]
            self._under_way |= {id(request): (request, task) for request, task in tasks}
        elif new:
            self._keep(new, self._together(new))

    def take(self, room: int, *, hungry: bool, idle: bool) -> list[tuple[Request, Sound]]:
        """Give out at most so many windows, in the order in which they came in.

        Where none is ready the caller helps if its decoder is hungry, and waits if it is idle.
        """
        self._collect()
        if not self._ready and hungry and not self._help() and idle:
            wait([future for _, future in self._under_way.values()], return_when=FIRST_COMPLETED)
        self._collect()
        given, self._ready = self._ready[:room], self._ready[room:]
        return given

    def drop(self, requests: Collection[int]) -> None:
        """Let these go (by the id of their request)."""
        for at in self._under_way.keys() & requests:
            self._under_way.pop(at)[1].cancel()
        self._ready = [each for each in self._ready if id(each[0]) not in requests]

    def clear(self) -> None:
        """Let all go, with what is kept."""
        futures = [future for _, future in self._under_way.values()]
        self.drop(list(self._under_way))
        wait([future for future in futures if not future.cancelled()])
        self._ready.clear()
        self._kept.clear()

    def close(self) -> None:
        """End the threads."""
        self.clear()
        self._pool.shutdown()

    def _collect(self) -> None:
        """Make ready what is encoded; raise what that failed with."""
        for at, (request, future) in list(self._under_way.items()):
            if future.done():
                del self._under_way[at]
                self._keep([request], future.result())

    def _help(self) -> bool:
        """Encode the first window that no core has begun; tell whether there was one."""
        for at, (request, future) in list(self._under_way.items()):
            if future.cancel():
                del self._under_way[at]
                torch.set_num_threads(1)
                self._keep([request], self._alone(request))
                return True
        return False

    def _alone(self, request: Request) -> Encoded:
        with torch.inference_mode(), naming_shortage():
            return self._together([request])

    def _together(self, requests: Sequence[Request]) -> Encoded:
        began = time.monotonic()
        mels = mel.log_mels(requests, self._n_mels, self._device)
        heard = self._encoder(mel.blanked(mels, requests), list(map(mel.context, requests)))
        sounds = [Sound(each, each) for each in heard]
        exact = [row for row, request in enumerate(requests) if _is_heard_whole(request)]
        if exact:
            whole = self._encoder(mels[exact], [mel.POSITIONS] * len(exact))
            for row, each in zip(exact, whole, strict=True):
                sounds[row] = Sound(heard[row], each)
        return Encoded(sounds, time.monotonic() - began)

    def _keep(self, requests: Sequence[Request], encoded: Encoded) -> None:
        """Make these ready, and keep them for other temperatures."""
        self.seconds += encoded.seconds * self._share
        for request, sound in zip(requests, encoded.sounds, strict=True):
            self._ready.append((request, sound))
            self._kept[id(request.pcm)] = Sound(sound.heard, sound.heard)
            weakref.finalize(request.pcm, self._kept.pop, id(request.pcm), None)

    def _remembered(self, request: Request) -> Sound | None:
        return None if _is_heard_whole(request) else self._kept.get(id(request.pcm))


def _is_heard_whole(request: Request) -> bool:
    """Tell whether a language is to be detected on sound that the decoder may not be shown."""
    return request.language is None and request.frames is not None
