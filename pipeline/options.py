"""What may be asked of one transcription: whisper's options under their own names, and ours.

`Options` is complete; *named* options are the few that somebody spelled out (POST, CLI flag, whisper.toml). The
queue keeps the named ones and merges them over the service's defaults when a file is leased.
"""

from __future__ import annotations

import hashlib
import json
import math
import os
import re
import types
from dataclasses import asdict, dataclass, field, fields, replace
from typing import TYPE_CHECKING, Any, Literal, Union, get_args, get_origin, get_type_hints

from pipeline.errors import BadOptionsError
from pipeline.languages import closest, language_code

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

MODELS = (
    "tiny.en", "tiny", "base.en", "base", "small.en", "small", "medium.en", "medium",
    "large-v1", "large-v2", "large-v3", "large", "large-v3-turbo", "turbo",
)  # fmt: skip
FORMATS = ("txt", "srt", "vtt", "tsv", "json")
PROMPT_CHARS = 4000  # the model reads about the last 900; provenance keeps all
LAST_TOKEN = 51_865  # of the largest vocabulary
RANGES: dict[str, tuple[float, float]] = {  # as whisper refuses them, or could do nothing with them
    "temperature": (0.0, 1.0),
    "temperature_increment_on_fallback": (0.01, 1.0),
    "patience": (0.01, 100.0),
    "length_penalty": (0.0, 1.0),
    "no_speech_threshold": (0.0, 1.0),
    "compression_ratio_threshold": (0.0, math.inf),
    "hallucination_silence_threshold": (0.0, math.inf),
    "best_of": (1, 100),
    "beam_size": (1, 100),
}
WORD_OPTIONS = (
    "highlight_words",
    "max_line_width",
    "max_line_count",
    "max_words_per_line",
    "hallucination_silence_threshold",
)


def option(
    default: Any, help_: str, *, changes: Literal["text", "rendering"] = "text", post: bool = False
) -> Any:
    """Declare one option: its default, its help, what it changes, and whether POST and whisper.toml take it."""
    return field(default=default, metadata={"help": help_, "changes": changes, "post": post})


@dataclass(frozen=True, slots=True, kw_only=True)
class Options:
    """Everything that decides one file's transcript. Values are normalised (`parse_named`)."""

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


_HINTS = get_type_hints(Options)
_META = {each.name: each.metadata for each in fields(Options)}
NAMES = tuple(_META)
POST_NAMES = tuple(name for name in NAMES if _META[name]["post"])
TEXT_NAMES = tuple(name for name in NAMES if _META[name]["changes"] == "text")


def parse_named(raw: Mapping[str, Any], allowed: Iterable[str] = NAMES) -> dict[str, Any]:
    """Validate and normalise options somebody named.

    Options that need words imply `word_timestamps`, unless that is named too.
    Raises BadOptionsError for an unknown name (with the closest) or a value of the wrong type or range.
    """
    known = list(allowed)
    for name in raw:
        if name not in known:
            raise BadOptionsError(f"unknown option {name!r}.{closest(name, known)}")
    named = {name: _value(name, value) for name, value in raw.items()}
    if allowed is POST_NAMES and named.get("model", MODELS[0]) not in MODELS:
        raise BadOptionsError("model must be a name here; paths to checkpoints are the operator's to give")
    if any(named.get(name) not in (None, False) for name in WORD_OPTIONS):
        named.setdefault("word_timestamps", True)
    return named


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


def _value(name: str, value: Any) -> Any:
    special = _SPECIAL.get(name)
    return special(value) if special else _typed(name, value, _HINTS[name])


def _language(value: Any) -> str | None:
    return None if value is None else language_code(_typed("language", value, str))


def _model(value: Any) -> str:
    name: str = _typed("model", value, str)
    if name in MODELS or (os.sep in name or name.endswith(".pt")):
        return name
    raise BadOptionsError(
        f"model {name!r}: use one of {', '.join(MODELS)}, or a path.{closest(name, list(MODELS))}"
    )


def _formats(value: Any) -> tuple[str, ...]:
    words = value if isinstance(value, (list, tuple)) else [part.strip() for part in str(value).split(",")]
    if "all" in words:
        return FORMATS
    for word in words:
        if word not in FORMATS:
            raise BadOptionsError(
                f"output_format {word!r}: use all or a list of {', '.join(FORMATS)}.{closest(str(word), list(FORMATS))}"
            )
    if not words:
        raise BadOptionsError("output_format is empty")
    return tuple(word for word in FORMATS if word in words)


def _prompt(value: Any) -> str | None:
    prompt: str | None = _typed("initial_prompt", value, _HINTS["initial_prompt"])
    if prompt and len(prompt) > PROMPT_CHARS:
        raise BadOptionsError(f"initial_prompt has {len(prompt)} characters: at most {PROMPT_CHARS}")
    return prompt


def _tokens(value: Any) -> str:
    text: str = _typed("suppress_tokens", value, str)
    for word in text.split(",") if text else ():
        if not re.fullmatch(r"\s*(-1|\d{1,5})\s*", word, re.ASCII) or int(word) > LAST_TOKEN:
            raise BadOptionsError(
                f"suppress_tokens {text!r}: give -1, or token ids of 0 to {LAST_TOKEN} with commas between"
            )
    return text


def _clips(value: Any) -> str:
    text: str = _typed("clip_timestamps", value, str)
    words = [word.strip() for word in text.split(",")] if text else []
    if not all(re.fullmatch(r"\d{1,9}(\.\d*)?", word, re.ASCII) for word in words):
        raise BadOptionsError(f"clip_timestamps {text!r}: give seconds with commas between, as in 0,30,60")
    times = [float(word) for word in words]
    if times != sorted(times):
        raise BadOptionsError(f"clip_timestamps {text!r}: each time must be later than the one before")
    return text


_SPECIAL = {
    "language": _language,
    "model": _model,
    "initial_prompt": _prompt,
    "suppress_tokens": _tokens,
    "clip_timestamps": _clips,
    "output_format": _formats,
}


def _typed(name: str, value: Any, hint: Any) -> Any:
    """Check one value against its type hint; whole numbers pass for floats, nothing else is converted."""
    choices = get_args(hint) if get_origin(hint) in {Union, types.UnionType} else (hint,)
    for choice in choices:
        if _fits(choice, value):
            return _in_range(name, float(value) if choice is float else value)
    wanted = " or ".join(_kind(choice) for choice in choices)
    raise BadOptionsError(f"{name} must be {wanted}, not {value!r}")


def _fits(choice: Any, value: Any) -> bool:
    if get_origin(choice) is Literal:
        return value in get_args(choice)
    if choice is float:
        return isinstance(value, (int, float)) and not isinstance(value, bool) and math.isfinite(value)
    return type(value) is choice  # exactly: True is no whole number


def _in_range(name: str, value: Any) -> Any:
    if type(value) is int and value < 1:
        raise BadOptionsError(f"{name} must be at least 1, not {value}")
    low, high = RANGES.get(name, (-math.inf, math.inf))
    if isinstance(value, (int, float)) and not low <= value <= high:
        bounds = f"at least {low:g}" if high == math.inf else f"{low:g} to {high:g}"
        raise BadOptionsError(f"{name} must be {bounds}, not {value:g}")
    if isinstance(value, str) and "\0" in value:
        raise BadOptionsError(f"{name} holds a NUL character")
    return value


def _kind(choice: Any) -> str:
    if get_origin(choice) is Literal:
        return " or ".join(map(repr, get_args(choice)))
    return {bool: "true or false", int: "a whole number", float: "a number", str: "text"}.get(choice, "null")
