"""What OpenAI's own client raises, and what it says."""

import json
import urllib.error
import urllib.request
import wave
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import msgspec
import openai
import pytest

from api.keys import file as keys_file
from api.keys.key import Scope, new_key
from api.keys.ring import Ring
from pipeline.errors import UnavailableError
from pipeline.settings import Settings
from pipeline.stage.transcribe import fake
from tests.integration.audio.bench import Bench, connect, door_of

FIELDS: list[tuple[str, dict[str, Any]]] = [
    ("response_format", {"response_format": "diarized_json"}),
    ("response_format", {"response_format": "docx"}),
    ("temperature", {"temperature": 2.0}),
    ("language", {"language": "klingon"}),
    ("prompt", {"prompt": "a\0b"}),
    ("timestamp_granularities[]", {"timestamp_granularities": ["word"]}),
    ("timestamp_granularities[]", {"response_format": "verbose_json", "timestamp_granularities": ["letter"]}),
    ("include[]", {"include": ["logprobs"]}),
    ("known_speaker_names[]", {"known_speaker_names": ["Ann"]}),
    ("stream", {"extra_body": {"stream": "perhaps"}}),
]


@pytest.mark.parametrize(("param", "fields"), FIELDS)
def test_a_field_that_cannot_be_used_is_named(
    client: openai.OpenAI, sound: Path, bench: Bench, param: str, fields: dict[str, Any]
) -> None:
    with pytest.raises(openai.BadRequestError) as raised:
        client.audio.transcriptions.create(model="whisper-1", file=sound, **fields)
    assert (raised.value.param, raised.value.type) == (param, "invalid_request_error")
    assert bench.is_clean


@pytest.mark.parametrize("content", [b"", b"nonsense", b"RIFF\0\0\0\0WAVEfmt "])
@pytest.mark.parametrize("stream", [False, True])
def test_what_is_no_recording_is_a_bad_request(client: openai.OpenAI, content: bytes, stream: bool) -> None:
    """In the name that the client gave; streamed or not, it has a status of its own."""
    with pytest.raises(openai.BadRequestError, match=r"talk\.mp3") as raised:
        client.audio.transcriptions.create(model="whisper-1", file=("talk.mp3", content), stream=stream)
    assert raised.value.param == "file"


def test_a_recording_that_kills_the_stage_twice_is_a_bad_request(
    client: openai.OpenAI, bench: Bench, tmp_path: Path
) -> None:
    """Nor does it take others along, or wait for the end of a pause."""
    deadly = _wav(tmp_path / "deadly.wav", fake.marked(fake.CRASH).tobytes())
    bench.core.pause()
    try:
        with pytest.raises(openai.BadRequestError, match="the transcriber"):
            client.audio.transcriptions.create(model="whisper-1", file=deadly)
    finally:
        bench.core.resume()
    assert bench.is_clean


def test_an_unknown_model_is_not_found(client: openai.OpenAI, sound: Path) -> None:
    with pytest.raises(openai.NotFoundError, match="'whisper-2' does not exist here") as raised:
        client.audio.transcriptions.create(model="whisper-2", file=sound)
    assert (raised.value.code, raised.value.param) == ("model_not_found", "model")
    with pytest.raises(openai.NotFoundError):
        client.models.retrieve("../../etc/passwd")


def test_a_path_is_no_model_that_a_client_may_name(client: openai.OpenAI, sound: Path) -> None:
    with pytest.raises(openai.NotFoundError):
        client.audio.transcriptions.create(model="/tmp/weights.pt", file=sound)  # noqa: S108 - nothing is there


def test_a_route_that_is_not_served_is_not_found(client: openai.OpenAI) -> None:
    with pytest.raises(openai.NotFoundError, match="Nothing is served at /v1/chat/completions"):
        client.chat.completions.create(model="whisper-1", messages=[])


def test_another_method_is_told_so_in_the_same_body(url: str) -> None:
    with pytest.raises(urllib.error.HTTPError) as raised:
        urllib.request.urlopen(f"{url}/v1/audio/transcriptions")
    said = json.load(raised.value)["error"]
    assert (raised.value.code, said["code"]) == (405, "method_not_supported")


