"""whisper's rules on which token may come next (the LogitFilters of whisper/decoding.py), for all rows at once."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch

from pipeline.stage.transcribe.segments import SECONDS_PER_TIMESTAMP
from pipeline.stage.transcribe.transfer import sent

if TYPE_CHECKING:
    from whisper.tokenizer import Tokenizer

    from pipeline.stage.transcribe.said import Said

NEVER = float("-inf")
LATEST_START = 50  # timestamps, one second: whisper's max_initial_timestamp


class Rules:
    """What may follow; the same for every language and task."""

    def __init__(
        self,
        tokenizer: Tokenizer,
        suppress_tokens: str,
        vocabulary: int,
        device: torch.device,
        *,
        is_captured: bool = False,
    ) -> None:
        self.end: int = tokenizer.eot
        self._stamps: int = tokenizer.timestamp_begin
        never = _suppressed(tokenizer, suppress_tokens)
        self._never = sent(sorted(never), device)
        self._vocabulary = vocabulary
        self._rule_out = _mask_out if is_captured or device.type != "cpu" else _pick_out

    def begin(self, logits: torch.Tensor) -> None:
        """Rule out what cannot be first in logits (..., padded vocabulary), in place: a timestamp is."""
        rows = logits.flatten(0, -2)
        rows.index_fill_(-1, self._never, NEVER)
        rows[:, : self._stamps] = NEVER
        rows[:, self._stamps + LATEST_START + 1 :] = NEVER

    def go_on(self, logits: torch.Tensor, said: Said) -> None:
        """Rule out tokens in logits (windows, hypotheses, padded vocabulary), in place."""
        rows = logits.flatten(0, -2)
        rows.index_fill_(-1, self._never, NEVER)
        rows[:, self._vocabulary :].fill_(NEVER)
        self._pair(rows, said)
        text, stamps = rows[:, : self._stamps], rows[:, self._stamps :]
        self._rule_out(text, stamps.logsumexp(-1) > text.amax(-1))  # together likelier than any text

    def stamp(self, seconds: float) -> int:
        """Return the timestamp token of a moment in a window."""
        return self._stamps + int(seconds / SECONDS_PER_TIMESTAMP)

    def say_what_began(self, logits: torch.Tensor, said: Said, until: torch.Tensor) -> None:
        """Rule out the end where a segment began before `until`, a timestamp token of each window, and is empty.

        whisper learned to end so where a window cuts speech off, and hears the rest in the next one. Windows of
        voice activity are cut at pauses: the rest is there, and to say it is cheaper than to encode it again.
        """
        opened = (said.last >= self._stamps) & (said.last_but_one >= self._stamps)
        begun = opened & (said.last < until[:, None]) & (said.lengths > 1)[:, None]
        logits[..., self.end].masked_fill_(begun, NEVER)

    def _pair(self, rows: torch.Tensor, said: Said) -> None:
        """Let timestamps come in pairs, never earlier ones than before, each segment longer than nothing."""
        last = said.last.flatten() >= self._stamps
        opened = last & (said.last_but_one.flatten() >= self._stamps)
        closed = last & ~opened
        earliest = (said.largest.flatten() + ~closed).masked_fill_(opened, rows.shape[-1])
        numbers = torch.arange(self._stamps, rows.shape[-1], device=rows.device)
        rows[:, self._stamps :].masked_fill_(numbers < earliest[:, None], NEVER)
        self._rule_out(rows[:, : self.end], closed)


def _pick_out(tokens: torch.Tensor, rows: torch.Tensor) -> None:
    """Rule out tokens in the rows named by a mask, without touching the others as masked_fill would."""
    tokens.index_fill_(0, rows.nonzero()[:, 0], NEVER)


def _mask_out(tokens: torch.Tensor, rows: torch.Tensor) -> None:
    """Do the same without anybody having to know how many rows there are: that would be waiting for a GPU."""
    tokens.masked_fill_(rows[:, None], NEVER)


def _suppressed(tokenizer: Tokenizer, suppress_tokens: str) -> set[int]:
    named = {int(token) for token in suppress_tokens.split(",")} if suppress_tokens else None
    always = {tokenizer.no_timestamps}
    if named is None:
        return always
    if -1 in named:
        named |= set(tokenizer.non_speech_tokens)
    special = {tokenizer.transcribe, tokenizer.translate, tokenizer.sot, tokenizer.sot_prev, tokenizer.sot_lm}
    return {token for token in named if token >= 0} | always | special | {tokenizer.no_speech}
