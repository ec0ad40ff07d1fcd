"""The models that a client may name: OpenAI's one for whatever is configured here, and whisper's own names."""

from __future__ import annotations

from typing import TYPE_CHECKING

from api.audio.errors import UnknownModelError
from pipeline.languages import closest
from pipeline.options import MODELS

if TYPE_CHECKING:
    from pathlib import Path

DEFAULT = "whisper-1"
CREATED = 1_677_532_384  # when OpenAI says that whisper-1 was made
FILES = {"large": "large-v3", "turbo": "large-v3-turbo"}  # names whose weights lie under another name


def chosen(name: str, configured: str) -> dict[str, str]:
    """Return the options that a model's name stands for: none for the configured one.

    Raises UnknownModelError.
    """
    if name in (DEFAULT, configured):
        return {}
    if name in MODELS:
        return {"model": name}
    raise UnknownModelError(
        f"The model {name[:100]!r} does not exist here: use {DEFAULT!r} for the one that is configured, or one of "
        f"{', '.join(MODELS)}.{closest(name, [DEFAULT, *MODELS])}"
    )


def ready(configured: str, cache: Path) -> list[str]:
    """Return what can be used at once: the default, the configured one, and those whose weights are there."""
    own = [configured] if configured in MODELS else []  # a path is the operator's own
    return list(dict.fromkeys((DEFAULT, *own, *(name for name in MODELS if _is_there(name, cache)))))


def _is_there(name: str, cache: Path) -> bool:
    files = (f"{FILES.get(name, name)}.pt", f"{name}.from-ctranslate2.pt")
    return any((cache / each).is_file() for each in files)
