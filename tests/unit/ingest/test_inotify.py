"""Which of the kernel's events go further than the thread that reads them."""

import pytest
from watchdog.observers.inotify_c import InotifyConstants, InotifyEvent

from pipeline.ingest.inotify import _concerns_us

CREATED, CLOSED = InotifyConstants.IN_CREATE, InotifyConstants.IN_CLOSE_WRITE
DIRECTORY = InotifyConstants.IN_ISDIR | CREATED


def event(mask: int, name: bytes) -> InotifyEvent:
    return InotifyEvent(1, mask, 0, name)  # type: ignore[arg-type] # a NewType of int


@pytest.mark.parametrize(
    "name", [b".x.json.1.wtmp", b"x.txt", b"x.json", b"transcription-status.json", b".x.mp3"]
)
def test_what_we_write_is_followed_no_further(name: bytes) -> None:
    assert not _concerns_us(event(CREATED, name))
    assert not _concerns_us(event(CLOSED, name))


@pytest.mark.parametrize("name", [b"x.mp3", b"whisper.toml", b".nowhisper", b""])
def test_recordings_and_what_rules_them_are_followed(name: bytes) -> None:
    """An event without a name is of a directory itself, or of lost events."""
    assert _concerns_us(event(CLOSED, name))


def test_directories_are_followed_whatever_their_names() -> None:
    assert _concerns_us(event(DIRECTORY, b".hidden"))


@pytest.mark.parametrize("half", [InotifyConstants.IN_MOVED_FROM, InotifyConstants.IN_MOVED_TO])
def test_both_halves_of_a_move_are_followed(half: int) -> None:
    """`x.mp3.part` becomes `x.mp3`: watchdog has to see both."""
    assert _concerns_us(event(half, b"x.mp3.part"))
