"""Decoding ahead of the model: one thread a file, few at work at once, their clips in memory bounded."""

from __future__ import annotations

import logging
import threading
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from pipeline.errors import MediaError, PipelineError
from pipeline.stage.decode.decoder import Decoder
from pipeline.stage.decode.source import Source
from pipeline.stage.pack.cut import Clip, Cutter, parse_clips
from pipeline.stage.transcribe.engine import WINDOW_SAMPLES
from pipeline.tasks import display

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from numpy.typing import NDArray

    from pipeline.relay.messages import Job
    from pipeline.stage.decode.lanes import Lanes
    from pipeline.stage.transcribe.engine import Voice
    from pipeline.stage.work.blame import Blame

logger = logging.getLogger(__name__)

TURN_S = 1.0  # in a lane, once opened: a newcomer must not wait for the end of hours of silence


@dataclass(frozen=True, slots=True, kw_only=True)
class Opened:
    """The file is media; its declared duration in seconds, where known."""

    sha256: str
    duration: float | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Ended:
    """All of the file is decoded, and it is still the same file."""

    samples: int
    seconds_taken: float
    warnings: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Failed:
    """The file cannot be decoded."""

    error: PipelineError


Event = Opened | Clip | Ended | Failed


class Budget:
    """How many clips may lie in memory, over all files; each file may always hold one."""

    def __init__(self, capacity: int) -> None:
        self.capacity = capacity
        self._held: dict[int, int] = {}
        self._changed = threading.Condition()

    def take_at_once(self, owner: int, stopped: Callable[[], bool]) -> bool:
        """Take room for one clip if there is some; tell whether there is nothing to wait for."""
        with self._changed:
            return self._take(owner, stopped)

    def take(self, owner: int, stopped: Callable[[], bool]) -> None:
        """Wait for room for one clip of this owner, or until `stopped()`."""
        with self._changed:
            self._changed.wait_for(lambda: self._take(owner, stopped))

    def give(self, owner: int, clips: int = 1) -> None:
        """Return the room of clips that are finished."""
        with self._changed:
            self._held[owner] = max(0, self._held.get(owner, 0) - clips)
            self._changed.notify_all()

    def drop(self, owner: int) -> None:
        """Return all room of an owner that left."""
        with self._changed:
            self._held.pop(owner, None)
            self._changed.notify_all()

    def _take(self, owner: int, stopped: Callable[[], bool]) -> bool:
        if stopped():
            return True  # without room: nobody would give it back
        if self._held.get(owner) and sum(self._held.values()) >= self.capacity:
            return False
        self._held[owner] = self._held.get(owner, 0) + 1
        return True


class Ahead:
    """Opens, hashes, decodes and cuts one job's file in a thread; posts what it finds, Ended or Failed last."""

    def __init__(  # noqa: PLR0913 - what a thread needs, by name
        self,
        job: Job,
        *,
        root: bytes,
        make_voice: Callable[[], Voice] | None,
        budget: Budget,
        lanes: Lanes,
        blame: Blame,
        post: Callable[[Event], None],
    ) -> None:
        self._job = job
        self._root = root
        self._make_voice = make_voice
        self._budget = budget
        self._lanes = lanes  # held while decoding, let go while waiting for room
        self._blame = blame
        self._post = post
        self._stopped = threading.Event()
        self._thread = threading.Thread(target=self._run, name=f"decode-{job.file_id}", daemon=True)
        self.settled = 0  # samples before which no clip is to come but those posted
        self.posted = 0  # clips
        self.working = True  # more clips may come without anybody waiting for room

    def start(self) -> None:
        """Start the thread."""
        self._thread.start()

    def stop(self) -> None:
        """Stop soon, without another word."""
        self._stopped.set()
        self._budget.drop(self._job.file_id)

    def _run(self) -> None:
        try:
            with self._lanes, self._blame.decoding(self._job.file_id):
                event: Event = self._decode()
        except PipelineError as error:
            event = Failed(error)
        except Exception as error:  # the fence around one file: it fails alone, with a trace in the log
            about = {"file_id": self._job.file_id}
            logger.exception("%s: decoding failed", display(self._job.path), extra=about)
            event = Failed(MediaError(f"{type(error).__name__} while decoding"))
        self.working = False
        self._say(event)

    def _decode(self) -> Ended:
        began, job = time.monotonic(), self._job
        clips = parse_clips(job.options.clip_timestamps)
        with Source(self._root, job.path) as source:
            source.expect(job.size, job.mtime_ns)
            with Decoder(source) as decoder:
                waited = self._stream(source, decoder, clips)
                if not self._stopped.is_set():
                    source.confirm()
                taken = time.monotonic() - began - waited
                warnings = tuple(decoder.warnings())
                return Ended(samples=decoder.samples, seconds_taken=taken, warnings=warnings)

    def _stream(self, source: Source, decoder: Decoder, clips: list[tuple[float, float]]) -> float:
        """Post Opened and every clip; return for how many seconds there was no room."""
        waited, opened, since = 0.0, False, 0.0
        for clip in self._clips(decoder, clips):
            if not opened:  # hashed only once FFmpeg has found media in it
                self._say(Opened(sha256=source.sha256(self._stopped.is_set), duration=decoder.duration))
                opened, since = True, time.monotonic()
            if self._lanes.wanted and time.monotonic() - since > TURN_S:
                waited += self._out_of_lane(lambda: None)
                since = time.monotonic()
            if clip is not None:
                waited += self._wait_for_room()
                self.posted += 1
                self._say(clip)
            if self._stopped.is_set():
                break
        return waited

    def _clips(self, decoder: Decoder, clips: list[tuple[float, float]]) -> Iterator[Clip | None]:
        """Yield each clip, and None for each block without one."""
        if self._job.options.exact:
            yield from _stretches(decoder)
            return
        cutter = Cutter(self._make_voice() if self._make_voice else None, clips)
        for block in decoder:
            yield None
            yield from cutter.feed(block)
            self.settled = cutter.settled
        yield from cutter.finish()

    def _wait_for_room(self) -> float:
        """Take room for a clip; where there is some its decoding goes on, without a turn of the others first."""
        if self._budget.take_at_once(self._job.file_id, self._stopped.is_set):
            return 0.0
        self.working = False
        waited = self._out_of_lane(lambda: self._budget.take(self._job.file_id, self._stopped.is_set))
        self.working = True
        return waited

    def _out_of_lane(self, wait: Callable[[], None]) -> float:
        """Let others decode meanwhile; return for how many seconds."""
        began = time.monotonic()
        with self._blame.waiting(self._job.file_id):
            self._lanes.release()
            try:
                wait()
            finally:
                self._lanes.acquire()
        return time.monotonic() - began

    def _say(self, event: Event) -> None:
        if not self._stopped.is_set():
            self._post(event)


def _stretches(decoder: Decoder) -> Iterator[Clip | None]:
    """Cut a file into pieces of 30 s for the spool of exact mode."""
    held: list[NDArray[np.int16]] = []
    at = 0
    for block in decoder:
        yield None
        held.append(block)
        if sum(map(len, held)) >= WINDOW_SAMPLES:
            clip = Clip(at, np.concatenate(held))
            held, at = [], clip.end
            yield clip
    if held:
        yield Clip(at, np.concatenate(held))
