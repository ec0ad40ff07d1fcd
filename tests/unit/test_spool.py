"""Which folder a path of the queue is in."""

from pipeline.spool import Roots, is_spooled, spooled_path

PATH = spooled_path("ab12")


def test_spooled_recordings_lie_in_the_spool_and_all_others_in_the_workdir() -> None:
    roots = Roots(b"/workdir", b"/state/spool")
    assert roots.place(PATH) == (b"/state/spool", b"ab12")
    assert roots.place(b"talks/a.mp3") == (b"/workdir", b"talks/a.mp3")
    assert roots.place(b".whisper/spooled/a.mp3") == (b"/workdir", b".whisper/spooled/a.mp3")


def test_a_stage_that_is_told_of_no_spool_finds_it_in_the_workdir() -> None:
    """Where the default queue has it: the stage may be on another machine that mounts it elsewhere."""
    assert Roots(b"/mnt/workdir").place(PATH) == (b"/mnt/workdir", b".whisper/spool/ab12")


def test_a_spooled_recording_is_known_by_its_path() -> None:
    assert is_spooled(PATH)
    assert not is_spooled(b"talks/.whisper/spool/ab12")
