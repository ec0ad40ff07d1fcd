"""Hostile files: each ends as it may, in time, within its limits, and nothing else is touched."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from pathlib import Path

import pytest

from pipeline.errors import MediaError, OutsideError
from tests.hostile.examine import Outcome
from tests.hostile.forge import lists
from tests.hostile.forge.case import DONE, Case
from tests.hostile.forge.every import every, made_in
from tests.hostile.forge.waves import wav
from tests.hostile.trace import STRACE, examined

SHARE = 9  # one file in so many is in `make test`
CASES = list(every())
PLAIN = ".plain.wav"
LONGEST_S = 90.0  # for a file that decodes to a day of silence before it is refused
SHORT_S = 30.0  # nine hours of sound among them
MEMORY_KIB = 1 << 20  # half of the limit
LIMITS = {"RLIMIT_CORE": "0", "RLIMIT_FSIZE": "0", "RLIMIT_NOFILE": "32", "RLIMIT_AS": "2097152*1024"}
OPENED_UP = """
import sys
from pipeline.stage.decode import decoder, ffmpeg

def command(*arguments):
    words = [{"file,pipe": "file,pipe,http,tcp"}.get(word, word) for word in ffmpeg.command(*arguments)]
    at = words.index("-i")
    return [*words[:at], "-safe", "0", *words[at:]]

ffmpeg.DEMUXERS += ",concat"
decoder.command = command
from tests.hostile import examine
examine.tell(*sys.argv[1:])
"""

traced = pytest.mark.skipif(not STRACE, reason="needs strace")


class Examined:
    """The files of a lane after all of them went through decoding, in one process."""

    def __init__(self, folder: Path, cases: list[Case]) -> None:
        self.workdir = folder / "workdir"
        made = made_in(folder, cases)
        (self.workdir / PLAIN).write_bytes(wav())
        before = self.lying_there()
        self.outcomes, self.deeds = examined(self.workdir, [PLAIN, *(case.name for case in made)])
        del self.outcomes[PLAIN]
        self.left_behind = self.lying_there() - before

    def lying_there(self) -> set[Path]:
        return set(self.workdir.parent.rglob("*")) - {self.workdir.parent / "trace"}

    def outcome(self, case: Case) -> Outcome:
        if case.name not in self.outcomes:
            pytest.skip("this machine does not let us make it")
        return self.outcomes[case.name]


def in_lane(number: int, case: Case) -> object:
    """Mark those that `make test` leaves out."""
    marks = () if number % SHARE == 0 else pytest.mark.at_length
    return pytest.param(case, id=case.name, marks=marks)


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory, at_length: bool) -> Examined:
    return Examined(tmp_path_factory.mktemp("hostile"), CASES if at_length else CASES[::SHARE])


@pytest.mark.parametrize("case", [in_lane(*each) for each in enumerate(CASES)])
def test_a_hostile_file_ends_as_it_may(files: Examined, case: Case) -> None:
    """Transcribed, or failed for good with a code that is documented: another attempt would be in vain."""
    outcome = files.outcome(case)
    assert outcome.end in case.ends, outcome
    assert outcome.kind in ("", "permanent", "gone")
    assert outcome.end == DONE or outcome.end in documented()


def documented() -> set[str]:
    return {each.code for each in (OutsideError, *MediaError.__subclasses__())}


def test_none_takes_long(files: Examined) -> None:
    """Seconds, but for the one that has to be decoded until it is too long for its size."""
    slow = {name: each.took for name, each in files.outcomes.items() if each.took > SHORT_S}
    assert [name for name in slow if files.outcomes[name].end != "too_long"] == []
    assert max(slow.values(), default=0.0) < LONGEST_S


def test_memory_is_bounded(files: Examined, figure: Callable[[str], None]) -> None:
    """What the largest of all FFmpeg processes took."""
    largest = max(each.memory for each in files.outcomes.values())
    assert 0 < largest < MEMORY_KIB
    ends = Counter(each.end for each in files.outcomes.values())
    traced_too = f"{len(files.deeds)} FFmpeg processes traced, the largest of {largest // 1024} MiB"
    figure(f"{ends.total()} hostile files: {dict(ends)}; {traced_too}")


def test_nothing_is_left_behind(files: Examined) -> None:
    """No file is written, in the workdir or beside it."""
    assert files.left_behind == set()


@traced
def test_ffmpeg_opens_its_input_and_nothing_else(files: Examined) -> None:
    """Shared libraries aside, and what this build opens for any file."""
    always = files.deeds[PLAIN].opened - {str(files.workdir / PLAIN)}
    inputs = {name: {str((files.workdir / name).resolve())} for name in files.deeds}
    assert {name: each.opened - always for name, each in files.deeds.items()} == inputs


@traced
def test_ffmpeg_makes_no_socket_no_process_and_no_file(files: Examined) -> None:
    """It reads and computes."""
    assert {name: deeds.other for name, deeds in files.deeds.items() if deeds.other} == {}


@traced
def test_every_ffmpeg_runs_within_its_limits(files: Examined) -> None:
    """No core, no file, few descriptors, two gigabytes, and CPU time by the size of the file."""
    assert files.deeds
    for deeds in files.deeds.values():
        assert LIMITS.items() <= deeds.limits.items()
        assert 600 <= int(deeds.limits["RLIMIT_CPU"]) < 11_000_000


@traced
def test_a_trace_would_show_an_escape(tmp_path: Path) -> None:
    """With lists allowed FFmpeg opens the file beside the workdir, and connects; and we see both."""
    names = ["concat.wav", "concat-remote.m4a"]
    made_in(tmp_path, [case for case in lists.cases() if case.name in names])
    _, deeds = examined(tmp_path / "workdir", names, program=OPENED_UP)
    assert str(tmp_path / "outside" / lists.WITHHELD) in deeds["concat.wav"].opened
    assert any(deed.startswith("connect(") for deed in deeds["concat-remote.m4a"].other)
