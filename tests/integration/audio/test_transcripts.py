"""What OpenAI's own client hears of a recording, in each format."""

import shutil
from pathlib import Path

import httpx2
import openai
import pytest

from tests.acceptance.harness import until
from tests.integration.audio.bench import Bench


@pytest.fixture(scope="module")
def text(client: openai.OpenAI, sound: Path) -> str:
    return client.audio.transcriptions.create(model="whisper-1", file=sound).text


def test_json_is_the_text_and_the_seconds_it_took(client: openai.OpenAI, sound: Path) -> None:
    heard = client.audio.transcriptions.create(model="whisper-1", file=sound)
    assert len(heard.text.split()) > 8
    assert heard.text == heard.text.strip()
    assert heard.usage
    assert heard.usage.to_dict() == {"type": "duration", "seconds": 120}


def test_text_is_the_same_text_and_an_end_of_line(client: openai.OpenAI, sound: Path, text: str) -> None:
    heard = client.audio.transcriptions.create(model="whisper-1", file=sound, response_format="text")
    assert heard == f"{text}\n"


@pytest.mark.parametrize(
    ("response_format", "begins"), [("srt", "1\n00:00:00,000 --> "), ("vtt", "WEBVTT\n\n")]
)
def test_subtitles_are_those_of_whisper(
    client: openai.OpenAI, sound: Path, text: str, response_format: str, begins: str
) -> None:
    """A cue for each segment, plain text as OpenAI sends it."""
    answer = client.audio.transcriptions.with_raw_response.create(
        model="whisper-1",
        file=sound,
        response_format=response_format,  # type: ignore[call-overload]
    )
    assert answer.headers["content-type"] == "text/plain; charset=utf-8"
    heard = answer.text
    assert heard.startswith(begins)
    spoken = [line for line in heard.splitlines() if line and line[0].islower()]
    assert " ".join(spoken) == text


def test_verbose_json_tells_language_duration_and_segments(
    client: openai.OpenAI, sound: Path, text: str
) -> None:
    """All of whisper's fields; no words unless they are asked for."""
    heard = client.audio.transcriptions.create(model="whisper-1", file=sound, response_format="verbose_json")
    assert (heard.language, heard.duration, heard.text) == ("english", 120.0, text)
    assert heard.segments
    assert "".join(each.text for each in heard.segments).strip() == text
    assert [each.id for each in heard.segments] == list(range(len(heard.segments)))
    assert set(heard.segments[0].to_dict()) == {
        "id", "seek", "start", "end", "text", "tokens", "temperature", "avg_logprob", "compression_ratio",
        "no_speech_prob",
    }  # fmt: skip
    assert heard.words is None
    assert heard.to_dict()["task"] == "transcribe"


def test_words_come_instead_of_segments_where_only_they_are_asked_for(
    client: openai.OpenAI, sound: Path, text: str
) -> None:
    heard = client.audio.transcriptions.create(
        model="whisper-1", file=sound, response_format="verbose_json", timestamp_granularities=["word"]
    )
    assert heard.words
    assert " ".join(each.word for each in heard.words) == text
    assert all(before.end <= after.start for before, after in zip(heard.words, heard.words[1:], strict=False))
    assert heard.segments is None


def test_words_and_segments_come_where_both_are_asked_for(client: openai.OpenAI, sound: Path) -> None:
    heard = client.audio.transcriptions.create(
        model="whisper-1",
        file=sound,
        response_format="verbose_json",
        timestamp_granularities=["word", "segment"],
    )
    assert heard.words
    assert heard.segments


def test_a_stream_tells_pieces_in_order_and_then_the_whole(
    client: openai.OpenAI, sound: Path, text: str
) -> None:
    """The pieces joined are the text."""
    events = list(client.audio.transcriptions.create(model="whisper-1", file=sound, stream=True))
    deltas = [event.delta for event in events if event.type == "transcript.text.delta"]
    assert len(deltas) > 2
    assert "".join(deltas) == text
    assert events[-1].type == "transcript.text.done"
    assert events[-1].to_dict() == {
        "type": "transcript.text.done", "text": text, "usage": {"type": "duration", "seconds": 120},
    }  # fmt: skip


def test_a_stream_begins_before_the_whole_is_done(client: openai.OpenAI, hour: Path, bench: Bench) -> None:
    """And ends when the client has had enough."""
    with client.audio.transcriptions.create(model="whisper-1", file=hour, stream=True) as stream:
        assert next(iter(stream)).type == "transcript.text.delta"
    until(lambda: bench.is_clean)


def test_a_translation_is_one_into_english(client: openai.OpenAI, sound: Path) -> None:
    """The task is told, and so is the language of what was written."""
    heard = client.audio.translations.create(model="whisper-1", file=sound, response_format="verbose_json")
    said = heard.to_dict()
    assert (said["task"], said["language"], said["duration"]) == ("translate", "english", 120.0)
    assert said["segments"]


def test_the_same_recording_gives_the_same_text_through_the_drop_folder(
    bench: Bench, sound: Path, text: str
) -> None:
    folder = bench.workdir / "dropped"
    folder.mkdir()
    shutil.copy(sound, folder)
    bench.core.submit("dropped", {})
    until((folder / "talk.txt").exists)
    assert (folder / "talk.txt").read_text().split() == text.split()


def test_the_models_are_the_configured_one_and_those_whose_weights_are_there(
    client: openai.OpenAI, bench: Bench
) -> None:
    cache = bench.core.settings.path2whisper_cache
    cache.mkdir(exist_ok=True)
    (cache / "large-v3.pt").touch()
    (cache / "base.from-ctranslate2.pt").touch()
    names = [each.id for each in client.models.list()]
    assert names == ["whisper-1", "tiny", "base", "large-v3", "large"]
    assert client.models.retrieve("small").id == "small"


def test_another_model_than_the_configured_one_can_be_named(client: openai.OpenAI, sound: Path) -> None:
    assert client.audio.transcriptions.create(model="base.en", file=sound).text


def test_fields_of_other_models_and_clients_do_no_harm(url: str, sound: Path) -> None:
    """Empty ones, unknown ones, a list without brackets, a language in capitals."""
    form = {
        "model": "whisper-1", "language": "FR", "prompt": "", "chunking_strategy": "auto", "user": "me",
        "response_format": "verbose_json", "timestamp_granularities": "word", "stream": "false",
        "temperature": "0.2",
    }  # fmt: skip
    with sound.open("rb") as file:
        answer = httpx2.post(f"{url}/v1/audio/transcriptions", data=form, files={"file": file}, timeout=60)
    said = answer.json()
    assert (answer.status_code, said["language"]) == (200, "french")
    assert said["words"]
