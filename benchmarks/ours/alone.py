"""Our engine alone: windows in, replies out; a runner like those of the peers (peers/exchange.py).

settings: "beam_size"; "dtype"; the batch is the engine's own choice.
"""

from __future__ import annotations

import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[1] / "peers"))

import exchange

from pipeline.options import Options
from pipeline.stage.transcribe.engine import Engine, Request
from pipeline.stage.transcribe.load import Loader


class OurEngine:
    """A loaded engine."""

    def __init__(self, order: dict[str, Any]) -> None:
        beam = order["settings"]["beam_size"]
        self.options = Options(beam_size=None if beam == 1 else beam)
        loader = Loader(
            kind="whisper",
            cache=Path(order["cache"]),
            device="cpu",
            dtype=order["settings"].get("dtype", "auto"),
            threads=order["threads"],
        )
        self.engine = loader.engine("base", lambda _what, _fraction: None)

    def transcribe(self, path: str, language: str | None) -> str:
        """Refuse: files are the service's work (service.py)."""
        raise NotImplementedError

    def windows(self, pcm: Any) -> dict[str, float]:
        """Transcribe windows of English with timestamps, at temperature 0; mel counts as encoding."""
        requests = [
            Request(pcm=window, options=self.options, language="en", temperature=0.0) for window in pcm
        ]
        before = self.engine.effort
        encoding, decoding = before.encoding, before.decoding
        tokens = sum(len(reply.tokens) for reply in replies(self.engine, requests))
        after = self.engine.effort
        return {
            "encode": after.encoding - encoding,
            "decode": after.decoding - decoding,
            "tokens": float(tokens),
        }


def fresh(requests: list[Request], **changes: Any) -> list[Request]:
    """Return the requests with samples of their own: an engine knows an array again, and what it made of it."""
    return [replace(request, pcm=request.pcm.copy(), **changes) for request in requests]


def replies(engine: Engine, requests: list[Request]) -> list[Any]:
    """Run all requests through an engine, as many at a time as it takes; replies come as they end."""
    waiting, done = list(requests), []
    while waiting or engine.running:
        room = engine.slots - engine.running
        joining, waiting = waiting[:room], waiting[room:]
        if joining:
            engine.admit(joining)
        done += [reply for _, reply in engine.advance()]
    return done


if __name__ == "__main__":
    exchange.serve(OurEngine)
