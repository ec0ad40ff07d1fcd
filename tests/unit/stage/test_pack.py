"""Tracks offer windows and judge replies as whisper does; the packer fills batches from all of them in turn."""

from typing import Any

import numpy as np
import pytest

from pipeline.options import Options
from pipeline.relay.messages import Window
from pipeline.stage.pack.cut import Clip
from pipeline.stage.pack.packer import Packer
from pipeline.stage.pack.thresholds import has_failed, is_silence, seed, temperatures
from pipeline.stage.pack.track import Track
from pipeline.stage.transcribe.engine import SAMPLE_RATE, Heard, Reply, Span

FRENCH = Options(language="fr")


def clip(number: int, seconds: float = 20.0, speech: Any = None) -> Any:
    """Return the clip of this number in a file of clips half a minute apart."""
    start = number * 30 * SAMPLE_RATE
    spans = tuple(Span(start + int(a * SAMPLE_RATE), start + int(b * SAMPLE_RATE)) for a, b in speech or ())
    return Clip(start, np.full(int(seconds * SAMPLE_RATE), 100 + number, np.int16), spans if speech else None)


def reply(text: str = " bonjour", end: float = 20.0, **changes: dict[str, Any]) -> Any:
    """Return a good reply with one segment."""
    values = {
        "language": "fr", "segments": (Heard(start=0.0, end=end, text=text, tokens=(1, 2)),), "tokens": (1, 2),
        "consumed": end, "temperature": 0.0, "avg_logprob": -0.3, "compression_ratio": 1.3, "no_speech_prob": 0.01,
    }  # fmt: skip
    return Reply(**(values | changes))


def track(*clips: Any, options: Any = FRENCH, **more: Any) -> Any:
    made = Track(options, sha256="ab" * 32, **more)
    for each in clips:
        made.feed(each)
    return made


def answer(made: Any, *replies: Any) -> Any:
    """Answer the next offers in turn; return the requests."""
    requests = []
    for each in replies:
        window, request = made.offer()
        requests.append(request)
        made.take(window, each)
    return requests


def test_all_windows_of_one_file_can_be_out_at_once() -> None:
    """One long file alone fills a batch."""
    made = track(*(clip(number) for number in range(5)))
    assert made.ready == 5
    assert [made.offer()[0] for _ in range(5)] == [number * 480_000 for number in range(5)]
    assert made.ready == 0


def test_other_windows_wait_for_the_language() -> None:
    """It is detected once, on the first window, and holds for the file."""
    made = track(clip(0), clip(1), clip(2), options=Options())
    assert made.ready == 1
    window, request = made.offer()
    assert request.language is None
    assert made.ready == 0
    made.learn("fr")
    assert made.ready == 2
    made.take(window, reply(language="fr"))
    assert made.ready == 2
    assert made.offer()[1].language == "fr"


def test_segments_carry_the_seconds_of_the_file() -> None:
    """A window's own seconds are moved by its start, words too, and end where the window ends."""
    words = ({"word": " bon", "start": 1.0, "end": 1.5, "probability": 0.9},)
    heard = Heard(start=1.0, end=29.0, text=" bon", tokens=(7,), words=words)
    made = track(clip(2))
    answer(made, reply(segments=(heard,)))
    (window,) = made.harvest()
    (segment,) = window.segments
    assert (segment.start, segment.end, segment.seek) == (61.0, 80.0, 6000)
    assert segment.words == ({"word": " bon", "start": 61.0, "end": 61.5, "probability": 0.9},)
    assert (window.start, window.end, window.next_start) == (960_000, 1_280_000, 1_280_000)


def test_a_failed_window_comes_back_hotter_with_the_same_samples() -> None:
    """Fallback climbs the temperatures until a reply passes."""
    made = track(clip(0))
    requests = answer(made, *[reply(avg_logprob=-2.0)] * 5, reply(" enfin", temperature=1.0))
    assert [request.temperature for request in requests] == [0.0, 0.2, 0.4, 0.6, 0.8, 1.0]
    assert len({id(request.pcm) for request in requests}) == 1
    assert len({request.seed for request in requests}) == 6
    assert made.harvest()[0].segments[0].text == " enfin"


