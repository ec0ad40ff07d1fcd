"""Our text formats are whisper's own, byte for byte."""

import importlib.util
import io
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.formats import render, rfc3339, transcript
from pipeline.options import Options

FORMATS = ("txt", "srt", "vtt", "tsv")


def load_whisper_utils() -> ModuleType:
    """Load whisper/utils.py by itself: the package would import torch."""
    package = importlib.util.find_spec("whisper")
    assert package
    assert package.origin
    spec = importlib.util.spec_from_file_location("whisper_utils", Path(package.origin).with_name("utils.py"))
    assert spec
    assert spec.loader
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


WHISPER = load_whisper_utils()


def by_whisper(format_: str, segments: list[dict[str, Any]], options: Options) -> str:
    """Write a result with whisper's own writer."""
    layout = {
        name: getattr(options, name)
        for name in ("highlight_words", "max_line_width", "max_line_count", "max_words_per_line")
    }
    file = io.StringIO()
    WHISPER.get_writer(format_, ".").write_result({"segments": segments}, file=file, options=layout)
    return file.getvalue()


def spoken(text: str, start: float, *, pace: float = 0.31) -> dict[str, Any]:
    """Return a segment with a time for every word, as whisper has it."""
    words = [
        {
            "word": f" {word}",
            "start": start + index * pace,
            "end": start + (index + 0.8) * pace,
            "probability": 0.9,
        }
        for index, word in enumerate(text.split())
    ]
    end = words[-1]["end"] if words else start
    return {"start": start, "end": end, "text": f" {text}", "words": words}


def plain(text: str, start: float, end: float) -> dict[str, Any]:
    return {"start": start, "end": end, "text": text}


RESULTS = {
    "nothing heard": [],
    "French": [plain(" Où est l'été ? « Là-bas », dit-elle.", 0.0, 4.28), plain(" Ça va…", 4.28, 5.0)],
    "an arrow and a tab": [plain(" a --> b\tc", 0.0, 1.0), plain("\tx --> y ", 1.0, 2.0)],
    "empty text": [plain("", 0.0, 0.0), plain("   ", 1.0, 1.0), plain(" after", 1.0, 2.5)],
    "over an hour": [plain(" late", 3599.9996, 3600.4), plain(" later", 360000.123, 360001.5)],
    "line breaks within": [plain(" one\ntwo ", 0.0, 2.0)],
    "words": [
        spoken("Mesdames et messieurs , bonjour à toutes et à tous .", 0.0),
        spoken("Nous parlerons --> aujourd'hui d' une\u00a0chose", 4.5),
        spoken("après une longue pause , vraiment longue", 20.0),
    ],
    "words over an hour": [spoken("the end of a very long recording", 7199.7)],
    "a cleared segment among words": [
        spoken("first", 0.0),
        {"start": 1.0, "end": 1.0, "text": "", "words": []},
        spoken("third and last", 2.0),
    ],
    "only cleared segments": [{"start": 1.0, "end": 1.0, "text": "", "words": []}],
}
LAYOUTS = [
    Options(),
    Options(highlight_words=True),
    Options(max_line_width=12),
    Options(max_line_count=2),
    Options(max_line_width=16, max_line_count=2),
    Options(max_line_width=10, max_line_count=1, highlight_words=True),
    Options(max_words_per_line=3),
    Options(max_words_per_line=1, highlight_words=True),
    Options(max_words_per_line=4, max_line_width=9),
    Options(max_words_per_line=2, max_line_width=20, max_line_count=3),
]


@pytest.mark.parametrize("format_", FORMATS)
@pytest.mark.parametrize("layout", LAYOUTS, ids=range(len(LAYOUTS)))
@pytest.mark.parametrize("result", RESULTS.values(), ids=RESULTS)
def test_formats_equal_whispers_own(result: list[dict[str, Any]], layout: Options, format_: str) -> None:
    """Every format, result and layout: the same text as whisper writes."""
    assert render(format_, result, layout) == by_whisper(format_, result, layout)


times = st.floats(0, 400_000, allow_nan=False)
texts = st.text(st.characters(codec="utf-8"), max_size=12)
words = st.fixed_dictionaries({"word": texts, "start": times, "end": times, "probability": st.just(1.0)})
with_words = st.fixed_dictionaries(
    {"start": times, "end": times, "text": texts, "words": st.lists(words, max_size=8)}
)
without_words = st.fixed_dictionaries({"start": times, "end": times, "text": texts})
limits = st.none() | st.integers(1, 30)
layouts = st.builds(
    Options,
    highlight_words=st.booleans(),
    max_line_width=limits,
    max_line_count=st.none() | st.integers(1, 4),
    max_words_per_line=limits,
)


@given(
    st.sampled_from(FORMATS), st.lists(with_words, max_size=5) | st.lists(without_words, max_size=5), layouts
)
def test_any_result_in_any_layout_equals_whispers_own(
    format_: str, segments: list[dict[str, Any]], layout: Options
) -> None:
    """Whatever was said and however it is laid out, whisper writes the same."""
    assert render(format_, segments, layout) == by_whisper(format_, segments, layout)


def test_the_whole_text_is_that_of_the_segments_joined() -> None:
    """The text keeps each segment's leading space, as whisper's decoding of all tokens does."""
    assert transcript([plain(" One.", 0, 1), plain("", 1, 1), plain(" Two.", 1, 2)]) == " One. Two."


def test_times_are_rfc_3339_in_utc() -> None:
    """Milliseconds and Z."""
    assert rfc3339(1_700_000_000.25) == "2023-11-14T22:13:20.250Z"


def test_a_time_that_no_calendar_has_is_empty() -> None:
    """A nonsense mtime must not stop a transcript."""
    assert rfc3339(1e18) == ""
