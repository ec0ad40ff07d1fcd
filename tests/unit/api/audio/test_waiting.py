"""What a client is told of a failure: whose it is, in words that it understands."""

import asyncio

import pytest

from api.audio.errors import UnusableAudioError
from api.audio.waiting import Waiting
from pipeline.errors import PipelineError, UnavailableError
from pipeline.tasks import Problem


def told(code: str, message: str = "ab12: it failed") -> PipelineError:
    async def wait() -> PipelineError:
        waiting = Waiting("ab12", "talk.mp3")
        waiting.failed(Problem(code=code, message=message))
        with pytest.raises(PipelineError) as raised:
            await waiting.whole()
        return raised.value

    return asyncio.run(wait())


@pytest.mark.parametrize(
    "code", ["empty", "not_media", "no_audio", "corrupt", "too_long", "crashed", "stalled"]
)
def test_what_the_recording_brought_about_is_the_clients(code: str) -> None:
    assert isinstance(told(code), UnusableAudioError)


@pytest.mark.parametrize(
    "code", ["unavailable", "model_unavailable", "worker_lost", "read_failed", "not_seen", "new"]
)
def test_all_else_is_ours(code: str) -> None:
    """A client may come again."""
    assert isinstance(told(code), UnavailableError)


def test_the_recording_has_the_name_that_its_client_gave() -> None:
    assert str(told("empty")) == "talk.mp3: it failed"


def test_news_after_the_server_has_gone_are_let_go() -> None:
    """The relay goes on."""

    async def make() -> Waiting:
        return Waiting("ab12", "talk.mp3")

    asyncio.run(make()).failed(Problem(code="unavailable", message="late"))
