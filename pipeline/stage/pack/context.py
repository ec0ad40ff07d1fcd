"""What a file's earlier windows mean for the next one in exact mode: the prompt, and where the last word ended."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

    from pipeline.options import Options
    from pipeline.relay.messages import Segment, Window

LONGEST_PROMPT = 223  # n_text_ctx // 2 - 1, in every whisper model
_FEED_TEMPERATURE = 0.5  # above it, the text does not become a prompt


class Context:
    """What was heard so far, as context for the next window."""

    def __init__(self, options: Options, initial: tuple[int, ...]) -> None:
        self._options = options
        self._initial = initial
        self._tokens = list(initial)
        self._reset_at = 0  # tokens before this are no context any more
        self.last_word = 0.0  # where it ended, seconds

    @property
    def is_reset(self) -> bool:
        """Whether nothing heard so far is context."""
        return self._reset_at == len(self._tokens)

    def add(self, segments: Sequence[Segment], temperature: float) -> None:
        """Take in a window that was heard; nothing said at a high temperature becomes context."""
        self._tokens += [token for each in segments for token in each.tokens]
        if temperature > _FEED_TEMPERATURE or not self._options.condition_on_previous_text:
            self._reset_at = len(self._tokens)

    def resume(self, window: Window) -> None:
        """Take in a window that an earlier lease finished."""
        self._tokens += [token for each in window.segments for token in each.tokens]
        if window.reset:
            self._reset_at = len(self._tokens)
        self.last_word = window.last_word

    def prompt(self) -> tuple[int, ...]:
        """Return the tokens that precede the next window."""
        if not self._options.carry_initial_prompt:
            return tuple(self._tokens[self._reset_at :][-LONGEST_PROMPT:])
        ignored = max(len(self._initial), self._reset_at)
        room = LONGEST_PROMPT - len(self._initial)
        return (*self._initial, *self._tokens[ignored:][-room:])


def last_end(segments: Sequence[Segment]) -> float | None:
    """Return the end of the last word, else of the last segment, in seconds (whisper/utils.py, get_end)."""
    words = (word for each in reversed(segments) for word in reversed(each.words or ()))
    return next((word["end"] for word in words), segments[-1].end if segments else None)
