"""Word error rate by whisper's own normalisers: the English one, else the basic one."""

from __future__ import annotations

from typing import TYPE_CHECKING

import jiwer
from whisper.normalizers import BasicTextNormalizer, EnglishTextNormalizer

if TYPE_CHECKING:
    from benchmarks.workloads import Item, Recording

_ENGLISH, _BASIC = EnglishTextNormalizer(), BasicTextNormalizer()


def scores(items: tuple[Item, ...], texts: dict[str, str]) -> dict[str, list[int]]:
    """Return errors and words of each recording, its pieces joined in their order."""
    heard: dict[Recording, list[str]] = {}
    for item in items:
        if item.source and item.source.text:
            heard.setdefault(item.source, []).append(texts[str(item.path)])
    return {
        f"{source.language}/{source.path.name}": list(errors(source.text, " ".join(parts), source.language))
        for source, parts in heard.items()
    }


def errors(reference: str, hypothesis: str, language: str) -> tuple[int, int]:
    """Return the word errors of a hypothesis and the words of the reference."""
    normalise = _ENGLISH if language == "en" else _BASIC
    expected, heard = normalise(reference).strip(), normalise(hypothesis).strip()
    found = jiwer.process_words(expected, heard)
    return found.substitutions + found.deletions + found.insertions, len(expected.split())
