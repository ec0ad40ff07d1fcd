"""What the judge makes of one transcript: whether it is whole, and says what its recording says."""

from __future__ import annotations

import hashlib
import json
import os
import wave
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

WORDS = (
    "alpha", "bravo", "charlie", "delta", "echo", "foxtrot", "golf", "hotel", "india", "juliett", "kilo", "lima"
)  # fmt: skip
SEAL = '"json_sha256":"'


def is_sealed(raw: bytes) -> bool:
    """Tell whether the hash at the document's end is that of the document with zeros in the hash's place."""
    head, mark, tail = raw.decode("utf-8", "replace").rpartition(SEAL)
    unsealed = head + mark + "0" * 64 + tail[64:]
    return bool(mark) and hashlib.sha256(unsealed.encode()).hexdigest() == tail[:64]


def is_of(transcript: Path, source: Path) -> bool:
    """Tell whether a transcript names these bytes and says what is heard in them."""
    document = json.loads(transcript.read_bytes())
    raw = source.read_bytes()
    right_source = document["provenance"]["source"]["sha256"] == hashlib.sha256(raw).hexdigest()
    return right_source and document["text"].strip() == said_in(source)


def said_in(source: Path) -> str:
    """Return what the fake engine hears in a 16 kHz mono wav of one window: words drawn from the samples' hash."""
    with wave.open(os.fspath(source), "rb") as recording:
        digest = hashlib.sha256(recording.readframes(recording.getnframes())).digest()
    return " ".join(WORDS[byte % len(WORDS)] for byte in digest[:4])
