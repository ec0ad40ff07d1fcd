"""What a track asks of the engine, and makes of a window that fails at every temperature."""

from typing import Any

import numpy as np

from pipeline.options import Options
from pipeline.stage.pack.cut import Clip
from pipeline.stage.pack.track import Track
from pipeline.stage.transcribe.engine import SAMPLE_RATE, Heard, Reply, Span

IMPROBABLE, LOOP = -1.5, 3.0


def reply(text: str, temperature: float, logprob: float = -0.3, compression: float = 1.3) -> Any:
    return Reply(
        language="fr", segments=(Heard(start=0.0, end=20.0, text=text, tokens=(1, 2)),), tokens=(1, 2),
        consumed=20.0, temperature=temperature, avg_logprob=logprob, compression_ratio=compression,
        no_speech_prob=0.01,
    )  # fmt: skip


def heard(*replies: Any) -> Any:
    """Return the window that a track makes of these replies, at temperatures 0, 0.2, 0.4 and so on."""
    track = Track(Options(language="fr"), sha256="ab" * 32)
    track.feed(Clip(0, np.zeros(20 * SAMPLE_RATE, np.int16)))
    for each in replies:
        window, _ = track.offer()
        track.take(window, each)
    (window,) = track.harvest()
    return window


def said(*replies: Any) -> Any:
    return [each.text for each in heard(*replies).segments]


def test_the_likeliest_of_failed_replies_is_taken() -> None:
    """At the highest temperature there is little left of what was said."""
    failed = [reply(f" {number}", number / 5, IMPROBABLE - (number != 1)) for number in range(6)]
    assert said(*failed) == [" 1"]


def test_a_loop_is_taken_only_when_there_is_nothing_else() -> None:
    """Loops are likely to the model, and wrong."""
    loops = [reply(" la la", number / 5, compression=LOOP) for number in range(5)]
    assert said(*loops, reply(" enfin", 1.0, IMPROBABLE)) == [" enfin"]


def test_the_first_good_reply_ends_the_climb() -> None:
    """A reply that passes is taken, however likely one that failed was."""
    assert said(reply(" la la", 0.0, -0.1, LOOP), reply(" bon", 0.2, -0.9)) == [" bon"]


def test_a_loop_at_every_temperature_is_cut_and_told() -> None:
    """One saying stays, and the warning says that something is wrong here."""
    window = heard(
        *[
            reply(" et voici" + " encore la même phrase" * 9, number / 5, compression=LOOP)
            for number in range(6)
        ]
    )
    assert [each.text for each in window.segments] == [" et voici encore la même phrase"]
    assert window.warnings == ("loop: the same words again and again",)


def test_what_a_speaker_repeats_stays() -> None:
    """Words of a reply that passes are never cut."""
    assert said(reply(" non" * 9, 0.0)) == [" non" * 9]


def asked(speech: Any) -> Any:
    """Return what is asked of the engine for a clip of 20 s."""
    track = Track(Options(language="fr"), sha256="ab" * 32)
    track.feed(Clip(30 * SAMPLE_RATE, np.zeros(20 * SAMPLE_RATE, np.int16), speech))
    return track.offer()[1]


def test_the_engine_is_told_how_far_there_is_speech() -> None:
    """So that it says the last segment of a window, which whisper would leave to the next one."""
    assert asked((Span(31 * SAMPLE_RATE, 45 * SAMPLE_RATE),)).speech_until == 14.4
    assert asked((Span(31 * SAMPLE_RATE, 50 * SAMPLE_RATE),)).speech_until == 19.0
    assert asked(None).speech_until == 19.0