def test_what_follows_the_last_timestamp_is_offered_again() -> None:
    """No speech is dropped at the end of a window: whisper would seek there."""
    made = track(clip(0, 20, speech=[(0, 8), (9, 19)]))
    first, second = answer(made, reply(" un", end=8.5, single_ending=False), reply(" deux", end=11.5))
    assert (len(first.pcm), len(second.pcm)) == (20 * SAMPLE_RATE, int(11.5 * SAMPLE_RATE))
    (window,) = made.harvest()
    assert [(each.text, each.start, each.end) for each in window.segments] == [
        (" un", 0.0, 8.5),
        (" deux", 8.5, 20.0),
    ]


def test_a_rest_without_speech_is_let_go() -> None:
    """Silence after the last timestamp would only make Whisper invent words."""
    made = track(clip(0, 20, speech=[(0, 8)]))
    answer(made, reply(end=8.2))
    assert made.ready == 0


def test_a_window_without_speech_has_no_text() -> None:
    """Improbable text with a high probability of silence is dropped, without fallback."""
    made = track(clip(0))
    answer(made, reply(" Merci.", no_speech_prob=0.9, avg_logprob=-1.5))
    assert made.harvest()[0].segments == ()


def test_the_file_is_finished_when_its_end_is_known() -> None:
    """Windows may finish in any order; the file has them in order."""
    made = track(clip(0), clip(1))
    offers = [made.offer(), made.offer()]
    made.take(offers[1][0], reply(" deux"))
    assert [window.start for window in made.harvest()] == [480_000]
    made.take(offers[0][0], reply(" un"))
    assert not made.finished
    made.end()
    assert made.finished
    assert [window.segments[0].text for window in made.windows] == [" un", " deux"]
    assert [window.start for window in made.harvest()] == [0]


def test_finished_windows_of_an_earlier_lease_are_not_offered() -> None:
    """Resumed windows are taken as they are, and say which language it was."""
    before = Window(start=0, end=clip(0).end, next_start=clip(0).end, language="fr")
    made = track(options=Options(), resume=[before])
    assert made.feed(clip(0)) is False
    assert made.feed(clip(1)) is True
    assert made.offer()[1].language == "fr"
    assert made.windows == (before,)
    assert made.harvest() == ()


def test_a_window_cut_elsewhere_is_done_anew() -> None:
    """A resumed window counts only for exactly the same stretch."""
    made = track(resume=[Window(start=0, end=123, next_start=123)])
    assert made.feed(clip(0)) is True


@pytest.mark.parametrize(
    ("named", "expected"),
    [
        ({}, [0.0, 0.2, 0.4, 0.6, 0.8, 1.0]),
        ({"temperature": 0.5}, [0.5, 0.7, 0.9]),
        ({"temperature_increment_on_fallback": None}, [0.0]),
        ({"temperature": 1.0}, [1.0]),
    ],
)
def test_temperatures_are_whispers(named: dict[str, Any], expected: list[float]) -> None:
    """The steps of whisper's command line: numpy.arange(temperature, 1.0 + 1e-6, increment)."""
    assert temperatures(Options(**named)) == expected


@pytest.mark.parametrize(
    ("changes", "failed", "silent"),
    [
        ({}, False, False),
        ({"compression_ratio": 2.5}, True, False),
        ({"avg_logprob": -1.1}, True, False),
        ({"avg_logprob": -1.1, "no_speech_prob": 0.7}, False, True),
        ({"no_speech_prob": 0.7}, False, False),
        ({"compression_ratio": 2.5, "no_speech_prob": 0.7}, True, False),
        ({"compression_ratio": 2.5, "avg_logprob": -1.1, "no_speech_prob": 0.7}, False, True),
    ],
)
def test_replies_are_judged_as_whisper_judges_them(
    changes: dict[str, Any], failed: bool, silent: bool
) -> None:
    """The thresholds of whisper/transcribe.py, and how they work together."""
    assert (has_failed(reply(**changes), FRENCH), is_silence(reply(**changes), FRENCH)) == (failed, silent)


def test_seeds_depend_on_file_window_and_temperature_only() -> None:
    """The same in every run, different for each window and temperature, and small enough for torch."""
    seeds = {seed("ab", 0, 0.2), seed("ab", 0, 0.4), seed("ab", 1, 0.2), seed("cd", 0, 0.2)}
    assert len(seeds) == 4
    assert max(seeds) < 2**63


