"""A finished transcript in the format that was asked for. Pure."""

from __future__ import annotations

import json
import math
from typing import TYPE_CHECKING, Any

from starlette.responses import Response

from pipeline import formats
from pipeline.languages import LANGUAGES
from pipeline.relay.drafts import segments_of

if TYPE_CHECKING:
    from api.audio.fields import Asked
    from api.audio.waiting import Heard

TEXT = "text/plain; charset=utf-8"


def whole(heard: Heard, asked: Asked) -> Response:
    """Return the answer to a client that waited for all of it."""
    if asked.response_format == "json":
        return _json({"text": text_of(heard), "usage": usage(heard)})
    if asked.response_format == "verbose_json":
        return _json(_verbose(heard, asked))
    if asked.response_format == "text":
        return Response(text_of(heard) + "\n", media_type=TEXT)
    segments = segments_of(heard.result)
    return Response(formats.render(asked.response_format, segments, heard.options), media_type=TEXT)


def text_of(heard: Heard) -> str:
    """Return the whole text."""
    return formats.transcript(segments_of(heard.result)).strip()


def usage(heard: Heard) -> dict[str, Any]:
    """Return what OpenAI would charge for: begun seconds."""
    return {"type": "duration", "seconds": math.ceil(heard.result.decoded)}


def _verbose(heard: Heard, asked: Asked) -> dict[str, Any]:
    segments = segments_of(heard.result)
    translates = heard.options.task == "translate"
    code = "en" if translates else heard.result.language or ""
    answer: dict[str, Any] = {
        "task": heard.options.task,
        "language": LANGUAGES.get(code, code),
        "duration": heard.result.decoded,
        "text": formats.transcript(segments).strip(),
    }
    if asked.segments:
        answer["segments"] = [{k: v for k, v in each.items() if k != "words"} for each in segments]
    if asked.words:
        answer["words"] = [
            {"word": word["word"].strip(), "start": word["start"], "end": word["end"]}
            for each in segments
            for word in each.get("words") or ()
        ]
    return answer | {"usage": usage(heard)}


def _json(body: dict[str, Any]) -> Response:
    return Response(json.dumps(body, ensure_ascii=False), media_type="application/json")