@pytest.mark.parametrize(
    ("kind", "body"),
    [
        ("application/json", b'{"model": "whisper-1"}'),
        ("multipart/form-data", b""),
        ("multipart/form-data; boundary=x", b"--x\r\nContent-Disposition: form-data\r\n\r\n1\r\n--x--\r\n"),
        (
            "multipart/form-data; boundary=x",
            b'--x\r\nContent-Disposition: form-data; name="model"\r\n\r\n1\r\n--x--',
        ),
        ("multipart/form-data; boundary=x", b"--y\r\n"),
    ],
)
def test_a_body_that_is_no_form_with_a_file_is_a_bad_request(url: str, kind: str, body: bytes) -> None:
    request = urllib.request.Request(f"{url}/v1/audio/transcriptions", body, {"Content-Type": kind})
    with pytest.raises(urllib.error.HTTPError) as raised:
        urllib.request.urlopen(request)
    assert raised.value.code == 400
    assert json.load(raised.value)["error"]["type"] == "invalid_request_error"


@pytest.fixture(scope="module")
def guarded(bench: Bench, tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[str, str]]:
    """Serve with keys; return the address and the secret of a key that may only read."""
    path = tmp_path_factory.mktemp("keys") / "keys.json"
    reader, secret = new_key("reader", [Scope.READ], datetime.now(UTC))
    keys_file.create(path)
    keys_file.change(path, lambda keys: (*keys, reader))
    with door_of(bench.core, keys=Ring(path)) as url:
        yield url, secret


def test_no_key_is_an_authentication_error(guarded: tuple[str, str]) -> None:
    with pytest.raises(openai.AuthenticationError) as raised:
        connect(guarded[0], "wt_wrong").models.list()
    assert raised.value.code == "invalid_api_key"


def test_a_key_without_the_scope_is_a_permission_error(guarded: tuple[str, str], sound: Path) -> None:
    """It may look, and send nothing."""
    reader = connect(*guarded)
    assert reader.models.list().data
    with pytest.raises(openai.PermissionDeniedError, match="lacks the scope write"):
        reader.audio.transcriptions.create(model="whisper-1", file=sound)


def test_too_many_requests_are_a_rate_limit_error(bench: Bench) -> None:
    with door_of(bench.core, settings=Settings(rate_limit="1/hour")) as url:
        client = connect(url)
        client.models.list()
        with pytest.raises(openai.RateLimitError) as raised:
            client.models.list()
    assert raised.value.code == "rate_limit_exceeded"
    assert int(raised.value.response.headers["retry-after"]) > 60


def test_a_body_that_is_too_large_is_told_its_limit(bench: Bench, sound: Path) -> None:
    with (
        door_of(bench.core, settings=Settings(max_upload_bytes=1_000_000)) as url,
        pytest.raises(openai.APIStatusError, match="1000000 bytes") as raised,
    ):
        connect(url).audio.transcriptions.create(model="whisper-1", file=sound)
    assert raised.value.status_code == 413
    assert bench.is_clean


def test_a_full_disk_is_an_error_of_the_server(
    bench: Bench, client: openai.OpenAI, sound: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Which OpenAI's client tries again by itself, after the time that it is told."""
    monkeypatch.setattr(bench.core.room, "_kept_free", 2**62)
    with pytest.raises(openai.InternalServerError, match="nearly full") as raised:
        client.audio.transcriptions.create(model="whisper-1", file=sound)
    assert raised.value.status_code == 503
    assert raised.value.response.headers["retry-after"]


def test_a_core_that_stops_is_an_error_of_the_server(
    bench: Bench, client: openai.OpenAI, sound: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(bench.core, "draining", True)
    with pytest.raises(openai.InternalServerError, match="stopping") as raised:
        client.audio.transcriptions.create(model="whisper-1", file=sound)
    assert raised.value.code == UnavailableError.code


def _wav(path: Path, pcm: bytes) -> Path:
    with wave.open(str(path), "wb") as out:
        out.setparams((1, 2, 16_000, 0, "NONE", ""))
        out.writeframes(pcm)
    return path


def test_an_error_is_openais_body_and_nothing_else(url: str) -> None:
    with pytest.raises(urllib.error.HTTPError) as raised:
        urllib.request.urlopen(f"{url}/v1/models/none")
    assert raised.value.headers["content-type"] == "application/json"
    body = msgspec.json.decode(raised.value.read())
    assert body.keys() == {"error"}
    assert body["error"].keys() == {"message", "type", "param", "code"}
