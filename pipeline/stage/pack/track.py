"""Track: one file's cursor in batched mode. Its windows are independent, so that one long file fills a batch."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Protocol

from pipeline.relay.messages import Window
from pipeline.stage import quality
from pipeline.stage.pack.cut import Clip, to_float
from pipeline.stage.pack.thresholds import has_failed, is_silence, merit, repeats, seed, temperatures
from pipeline.stage.pack.timeline import located
from pipeline.stage.transcribe.engine import SAMPLE_RATE, Request

if TYPE_CHECKING:
    from collections.abc import Iterable

    import numpy as np
    from numpy.typing import NDArray

    from pipeline.options import Options
    from pipeline.relay.messages import Segment
    from pipeline.stage.transcribe.engine import Reply

REST_SAMPLES = SAMPLE_RATE  # less than this after the last timestamp is not worth another window
_REST_SPEECH = SAMPLE_RATE * 3 // 5  # nor is less speech than this: half a word makes Whisper invent one


class Cursor(Protocol):
    """One file's cursor, whatever its mode."""

    language: str | None

    @property
    def finished(self) -> bool:
        """Whether every window of the file is done."""
        ...

    @property
    def windows(self) -> tuple[Window, ...]:
        """All finished windows, in order."""
        ...

    @property
    def waiting_from(self) -> int | None:
        """The sample where the first unfinished window begins; None when there is none."""
        ...

    @property
    def ready(self) -> int:
        """Requests that it could offer now."""
        ...

    @property
    def held(self) -> int:
        """Clips in memory."""
        ...

    def feed(self, clip: Clip) -> bool:
        """Take the next clip; False when it does not stay in memory."""
        ...

    def end(self) -> None:
        """Know that there are no more clips."""
        ...

    def offer(self) -> tuple[int, Request]:
        """Return the next request and the window it belongs to; only while `ready`."""
        ...

    def learn(self, language: str) -> None:
        """Know the language that was detected in an offered request, before its reply."""
        ...

    def take(self, window: int, reply: Reply) -> None:
        """Take in what the model made of an offered request."""
        ...

    def harvest(self) -> tuple[Window, ...]:
        """Return the windows finished since the last harvest."""
        ...

    def close(self) -> None:
        """Give back what is held."""
        ...


@dataclass(slots=True)
class _Open:
    """A clip at work: where its present part begins, what failed there, and what was heard before."""

    clip: Clip
    begin: int
    offered: bool = False
    pcm: NDArray[np.float32] | None = None  # one array for all temperatures: the engine knows it again
    failed: list[Reply] = field(default_factory=list)
    segments: list[Segment] = field(default_factory=list)


class Track:
    """Takes clips as they are decoded, offers them as requests, makes finished windows of the replies.

    The language is detected once, on the first clip; the others wait for it. Windows of `resume` that were cut
    at the same place are not offered again.
    """

    def __init__(
        self,
        options: Options,
        *,
        sha256: str,
        prompt: tuple[int, ...] = (),
        resume: Iterable[Window] = (),
    ) -> None:
        self._options = options
        self._sha256 = sha256
        self._prompt = prompt
        self._temperatures = temperatures(options)
        self._resume = {(each.start, each.end): each for each in resume}
        self._open: dict[int, _Open] = {}
        self._done: dict[int, Window] = {}
        self._fresh: list[Window] = []
        self._ended = False
        self.language = options.language or next((each.language for each in resume if each.language), None)

    @property
    def finished(self) -> bool:
        """Whether every window of the file is done."""
        return self._ended and not self._open

    @property
    def windows(self) -> tuple[Window, ...]:
        """All finished windows, in order."""
        return tuple(self._done[start] for start in sorted(self._done))

    @property
    def waiting_from(self) -> int | None:
        """The sample where the first unfinished clip begins; None when there is none."""
        return min(self._open, default=None)

    @property
    def held(self) -> int:
        """Clips in memory."""
        return len(self._open)

    @property
    def ready(self) -> int:
        """Requests that could be offered now."""
        if self.language is None:
            return int(bool(self._open) and not any(each.offered for each in self._open.values()))
        return sum(not each.offered for each in self._open.values())

    def feed(self, clip: Clip) -> bool:
        """Take the next clip; False when it is done already (by an earlier lease)."""
        before = self._resume.get((clip.start, clip.end))
        if before:
            self._done[clip.start] = before
            return False
        self._open[clip.start] = _Open(clip, clip.start)
        return True

    def end(self) -> None:
        """Know that there are no more clips."""
        self._ended = True

    def harvest(self) -> tuple[Window, ...]:
        """Return the windows finished since the last harvest."""
        fresh, self._fresh = tuple(self._fresh), []
        return fresh

    def offer(self) -> tuple[int, Request]:
        """Return the first window that is not out, as a request."""
        window, chosen = next((start, each) for start, each in self._open.items() if not each.offered)
        chosen.offered = True
        if chosen.pcm is None:
            chosen.pcm = to_float(chosen.clip.pcm[chosen.begin - chosen.clip.start :])
        temperature = self._temperatures[len(chosen.failed)]
        return window, Request(
            pcm=chosen.pcm,
            options=self._options,
            language=self.language,
            temperature=temperature,
            prompt=self._prompt,
            seed=seed(self._sha256, chosen.begin, temperature),
            speech_until=max(0, _until(chosen.clip) - chosen.begin) / SAMPLE_RATE,
        )

    def learn(self, language: str) -> None:
        """Let the other windows go, in the language of the first."""
        self.language = self.language or language

    def take(self, window: int, reply: Reply) -> None:
        """Decode again at the next temperature, go on where the timestamps end, or finish the window.

        Where every temperature fails, whisper takes what the last and wildest one said; here the best is taken.
        """
        chosen = self._open[window]
        chosen.offered = False
        if has_failed(reply, self._options):
            chosen.failed.append(reply)
            if len(chosen.failed) < len(self._temperatures):
                return
            reply = max(chosen.failed, key=lambda each: merit(each, self._options))
        silent = is_silence(reply, self._options)
        if not silent:
            heard = located(reply, chosen.begin, chosen.clip.end)
            chosen.segments += quality.without_loop(heard) if repeats(reply, self._options) else heard
        rest = chosen.begin + round(reply.consumed * SAMPLE_RATE)
        if not silent and chosen.begin < rest <= _until(chosen.clip):
            chosen.begin, chosen.failed, chosen.pcm = rest, [], None
        else:
            self._finish(window)

    def close(self) -> None:
        """Forget the clips."""
        self._open.clear()

    def _finish(self, start: int) -> None:
        chosen = self._open.pop(start)
        segments = tuple(chosen.segments)
        window = Window(
            start=start,
            end=chosen.clip.end,
            next_start=chosen.clip.end,
            language=self.language,
            segments=segments,
            warnings=quality.window_warnings(segments, chosen.clip),
        )
        self._done[start] = window
        self._fresh.append(window)


def _until(clip: Clip) -> int:
    """Return the sample up to which there is speech, but for a moment that is not worth another window."""
    end = clip.end - REST_SAMPLES
    return min(end, clip.speech[-1].end - _REST_SPEECH) if clip.speech else end
