"""What looks wrong in a transcript becomes a warning; ordinary speech makes none."""

from typing import Any

import msgspec
import numpy as np
import pytest

from pipeline.relay.messages import Segment, Window
from pipeline.stage.pack.cut import Clip
from pipeline.stage.quality import file_warnings, window_warnings, without_loop
from pipeline.stage.transcribe.engine import SAMPLE_RATE, Span


def said(text: str, start: float = 0.0, end: float = 20.0) -> Any:
    return Segment(start=start, end=end, text=text, tokens=(1,))


def heard(*spans: Any, seconds: float = 20) -> Any:
    speech = tuple(Span(start * SAMPLE_RATE, end * SAMPLE_RATE) for start, end in spans)
    return Clip(0, np.zeros(seconds * SAMPLE_RATE, np.int16), speech)


def codes(*segments: Any, clip: Any = None) -> Any:
    return [warning.partition(":")[0] for warning in window_warnings(segments, clip)]


@pytest.mark.parametrize(
    "text",
    [
        " And so, my fellow Americans, ask not what your country can do for you, ask what you can do for your country.",
        " Elle est là, elle est là, disait-il, et tout le monde riait de bon cœur.",
        " No, no, no, no. Je ne veux pas.",
        "",
    ],
)
def test_ordinary_speech_raises_nothing(text: str) -> None:
    """Repetition for effect is not a loop."""
    assert codes(said(text)) == []


@pytest.mark.parametrize(
    "text", [" la même phrase encore," * 12, " merci" * 9, " I am here. You are there." * 4]
)
def test_a_loop_is_told(text: str) -> None:
    """The same words again and again are the model's, not the speaker's."""
    assert "loop" in codes(said(text))


def test_a_loop_is_cut_to_one_saying() -> None:
    """Across segments, with what was said before and after it, and with its words."""
    words = tuple(
        {"word": f" {word}", "start": at, "end": at + 1} for at, word in enumerate(["Bon.", *"abab"])
    )
    first = msgspec.structs.replace(said(" Bon. a b a b"), words=words)
    cut = without_loop([first, said(" A, b."), said(" a b a b"), said(" Fin.")])
    assert [each.text for each in cut] == [" Bon. a b", " Fin."]
    assert cut[0].words == words[:3]


@pytest.mark.parametrize(
    ("text", "timed", "kept"),
    [
        (" - Bon. a b a b", [" - Bon.", " a", " b", " a", " b"], [" - Bon.", " a", " b"]),
        (" 你好" + " 吗啊" * 9, [" 你", "好", *[" 吗", "啊"] * 9], [" 你", "好", " 吗", "啊"]),
    ],
    ids=["a mark that stands alone", "words of one letter"],
)
def test_a_loop_is_cut_with_its_own_words(text: str, timed: list[str], kept: list[str]) -> None:
    """Where the words that are timed are not those between the spaces."""
    words = tuple({"word": word, "start": at, "end": at + 1} for at, word in enumerate(timed))
    first = msgspec.structs.replace(said(text), words=words)
    (cut, *_) = without_loop([first, said(" a b a b")])
    assert [each["word"] for each in cut.words] == kept


def test_segments_without_a_loop_stay_as_they_are() -> None:
    """Also where a refrain comes back."""
    segments = [said(" Elle est là."), said(" Elle est là."), said(" Oui.")]
    assert without_loop(segments) == segments


@pytest.mark.parametrize(
    "text",
    [
        " Sous-titres réalisés par la communauté d'Amara.org",
        " Sous-titrage ST' 501",
        " Thanks for watching!",
        " Merci d'avoir regardé cette vidéo !",
        " Untertitel der Amara.org-Community",
        " Субтитры сделал DimaTorzok",
    ],
)
def test_phantom_phrases_are_told(text: str) -> None:
    """Credits of subtitled videos, whatever their accents and punctuation."""
    assert codes(said(text)) == ["phantom"]


def test_words_faster_than_speech_are_told() -> None:
    """Forty words do not fit into two seconds."""
    assert codes(said(" ".join(f"{number * 7919 % 9973:x}" for number in range(1, 41)), 0.0, 2.0)) == [
        "too_fast"
    ]


def test_text_where_no_voice_was_found_is_told() -> None:
    """A segment that touches no span of speech was probably invented."""
    assert codes(said(" Oui.", 12, 14), clip=heard((1, 8))) == ["text_in_silence"]
    assert codes(said(" Oui.", 7.8, 9), clip=heard((1, 8))) == []


def test_speech_without_text_is_told() -> None:
    """A voice of several seconds should have left words."""
    assert codes(clip=heard((1, 8))) == ["untranscribed"]
    assert codes(clip=heard((1, 2))) == []


def test_a_files_warnings_say_where() -> None:
    """Each kind once, with the first places."""
    loop = window_warnings([said(" merci" * 9)], None)
    windows = [
        Window(start=at * SAMPLE_RATE, end=0, next_start=0, segments=(said("x"),), warnings=loop)
        for at in (0, 30, 60, 3700)
    ]
    assert file_warnings(windows) == [
        "loop: the same words again and again, at 0:00:00, 0:00:30, 0:01:00 and 1 more"
    ]


def test_a_file_without_words_says_so() -> None:
    """Silence is no failure, but somebody may wonder."""
    assert file_warnings([]) == ["no_speech: no words were heard"]
