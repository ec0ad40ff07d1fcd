"""Lane: the real model. A process is killed amid a recording, and the words are those of an undisturbed run."""

from __future__ import annotations

import itertools
import json
import logging
import random
import signal
import subprocess
import time
import wave
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from pipeline.stage.decode.ffmpeg import ffmpeg_binary
from tests.acceptance.harness import SAMPLES
from tests.torture.checker import Finding, judge
from tests.torture.ledger import Trial
from tests.torture.rig import GoneError

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from tests.torture.arena import Arena
    from tests.torture.rig import Rig

logger = logging.getLogger("torture")

MODEL = "tiny.en"
CACHE = Path.home() / ".cache" / "whisper"
FLAGS = ("--engine", "whisper", "--vad", "--model", MODEL)
ROLES = ("child", "core", "supervisor")
PERCENT = (5, 20, 35, 50, 65, 80)
SPEECH = 10 * ("jfk.flac", "sonnet-1.mp3")  # more windows than are decoded side by side, or all end at once
PATIENCE_S = 240.0
SOON_S = 0.02

_SAID: dict[str, Mapping[str, str]] = {}  # by arena: what an undisturbed run wrote, by name


@dataclass(frozen=True, slots=True)
class Blow:
    """Whom to kill, and when."""

    role: str
    percent: int  # of the audio that has its words

    def __str__(self) -> str:
        return f"kill the {self.role} after {self.percent} %"


def points(arena: Arena, seed: int) -> Sequence[Blow]:
    """Return a blow to each process at several moments, in the order of this seed."""
    if not list(CACHE.glob(f"{MODEL}*.pt")):
        logger.warning("real: skipped, the model %s is not in %s", MODEL, CACHE)
        return ()
    rig = _rig(arena)
    try:
        assert rig.serve(PATIENCE_S), rig.log.read_text()
        assert rig.until(rig.is_at_rest, PATIENCE_S), rig.log.read_text()
    finally:
        rig.end()
    _SAID[arena.name] = _written(rig.root)
    assert any(_SAID[arena.name].values()), rig.log.read_text()
    blows = [Blow(role, percent) for role, percent in itertools.product(ROLES, PERCENT)]
    random.Random(seed).shuffle(blows)  # noqa: S311 - a sample, no secret
    return blows


def _rig(arena: Arena) -> Rig:
    rig = arena.rig(arena.name, flags=FLAGS)
    for name, parts in {"long": SPEECH, "short": SPEECH[:1]}.items():
        _speak(rig.root / "a" / f"{name}.wav", parts)
    return rig


def _speak(path: Path, parts: Sequence[str]) -> None:
    """Write recordings of speech one after another."""
    path.parent.mkdir(exist_ok=True)
    with wave.open(str(path), "wb") as out:
        out.setnchannels(1)
        out.setsampwidth(2)
        out.setframerate(16_000)
        for part in parts:
            out.writeframes(_samples(SAMPLES / "english" / part))


def _samples(recording: Path) -> bytes:
    words = ("-v", "error", "-i", str(recording), "-ac", "1", "-ar", "16000", "-f", "s16le", "-")
    return subprocess.run([ffmpeg_binary(), *words], check=True, capture_output=True).stdout


def trial(arena: Arena, blow: Blow) -> Trial:
    """Strike once the recordings are so far, start the core again when it was the one, and compare."""
    began = time.monotonic()
    rig = _rig(arena)
    try:
        assert rig.serve(PATIENCE_S), rig.log.read_text()
        rig.until(lambda: _progress(rig) >= blow.percent / 100, PATIENCE_S, SOON_S)
        struck = _progress(rig) < 1 and rig.signal(blow.role, signal.SIGKILL)
        if blow.role == "core":
            rig.end()
            rig.start()
        came_to_rest = rig.until(rig.is_at_rest, PATIENCE_S)
    finally:
        rig.end()
    found = [*_findings(rig, _SAID[arena.name])]
    found += [] if came_to_rest else [Finding("stuck", "it did not come to rest")]
    arena.keep_or_forget(rig, found)
    return Trial(arena.name, str(blow), int(struck), time.monotonic() - began, tuple(map(str, found)))


def _progress(rig: Rig) -> float:
    with suppress(GoneError):
        return min((float(task["progress"]) for task in rig.tasks()), default=0.0)
    return 0.0


def _findings(rig: Rig, said: Mapping[str, str]) -> Iterator[Finding]:
    """Yield what the judge says, who knows the words of the fake engine only, and every word that differs."""
    everything = judge(rig.root, rig.database_url, rig.history.answers)
    yield from (each for each in everything if each.kind != "wrong")
    written = _written(rig.root)
    for name in sorted(said.keys() | written.keys()):
        if written.get(name) != said.get(name):
            yield Finding("wrong", f"{name} is not what an undisturbed run wrote")


def _written(root: Path) -> dict[str, str]:
    """Return each transcript's text; of a JSON the segments, as it also tells when it was made."""
    return {
        path.name: _words(path)
        for path in root.glob("a/*")
        if path.suffix in (".txt", ".srt", ".vtt", ".tsv", ".json")
        and "transcription-status" not in path.name
    }


def _words(path: Path) -> str:
    whole = path.read_text(encoding="utf-8")
    return json.dumps(json.loads(whole)["segments"]) if path.suffix == ".json" else whole
