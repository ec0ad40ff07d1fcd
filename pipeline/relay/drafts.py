"""From a stage's result, or from a transcript that lies there, to the bytes of its outputs. Pure but for reading."""

from __future__ import annotations

import hashlib
from dataclasses import asdict, dataclass, replace
from typing import TYPE_CHECKING, Any

import msgspec

from pipeline import formats
from pipeline.errors import NotFoundError
from pipeline.named import parse_named
from pipeline.options import FORMATS, TEXT_NAMES, Options, merge
from pipeline.outputs import output_paths, split
from pipeline.provenance import Document, Duration, ModelRecord, Provenance, json_document, source_record
from pipeline.tasks import Fingerprint, display

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from pipeline.outputs import Written
    from pipeline.relay.messages import Result, Segment


@dataclass(frozen=True, slots=True, kw_only=True)
class Draft:
    """A transcript whose outputs have no names yet."""

    path: bytes  # the source, relative to the workdir
    segments: formats.Segments
    provenance: Provenance
    layout: Options  # how it is rendered: formats, line widths


@dataclass(frozen=True, slots=True, kw_only=True)
class Prepared:
    """The outputs of one source as they are to be written."""

    path: bytes  # the source, relative to the workdir
    files: tuple[tuple[bytes, bytes], ...]  # name, content; the JSON last
    hashes: tuple[tuple[bytes, str], ...]  # name, SHA-256; in the same order
    outputs: tuple[str, ...]  # display paths
    warnings: tuple[str, ...]

    @property
    def sha256(self) -> str:
        """The JSON's."""
        return self.hashes[-1][1]


def from_result(path: bytes, result: Result, options: Options, version: str) -> Draft:
    """Return the draft of what a stage heard."""
    fingerprint = Fingerprint(result.size, result.mtime_ns)
    provenance = Provenance(
        version=version,
        source=source_record(display(split(path)[1]), fingerprint, result.sha256),
        model=ModelRecord(name=result.model, sha256=result.model_sha256),
        options=asdict(options),
        language=result.language,
        duration=Duration(declared=result.duration, decoded=result.decoded),
        warnings=tuple(dict.fromkeys(_warnings(result))),
    )
    return Draft(path=path, segments=segments_of(result), provenance=provenance, layout=options)


def segments_of(result: Result) -> list[dict[str, Any]]:
    """Return all segments of what a stage heard, as whisper's JSON has them."""
    heard = [segment for window in result.windows for segment in window.segments]
    with_words = any(segment.words is not None for segment in heard)
    return [_segment(number, segment, with_words=with_words) for number, segment in enumerate(heard)]


def from_written(path: bytes, written: Written) -> Draft:
    """Return the draft of a transcript that lies there, laid out as it is. Raises NotFoundError if it is damaged."""
    try:
        document, layout = _read(written.read())
    except (OSError, ValueError) as error:
        raise NotFoundError(f"{display(written.json)} cannot be used ({error})") from error
    own = tuple(each for each in written.warnings if each not in written.provenance.names_taken)
    provenance = msgspec.structs.replace(written.provenance, warnings=own)
    return Draft(path=path, segments=document.segments, provenance=provenance, layout=layout)


def in_format(raw: bytes, format_: str) -> str:
    """Return a transcript's JSON in another format, laid out as its other outputs. Raises ValueError."""
    document, layout = _read(raw)
    return formats.render(format_, document.segments, layout)


def laid_out(draft: Draft, options: Options) -> Draft:
    """Return the draft with these options' formats and line widths."""
    kept = {name: value for name, value in draft.provenance.options.items() if name in TEXT_NAMES}
    provenance = msgspec.structs.replace(draft.provenance, options=asdict(options) | kept)
    return replace(draft, provenance=provenance, layout=options)


def moved(draft: Draft, path: bytes, fingerprint: Fingerprint) -> Draft:
    """Return the draft for the same recording at another path."""
    source = source_record(display(split(path)[1]), fingerprint, draft.provenance.source.sha256)
    return replace(draft, path=path, provenance=msgspec.structs.replace(draft.provenance, source=source))


def prepare(draft: Draft, names: Mapping[str, bytes], names_taken: tuple[str, ...]) -> Prepared:
    """Render a draft under these names (by format)."""
    texts = [
        (names[each], formats.render(each, draft.segments, draft.layout).encode())
        for each in FORMATS
        if each in names and each != "json"
    ]
    hashes = [(name, hashlib.sha256(content).hexdigest()) for name, content in texts]
    provenance = msgspec.structs.replace(
        draft.provenance,
        options=draft.provenance.options | {"output_format": [each for each in FORMATS if each in names]},
        warnings=draft.provenance.warnings + names_taken,
        names_taken=names_taken,
        outputs={display(name): sha256 for name, sha256 in hashes},
    )
    raw = json_document(draft.segments, provenance)
    return Prepared(
        path=draft.path,
        files=(*texts, (names["json"], raw)),
        hashes=(*hashes, (names["json"], hashlib.sha256(raw).hexdigest())),
        outputs=output_paths(draft.path, names["json"], provenance),
        warnings=provenance.warnings,
    )


def _warnings(result: Result) -> Iterator[str]:
    yield from result.warnings
    for window in result.windows:
        yield from window.warnings


def _segment(number: int, segment: Segment, *, with_words: bool) -> dict[str, Any]:
    """Return a segment in the order of whisper's keys (whisper/transcribe.py, `new_segment`)."""
    return {
        "id": number,
        "seek": segment.seek,
        "start": segment.start,
        "end": segment.end,
        "text": segment.text,
        "tokens": segment.tokens,
        "temperature": segment.temperature,
        "avg_logprob": segment.avg_logprob,
        "compression_ratio": segment.compression_ratio,
        "no_speech_prob": segment.no_speech_prob,
    } | ({"words": segment.words or ()} if with_words else {})


def _read(raw: bytes) -> tuple[Document, Options]:
    document = msgspec.json.decode(raw, type=Document)
    return document, merge(Options(), parse_named(_layout(document.provenance.options)))


def _layout(options: Mapping[str, Any]) -> dict[str, Any]:
    return {
        name: value for name, value in options.items() if name in asdict(Options()) and name not in TEXT_NAMES
    }
