"""whisper's rules on which token may come next (the LogitFilters of whisper/decoding.py), for all rows at once."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch

if TYPE_CHECKING:
    from whisper.tokenizer import Tokenizer

NEVER = float("-inf")
LATEST_START = 50  # timestamps, one second: whisper's max_initial_timestamp


class Rules:
    """What may follow; the same for every language and task."""

    def __init__(
        self, tokenizer: Tokenizer, suppress_tokens: str, vocabulary: int, device: torch.device
    ) -> None:
        self.end: int = tokenizer.eot
        self._stamps: int = tokenizer.timestamp_begin
        never = _suppressed(tokenizer, suppress_tokens)
        self._never = torch.tensor(sorted(never), device=device)
        self._vocabulary = vocabulary

    def apply(self, logits: torch.Tensor, said: torch.Tensor) -> None:
        """Rule out tokens in logits (..., padded vocabulary), in place; `said` is (..., tokens so far)."""
        rows = logits.flatten(0, -2)
        rows.index_fill_(-1, self._never, NEVER)
        rows[:, self._vocabulary :] = NEVER
        if said.shape[-1]:
            self._pair(rows, said.flatten(0, -2))
        else:
            rows[:, : self._stamps] = NEVER
            rows[:, self._stamps + LATEST_START + 1 :] = NEVER
        text, stamps = rows[:, : self._stamps], rows[:, self._stamps :]
        _rule_out(text, stamps.logsumexp(-1) > text.amax(-1))  # together likelier than any text

    def _pair(self, rows: torch.Tensor, said: torch.Tensor) -> None:
        """Let timestamps come in pairs, never earlier ones than before, each segment longer than nothing."""
        stamped = said >= self._stamps
        last = stamped[:, -1]
        opened = last & stamped[:, -2] if said.shape[-1] > 1 else last
        closed = last & ~opened
        earliest = torch.where(opened, rows.shape[-1], said.amax(-1) + ~closed)
        numbers = torch.arange(self._stamps, rows.shape[-1], device=rows.device)
        rows[:, self._stamps :].masked_fill_(numbers < earliest[:, None], NEVER)
        _rule_out(rows[:, : self.end], closed)


def _rule_out(tokens: torch.Tensor, rows: torch.Tensor) -> None:
    """Rule out tokens in the rows named by a mask, without touching the others as masked_fill would."""
    tokens.index_fill_(0, rows.nonzero()[:, 0], NEVER)


def _suppressed(tokenizer: Tokenizer, suppress_tokens: str) -> set[int]:
    named = {int(token) for token in suppress_tokens.split(",")} if suppress_tokens else None
    always = {tokenizer.no_timestamps}
    if named is None:
        return always
    if -1 in named:
        named |= set(tokenizer.non_speech_tokens)
    special = {tokenizer.transcribe, tokenizer.translate, tokenizer.sot, tokenizer.sot_prev, tokenizer.sot_lm}
    return {token for token in named if token >= 0} | always | special | {tokenizer.no_speech}