# ---- the packer ----


def packed(packer: Any, free: int, slots: int | None = None, *, coming: bool = False) -> Any:
    rows = packer.rows(free, slots or free, more_coming=coming)
    return [(row.track, row.window) for row in rows]


def packer_of(*tracks: Any) -> Any:
    packer = Packer()
    for each in tracks:
        packer.add(each)
    return packer


def test_windows_of_all_files_join_in_turn() -> None:
    """A short file is not stuck behind a long one."""
    long, short = track(*(clip(number) for number in range(9))), track(clip(0))
    assert packed(packer_of(long, short), 4) == [(long, 0), (long, 480_000), (short, 0), (long, 960_000)]


def test_every_file_is_served_before_any_is_served_thrice() -> None:
    """With more files than slots, those that had nothing get every other row."""
    files = [track(*(clip(number) for number in range(9))) for _ in range(5)]
    packer = packer_of(*files)
    served = [file for _ in range(5) for file, _ in packed(packer, 2)]
    assert all(files.index(file) <= number for number, file in enumerate(served))
    assert {id(file) for file in served[:9]} == {id(file) for file in files}


def test_a_newcomer_goes_before_those_that_were_served() -> None:
    """However many files are in line: its first window waits for two rows at most."""
    files = [track(*(clip(number) for number in range(9))) for _ in range(20)]
    packer = packer_of(*files)
    packed(packer, 40)
    newcomer = track(clip(0))
    packer.add(newcomer)
    assert newcomer in [file for file, _ in packed(packer, 2)]


def test_a_stream_of_newcomers_does_not_stop_a_long_file() -> None:
    """Every other row is its own."""
    long = track(*(clip(number) for number in range(9)))
    packer = packer_of(long)
    packed(packer, 1)
    for _ in range(20):
        packer.add(track(clip(0)))
    assert [file is long for file, _ in packed(packer, 8)].count(True) == 4


def test_windows_join_in_groups() -> None:
    """Each admission costs those that run a step: one free slot of sixteen waits for another."""
    long = track(*(clip(number) for number in range(9)))
    packer = packer_of(long)
    assert packed(packer, 1, 16) == []
    assert len(packed(packer, 2, 16)) == 2


def test_nothing_waits_for_a_batch_in_which_nothing_runs() -> None:
    """Newcomers join later; and an engine with few slots has no groups."""
    packer = packer_of(track(clip(0), clip(1), clip(2)))
    assert len(packed(packer, 1, 1, coming=True)) == 1
    assert len(packed(packer, 16, 16, coming=True)) == 2


def test_the_last_windows_do_not_wait_for_a_group() -> None:
    """Nothing else is coming that could fill it."""
    packer = packer_of(track(clip(0)))
    assert packed(packer, 1, 16, coming=True) == []
    assert len(packed(packer, 1, 16)) == 1


def test_a_file_that_left_is_not_served() -> None:
    """Cancelled files take no place."""
    packer = Packer()
    gone = track(clip(0))
    packer.add(gone)
    packer.remove(gone)
    assert packed(packer, 4) == []


def test_what_is_urgent_joins_before_all_others_and_waits_for_no_group() -> None:
    """Somebody waits for it: one free slot of sixteen is enough."""
    packer = packer_of(track(*(clip(number) for number in range(9))))
    first, second = track(clip(0), clip(1)), track(clip(0))
    packer.add(first, urgent=True)
    packer.add(second, urgent=True)
    assert packed(packer, 1, 16, coming=True) == [(first, 0)]
    assert [file for file, _ in packed(packer, 4)][:2] == [second, first]
    packer.remove(first)
    packer.remove(second)
    assert len(packed(packer, 4)) == 4


def test_only_what_is_urgent_joins_while_batch_work_is_paused() -> None:
    urgent = track(clip(0))
    packer = packer_of(track(clip(0)))
    packer.add(urgent, urgent=True)
    assert [row.track for row in packer.rows(4, 4, more_coming=False, only_urgent=True)] == [urgent]
    assert packer.rows(4, 4, more_coming=False, only_urgent=True) == []
