"""Options that somebody named (POST, CLI flag, whisper.toml): known ones, of the right type, in range, normalised."""

from __future__ import annotations

import math
import os
import re
import types
from typing import TYPE_CHECKING, Any, Literal, Union, get_args, get_origin, get_type_hints

from pipeline.errors import BadOptionsError
from pipeline.languages import closest, language_code
from pipeline.options import FORMATS, MODELS, NAMES, POST_NAMES, Options

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

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

_HINTS = get_type_hints(Options)


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
