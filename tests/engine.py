"""An engine that is asked for a few windows only."""

from collections.abc import Sequence

from pipeline.stage.transcribe.engine import Engine, Reply, Request


def transcribe(engine: Engine, requests: Sequence[Request]) -> list[Reply]:
    """Return what an engine makes of these windows, side by side."""
    engine.admit(requests)
    replies: dict[int, Reply] = {}
    while engine.running:
        replies |= {id(request): reply for request, reply in engine.advance()}
    return [replies[id(request)] for request in requests]
