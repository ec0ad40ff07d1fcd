"""One job on its way through the stage: decoded ahead, tracked, reported."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal, TypeVar

from pipeline.errors import (
    ChangedError,
    GoneError,
    PipelineError,
    ReadFailedError,
    TooSlowError,
    UnreadableError,
)
from pipeline.relay.messages import Fail, Job, Named, Progress, Result
from pipeline.stage import quality
from pipeline.stage.pack.exact import ExactTrack
from pipeline.stage.pack.thresholds import temperatures
from pipeline.stage.pack.track import Track
from pipeline.stage.transcribe.engine import SAMPLE_RATE

if TYPE_CHECKING:
    from pipeline.stage.decode.ahead import Ahead, Ended, Opened
    from pipeline.stage.pack.cut import Clip
    from pipeline.stage.pack.track import Cursor
    from pipeline.stage.transcribe.engine import Engine

SLOWEST_READ = 5_000_000  # bytes a second, from a busy share
SLOWEST_DECODE = 20  # times real time
PROGRESS_EVERY_S = 2.0  # where no window ends: the position moves through silence too
T = TypeVar("T")
Kind = Literal["transient", "permanent", "crash", "changed", "gone", "returned"]
_TRANSIENT = (UnreadableError, ReadFailedError, TooSlowError, OSError, MemoryError, RuntimeError)


class Flight:
    """A job that has been started."""

    def __init__(self, job: Job, ahead: Ahead) -> None:
        self.job = job
        self.ahead = ahead
        self.track: Cursor | None = None
        self.ended: Ended | None = None
        self.seconds = 0.0  # of transcription
        self.decoded: dict[int, float] = {}  # seconds of the clips in memory, by where they begin
        self._opened: Opened | None = None
        self._fed = 0  # clips
        self._fed_to = 0  # the sample where the last of them ends
        self._said: tuple[float, float | None] = (0.0, None)
        self._said_at = float("-inf")

    @property
    def expected(self) -> float:
        """In how many seconds its position should move, while no window can end: hashing, the first exact pass."""
        if self._opened is None:
            return self.job.size / SLOWEST_READ
        return (
            (self._opened.duration or 0.0) / SLOWEST_DECODE
            if self.job.options.exact and not self.ended
            else 0.0
        )

    @property
    def attempts(self) -> int:
        """How many times a window may be decoded before it ends."""
        return len(temperatures(self.job.options))

    @property
    def finished(self) -> bool:
        """Whether there is a result."""
        return self.ended is not None and (self.track is None or self.track.finished)

    @property
    def position(self) -> float:
        """The second up to which all is done."""
        waiting = self.track.waiting_from if self.track else 0
        if waiting is not None:
            return waiting / SAMPLE_RATE
        if self.ended:
            return self.ended.samples / SAMPLE_RATE
        settled = self.ahead.settled  # read first: a clip is counted before it is settled
        is_one_on_its_way = self.ahead.posted > self._fed
        return max(self._said[0], (self._fed_to if is_one_on_its_way else settled) / SAMPLE_RATE)

    @property
    def done(self) -> float:
        """Seconds of the file that are done, without those of earlier leases."""
        resumed = sum(window.end - window.start for window in self.job.resume) / SAMPLE_RATE
        return max(0.0, self.position - resumed)

    def open(self, opened: Opened, engine: Engine) -> Cursor:
        """Make the track, now that the file is known to be media."""
        self._opened = opened
        options, text = self.job.options, self.job.options.initial_prompt
        prompt = engine.prompt(text, options.language) if text else ()
        if options.exact:
            self.track = ExactTrack(
                options,
                sha256=opened.sha256,
                prompt=prompt,
                log_mel_max=engine.log_mel_max,
                resume=self.job.resume,
            )
        else:
            self.track = Track(options, sha256=opened.sha256, prompt=prompt, resume=self.job.resume)
        return self.track

    def feed(self, clip: Clip) -> bool:
        """Hand the next clip to the track; False when it does not stay in memory."""
        self._fed += 1
        self._fed_to = clip.end
        is_kept = _given(self.track).feed(clip)
        if is_kept:
            self.decoded[clip.start] = len(clip.pcm) / SAMPLE_RATE
        return is_kept

    def end(self, ended: Ended) -> None:
        """Know that all is decoded."""
        self.ended = ended
        if self.track:
            self.track.end()

    def close(self) -> None:
        """Stop decoding and remove what is on disk."""
        self.ahead.stop()
        if self.track:
            self.track.close()

    def progress(self, now: float) -> Progress | None:
        """Return what is new since the last time, if anything is."""
        if not self.track or not self._opened:
            return None
        fresh = self.track.harvest()
        news = (self.position, self._opened.duration)
        if not fresh and (news == self._said or now - self._said_at < PROGRESS_EVERY_S):
            return None
        self._said, self._said_at = news, now
        return Progress(
            **named(self.job),
            windows=fresh,
            position=news[0],
            duration=news[1],
            language=self.track.language,
        )

    def result(self, engine: Engine) -> Result:
        """Return the whole file."""
        ended, opened, track = _given(self.ended), _given(self._opened), _given(self.track)
        windows = track.windows
        return Result(
            **named(self.job),
            windows=windows,
            language=track.language,
            duration=opened.duration,
            decoded=ended.samples / SAMPLE_RATE,
            size=self.job.size,
            mtime_ns=self.job.mtime_ns,
            sha256=opened.sha256,
            model=engine.model,
            model_sha256=engine.sha256,
            warnings=(*ended.warnings, *quality.file_warnings(windows)),
            timings={"decode": ended.seconds_taken, "transcribe": self.seconds},
        )


def named(job: Named) -> dict[str, int]:
    """Return the name of a job, as every message about it carries it."""
    return {"epoch": job.epoch, "token": job.token, "file_id": job.file_id}


def _given(value: T | None) -> T:
    assert value is not None, "Opened comes first, Ended last"  # noqa: S101 - invariant
    return value


def failure(job: Job, error: Exception) -> Fail:
    """Return the Fail that an error means for a job."""
    code = error.code if isinstance(error, PipelineError) else "internal"
    if isinstance(error, MemoryError):
        code = "out_of_memory"
    text = str(error) if isinstance(error, PipelineError) else f"{type(error).__name__}: {error}"
    return Fail(**named(job), kind=_kind(error), code=code, message=text)


def returned(job: Job) -> Fail:
    """Return the Fail that gives a job back uncharged."""
    return Fail(**named(job), kind="returned", code="drained", message="given back: the stage is stopping")


def _kind(error: Exception) -> Kind:
    if isinstance(error, ChangedError):
        return "changed"
    if isinstance(error, GoneError):
        return "gone"
    if isinstance(error, PipelineError) and not isinstance(error, _TRANSIENT):
        return "permanent"
    return "transient"
