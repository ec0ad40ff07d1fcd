"""What may be asked of one transcription: whisper's options under their own names, and ours.

`Options` is complete; *named* options are the few that somebody spelled out (POST, CLI flag, whisper.toml). The
queue keeps the named ones and merges them over the service's defaults when a file is leased.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import asdict, dataclass, field, fields, replace
from typing import TYPE_CHECKING, Any, Literal

if TYPE_CHECKING:
    from collections.abc import Mapping

MODELS = (
    "tiny.en", "tiny", "base.en", "base", "small.en", "small", "medium.en", "medium",
    "large-v1", "large-v2", "large-v3", "large", "large-v3-turbo", "turbo",
)  # fmt: skip
FORMATS = ("txt", "srt", "vtt", "tsv", "json")


def option(
    default: Any, help_: str, *, changes: Literal["text", "rendering"] = "text", post: bool = False
) -> Any:
    """Declare one option: its default, its help, what it changes, and whether POST and whisper.toml take it."""
    return field(default=default, metadata={"help": help_, "changes": changes, "post": post})


@dataclass(frozen=True, slots=True, kw_only=True)
class Options:
    """Everything that decides one file's transcript. Values are normalised (`named.parse_named`)."""

    model: str = option("base", "whisper model: a name, or a path to a checkpoint", post=True)
    task: Literal["transcribe", "translate"] = option(
        "transcribe", "transcribe, or translate to English", post=True
    )
    language: str | None = option(
        None, "language spoken, by name or code, in any case; auto detects it", post=True
    )
    initial_prompt: str | None = option(None, "text given to the model as context", post=True)
    word_timestamps: bool = option(False, "a time for every word", post=True)
    temperature: float = option(0.0, "sampling temperature; 0 is greedy or beam search")
    temperature_increment_on_fallback: float | None = option(
        0.2, "step to the next temperature where decoding fails"
    )
    best_of: int | None = option(5, "candidates when sampling")
    beam_size: int | None = option(5, "beams at temperature 0; None is greedy")
    patience: float | None = option(None, "beam search patience (arXiv 2204.05424)")
    length_penalty: float | None = option(None, "alpha of the length penalty (arXiv 1609.08144)")
    suppress_tokens: str = option("-1", "token ids never produced; -1 is whisper's set of symbols")
    carry_initial_prompt: bool = option(False, "the initial prompt before every window (exact mode)")
    condition_on_previous_text: bool = option(True, "previous text as prompt of the next window (exact mode)")
    compression_ratio_threshold: float | None = option(
        2.4, "a window that compresses better has failed (a loop)"
    )
    logprob_threshold: float | None = option(-1.0, "a window less probable has failed")
    no_speech_threshold: float | None = option(
        0.6, "a failed window above this no-speech probability is silence"
    )
    prepend_punctuations: str = option("\"'“¿([{-", "punctuation joined to the next word")
    append_punctuations: str = option("\"'.。,，!！?？:：”)]}、", "punctuation joined to the word before")
    clip_timestamps: str = option("0", "start,end,start,end,… in seconds: the clips to transcribe")
    hallucination_silence_threshold: float | None = option(
        None,
        "skip silences longer than this, in seconds, around a suspected hallucination (implies word_timestamps)",
    )
    exact: bool = option(False, "whisper's own sequential algorithm, window after window")
    no_vad: bool = option(False, "windows by loudness alone, without voice activity detection")
    output_format: tuple[str, ...] = option(
        FORMATS, "all, or a comma list of txt, srt, vtt, tsv, json", changes="rendering", post=True
    )
    highlight_words: bool = option(
        False, "underline each word as it is spoken", changes="rendering", post=True
    )
    max_line_width: int | None = option(None, "characters in a subtitle line", changes="rendering", post=True)
    max_line_count: int | None = option(None, "lines in a subtitle", changes="rendering", post=True)
    max_words_per_line: int | None = option(None, "words in a subtitle", changes="rendering", post=True)


_META = {each.name: each.metadata for each in fields(Options)}
NAMES = tuple(_META)
POST_NAMES = tuple(name for name in NAMES if _META[name]["post"])
TEXT_NAMES = tuple(name for name in NAMES if _META[name]["changes"] == "text")


def merge(defaults: Options, *named: Mapping[str, Any]) -> Options:
    """Lay named options over the defaults, later ones winning; a `.en` model speaks English."""
    chosen: dict[str, Any] = {}
    for each in named:
        chosen |= {name: value for name, value in each.items() if name in NAMES}
    merged = replace(defaults, **chosen)
    return replace(merged, language="en") if merged.model.endswith(".en") else merged


def text_key(named: Mapping[str, Any]) -> str:
    """Return a short hash of the text-changing options among these; "" when there are none."""
    text = {name: named[name] for name in sorted(named) if name in TEXT_NAMES}
    return hashlib.sha256(json.dumps(text).encode()).hexdigest()[:16] if text else ""


def as_json(options: Options) -> dict[str, Any]:
    """Return the text-changing options as the JSON provenance keeps them."""
    return {name: value for name, value in asdict(options).items() if name in TEXT_NAMES}


def contradicts(named: Mapping[str, Any], written: Mapping[str, Any], language: str | None) -> bool:
    """Tell whether named options would change a text made with the `written` provenance options.

    `language` is what the transcript was found to be in: naming the detected language changes nothing.
    """
    for name in TEXT_NAMES:
        if name not in named:
            continue
        before = written.get(name)
        if name == "language" and before is None:
            before = language
        if name == "word_timestamps" and before and not named[name]:
            continue  # the words are there and do no harm
        if named[name] is not None and named[name] != before:
            return True
    return False
