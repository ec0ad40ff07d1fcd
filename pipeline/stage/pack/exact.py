"""ExactTrack: whisper.transcribe's own loop over one file, one window at a time (whisper/transcribe.py)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pipeline.relay.messages import Window
from pipeline.stage import quality
from pipeline.stage.pack.context import Context, last_end
from pipeline.stage.pack.cut import Clip, parse_clips
from pipeline.stage.pack.hallucination import Place, skip_silences
from pipeline.stage.pack.spool import Spool
from pipeline.stage.pack.thresholds import has_failed, is_silence, seed, temperatures
from pipeline.stage.pack.timeline import cleared, segment
from pipeline.stage.transcribe.engine import HOP, MARGIN, SAMPLE_RATE, WINDOW_SAMPLES, Request

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    import numpy as np
    from numpy.typing import NDArray

    from pipeline.options import Options
    from pipeline.relay.messages import Segment
    from pipeline.stage.transcribe.engine import Reply

N_FRAMES = WINDOW_SAMPLES // HOP
FRAMES_PER_SECOND = SAMPLE_RATE // HOP


class ExactTrack:
    """Equal to whisper.transcribe text for text, windows of `resume` taken as they are.

    First pass: samples go to a spool while `log_mel_max` looks for the file's loudest mel value, to which whisper
    clamps. Second pass: whisper's seeking, prompt carry-over and temperature fallback.
    """

    def __init__(
        self,
        options: Options,
        *,
        sha256: str,
        prompt: tuple[int, ...],
        log_mel_max: Callable[[NDArray[np.float32]], float],
        resume: Sequence[Window] = (),
    ) -> None:
        self._options = options
        self._sha256 = sha256
        self._said = Context(options, prompt)
        self._log_mel_max = log_mel_max
        self._temperatures = temperatures(options)
        self._spool = Spool()
        self._loudest = float("-inf")
        self._looked = 0  # frames of the first pass
        self._content = 0  # frames
        self._clips: list[tuple[int, int]] = []
        self._clip = 0
        self._seek = 0
        self._size = 0  # frames of the window that is out
        self._attempt = 0
        self._pcm: NDArray[np.float32] | None = None
        self._ended = False
        self._offered = False
        self._windows: list[Window] = []
        self._fresh: list[Window] = []
        self._resume = resume
        self.language = options.language or next((each.language for each in resume if each.language), None)

    @property
    def finished(self) -> bool:
        """Whether the seeking has come to the end."""
        return self._ended and not self._size

    @property
    def windows(self) -> tuple[Window, ...]:
        """All finished windows, in order."""
        return tuple(self._windows)

    @property
    def waiting_from(self) -> int | None:
        """The sample where the next window begins; None when there is none."""
        return None if self.finished else self._seek * HOP

    @property
    def held(self) -> int:
        """No clips: they are on disk at once."""
        return 0

    @property
    def ready(self) -> int:
        """Requests that could be offered now: one, or none."""
        return int(self._ended and self._size > 0 and not self._offered)

    def feed(self, clip: Clip) -> bool:
        """Spool the next samples, and look for the loudest mel value in them; False: nothing stays in memory."""
        self._spool.append(clip.pcm)
        self._look((self._spool.samples - MARGIN) // HOP)
        return False

    def end(self) -> None:
        """Begin the second pass, after what is done already."""
        self._look(self._spool.samples // HOP + 2)  # the last samples reach into two frames of padding
        self._content = self._spool.samples // HOP
        self._clips = [self._frames(*clip) for clip in parse_clips(self._options.clip_timestamps)]
        self._seek = self._clips[0][0]
        for window in self._resume:
            self._said.resume(window)
            self._windows.append(window)
            self._seek = window.next_start // HOP
        self._ended = True
        self._next_window()

    def harvest(self) -> tuple[Window, ...]:
        """Return the windows finished since the last harvest."""
        fresh, self._fresh = tuple(self._fresh), []
        return fresh

    def close(self) -> None:
        """Remove the spool."""
        self._spool.close()

    def offer(self) -> tuple[int, Request]:
        """Return the window at the present position as a request; before it, one for the language alone."""
        self._offered = True
        if self._seeks_language:
            return 0, self._beginning()
        start, temperature = self._seek * HOP, self._temperatures[self._attempt]
        if self._pcm is None:
            self._pcm = self._spool.read(start - MARGIN, start + WINDOW_SAMPLES + MARGIN)
        return start, Request(
            pcm=self._pcm,
            options=self._options,
            language=self.language,
            temperature=temperature,
            prompt=self._said.prompt(),
            seed=seed(self._sha256, start, temperature),
            log_mel_max=self._loudest,
            frames=self._size,
            seek=self._seek,
            last_speech=self._said.last_word - start / SAMPLE_RATE,
        )

    def learn(self, language: str) -> None:
        """Wait for the reply: windows come one after the other."""

    def take(self, _window: int, reply: Reply) -> None:
        """Decode again at the next temperature, or note what was heard and seek on."""
        self._offered = False
        if self._seeks_language:
            self.language = reply.language
            return
        self.language = self.language or reply.language
        if has_failed(reply, self._options) and self._attempt + 1 < len(self._temperatures):
            self._attempt += 1
            return
        silence = None, self._seek + self._size
        heard, seek = silence if is_silence(reply, self._options) else self._heard(reply)
        segments = [cleared(each) for each in heard or ()]
        if heard is not None:
            self._said.add(segments, reply.temperature)
        self._finish(segments, seek if seek > self._seek else self._seek + self._size)
        self._next_window()

    @property
    def _seeks_language(self) -> bool:
        """Whether it is to be detected, as whisper does, on the first 30 s, where no clip begins."""
        return self.language is None and self._seek > 0

    def _beginning(self) -> Request:
        """Return a request whose reply is worth its language only."""
        return Request(
            pcm=self._spool.read(-MARGIN, WINDOW_SAMPLES + MARGIN),
            options=self._options,
            language=None,
            temperature=self._temperatures[0],
            log_mel_max=self._loudest,
            frames=min(N_FRAMES, self._content),
        )

    def _frames(self, start: float, end: float) -> tuple[int, int]:
        return round(start * FRAMES_PER_SECOND), round(min(end * FRAMES_PER_SECOND, self._content))

    def _look(self, until: int) -> None:
        while self._looked < until:
            end = min(until, self._looked + N_FRAMES)
            stretch = self._spool.read(self._looked * HOP - MARGIN, end * HOP + MARGIN)
            self._loudest = max(self._loudest, self._log_mel_max(stretch))
            self._looked = end

    def _heard(self, reply: Reply) -> tuple[list[Segment] | None, int]:
        """Return the segments of the file (None: as if nothing had been said) and the frame to seek to."""
        offset = self._seek * HOP / SAMPLE_RATE
        segments = [
            segment(reply, heard, self._seek * HOP, (offset + heard.start, offset + heard.end))
            for heard in reply.segments
        ]
        seek = self._seek + round(reply.consumed * FRAMES_PER_SECOND)
        if not self._options.word_timestamps:
            return segments, seek
        return self._after_words(segments, seek, single_ending=reply.single_ending)

    def _after_words(
        self, heard: list[Segment], seek: int, *, single_ending: bool
    ) -> tuple[list[Segment] | None, int]:
        """Seek by the last word, and past inventions if that is asked for."""
        end, threshold = last_end(heard), self._options.hallucination_silence_threshold
        if not single_ending and end is not None and end > self._seek * HOP / SAMPLE_RATE:
            seek = round(end * FRAMES_PER_SECOND)
        kept: list[Segment] | None = heard
        if threshold is not None:
            place, last = Place(self._seek, self._size, self._content), self._said.last_word
            kept, seek = skip_silences(heard, seek, place, threshold, last, single_ending=single_ending)
        self._said.last_word = last_end(kept or ()) or self._said.last_word
        return kept, seek

    def _finish(self, segments: list[Segment], seek: int) -> None:
        start, end = self._seek * HOP, (self._seek + self._size) * HOP
        window = Window(
            start=start,
            end=end,
            next_start=seek * HOP,
            language=self.language,
            segments=tuple(segments),
            warnings=quality.window_warnings(segments, None),
            reset=self._said.is_reset,
            last_word=self._said.last_word,
        )
        self._windows.append(window)
        self._fresh.append(window)
        self._seek, self._attempt, self._pcm = seek, 0, None

    def _next_window(self) -> None:
        """Find the window at the present position, or in the clips after it; no size: there is none."""
        self._size = 0
        while self._clip < len(self._clips):
            start, end = self._clips[self._clip]
            self._seek = max(self._seek, start)
            if self._seek < end:
                self._size = min(N_FRAMES, end - self._seek)
                return
            self._clip += 1
            if self._clip < len(self._clips):
                self._seek = self._clips[self._clip][0]
