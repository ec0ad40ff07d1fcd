"""One job on its way through the stage: decoded ahead, tracked, reported."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

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
from pipeline.stage.ahead import Ahead, Ended, Opened
from pipeline.stage.exact import ExactTrack
from pipeline.stage.track import Track
from pipeline.stage.transcribe.engine import SAMPLE_RATE

if TYPE_CHECKING:
    from pipeline.stage.cut import Clip
    from pipeline.stage.transcribe.engine import Engine

PROGRESS_EVERY_S = 2.0  # where no window ends: the position moves through silence too
Kind = Literal["transient", "permanent", "crash", "changed", "gone", "returned"]
_TRANSIENT = (UnreadableError, ReadFailedError, TooSlowError, OSError, MemoryError, RuntimeError)


class Flight:
    """A job that has been started."""

    def __init__(self, job: Job, ahead: Ahead) -> None:
        self.job = job
        self.ahead = ahead
        self.track: Track | ExactTrack | None = None
        self.ended: Ended | None = None
        self.seconds = 0.0  # of transcription
        self._opened: Opened | None = None
        self._said: tuple[float, float | None] = (0.0, None)
        self._said_at = float("-inf")

    @property
    def finished(self) -> bool:
        """Whether there is a result."""
        return self.ended is not None and (self.track is None or self.track.finished)

    def open(self, opened: Opened, engine: Engine) -> Track | ExactTrack:
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
        assert self.track, "Opened is posted before any clip"
        return self.track.feed(clip)

    def end(self, ended: Ended) -> None:
        """Know that all is decoded."""
        self.ended = ended
        if self.track:
            self.track.end()

    def close(self) -> None:
        """Stop decoding and remove what is on disk."""
        self.ahead.stop()
        if isinstance(self.track, ExactTrack):
            self.track.close()

    def progress(self, now: float) -> Progress | None:
        """Return what is new since the last time, if anything is."""
        if not self.track or not self._opened:
            return None
        fresh = self.track.harvest()
        news = (self._position(), self._opened.duration)
        if not fresh and (news == self._said or now - self._said_at < PROGRESS_EVERY_S):
            return None
        self._said, self._said_at = news, now
        return Progress(
            **named(self.job), windows=fresh, position=news[0], duration=news[1], language=self.track.language
        )

    def result(self, engine: Engine) -> Result:
        """Return the whole file."""
        assert self.ended, "asked only when finished"
        assert self._opened, "asked only when finished"
        assert self.track, "asked only when finished"
        windows = self.track.windows
        return Result(
            **named(self.job),
            windows=windows,
            language=self.track.language,
            duration=self._opened.duration,
            decoded=self.ended.samples / SAMPLE_RATE,
            size=self.job.size,
            mtime_ns=self.job.mtime_ns,
            sha256=self._opened.sha256,
            model=engine.model,
            model_sha256=engine.sha256,
            warnings=(*self.ended.warnings, *quality.file_warnings(windows)),
            timings={"decode": self.ended.seconds_taken, "transcribe": self.seconds},
        )

    def _position(self) -> float:
        assert self.track, "asked only once open"
        waiting = self.track.waiting_from
        return (self.ahead.settled if waiting is None else waiting) / SAMPLE_RATE


def named(job: Named) -> dict[str, int]:
    """Return the name of a job, as every message about it carries it."""
    return {"epoch": job.epoch, "token": job.token, "file_id": job.file_id}


def failure(job: Job, error: Exception) -> Fail:
    """Return the Fail that an error means for a job."""
    code = error.code if isinstance(error, PipelineError) else "stage"
    if isinstance(error, MemoryError):
        code = "memory"
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
