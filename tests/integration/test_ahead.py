"""Decoding runs ahead, but never further than there is room, and never in the way of other files."""

import os
import queue
import threading
import time
import wave
from itertools import groupby
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from pipeline.options import Options
from pipeline.relay.messages import Job
from pipeline.stage.decode.ahead import Ahead, Budget, Ended, Failed, Opened
from pipeline.stage.decode.lanes import Lanes
from pipeline.stage.pack.cut import Clip
from pipeline.stage.work.blame import Blame
from tests.acceptance.harness import until

RATE = 16_000
TIMEOUT_S = 60.0
BREATH_S = 0.001


def ahead(  # noqa: PLR0913 - a thread's needs
    root: Path,
    name: str,
    seconds: int,
    budget: Budget,
    lanes: Lanes,
    *,
    said: Any = None,
    turns: Any = None,
    options: Options | None = None,
) -> Any:
    """Start to decode a file of noise; return the thread and the queue of what it posts.

    `turns` gets the file's name for each post that it makes while it holds a lane.
    """
    path, posts = root / name, queue.SimpleQueue()
    pcm = np.random.default_rng(1).integers(-900, 900, seconds * RATE, dtype=np.int16)
    with wave.open(os.fspath(path), "wb") as out:
        out.setparams((1, 2, RATE, 0, "NONE", ""))
        out.writeframes(pcm.tobytes())
    status = path.stat()
    job = Job(
        epoch=1,
        token=1,
        file_id=len(name),
        path=os.fsencode(name),
        size=status.st_size,
        mtime_ns=status.st_mtime_ns,
        options=options or Options(),
    )

    def post(event: Any) -> None:
        if turns is not None and not isinstance(event, Ended):
            turns.append(name)
        posts.put(event)

    made = Ahead(
        job,
        root=os.fsencode(root),
        make_voice=None,
        budget=budget,
        lanes=lanes,
        blame=Blame((said if said is not None else []).append),
        post=post,
    )
    made.start()
    return made, posts


def until_it_waits(made: Ahead, posts: Any) -> list[Any]:
    """Return what was posted until the thread waits for room."""
    found = [posts.get(timeout=TIMEOUT_S)]
    while made.working or not posts.empty():
        if posts.empty():
            time.sleep(BREATH_S)
        else:
            found.append(posts.get())
    return found


def test_clips_in_memory_are_bounded(tmp_path: Path) -> None:
    """A long file stops at the budget and goes on when a clip is finished."""
    budget = Budget(2)
    made, posts = ahead(tmp_path, "long.wav", 200, budget, Lanes(1))
    found = until_it_waits(made, posts)
    assert [type(each) for each in found] == [Opened, Clip, Clip]
    budget.give(len("long.wav"))
    assert isinstance(posts.get(timeout=TIMEOUT_S), Clip)
    made.stop()


def test_a_file_that_waits_lets_others_decode(tmp_path: Path) -> None:
    """It holds no lane while it waits for room, and every file may hold one clip."""
    budget, lanes = Budget(2), Lanes(1)
    made, posts = ahead(tmp_path, "long.wav", 200, budget, lanes)
    until_it_waits(made, posts)
    _, short = ahead(tmp_path, "b.wav", 5, budget, lanes)
    assert [type(short.get(timeout=TIMEOUT_S)) for _ in range(3)] == [Opened, Clip, Ended]
    made.stop()


def test_lanes_are_handed_over_in_turn() -> None:
    """Whoever leaves one does not take it again before those that wait."""
    lanes, order = Lanes(1), []

    def visit(name: int) -> None:
        with lanes:
            order.append(name)

    lanes.acquire()
    visitors = [threading.Thread(target=visit, args=(name,)) for name in (1, 2)]
    for number, each in enumerate(visitors):
        each.start()
        while len(lanes._line) <= number:
            time.sleep(BREATH_S)
    lanes.release()
    visit(3)
    assert order == [1, 2, 3]


def test_a_short_file_is_decoded_in_one_turn(tmp_path: Path) -> None:
    """A hundred of them in a row: the first is ready long before the last begins."""
    lanes, budget, turns = Lanes(1), Budget(99), []
    lanes.acquire()
    posts = [ahead(tmp_path, "x" * number, 2, budget, lanes, turns=turns)[1] for number in range(1, 5)]
    lanes.release()
    for each in posts:
        assert [type(each.get(timeout=TIMEOUT_S)) for _ in range(3)] == [Opened, Clip, Ended]
    assert len(turns) == 8
    assert len(list(groupby(turns))) == 4


def test_hours_without_a_clip_let_others_decode(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A newcomer waits for a turn in the lane, not for the end of a long file."""
    monkeypatch.setattr("pipeline.stage.decode.ahead.TURN_S", 0.01)
    budget, lanes = Budget(9), Lanes(1)
    silent = Options(clip_timestamps="100000,100001")
    long, posts = ahead(tmp_path, "long.wav", 1800, budget, lanes, options=silent)
    assert isinstance(posts.get(timeout=TIMEOUT_S), Opened)
    _, short = ahead(tmp_path, "b.wav", 5, budget, lanes)
    assert [type(short.get(timeout=TIMEOUT_S)) for _ in range(3)] == [Opened, Clip, Ended]
    assert long.working
    long.stop()


def test_a_file_that_changes_under_way_is_not_taken(tmp_path: Path) -> None:
    """What was decoded belongs to no version of the file."""
    budget = Budget(1)
    made, posts = ahead(tmp_path, "long.wav", 100, budget, Lanes(1))
    until_it_waits(made, posts)
    os.utime(tmp_path / "long.wav", ns=(5, 5))
    budget.capacity = 9
    budget.give(len("long.wav"))
    while isinstance(last := posts.get(timeout=TIMEOUT_S), Clip):
        pass
    assert last.error.code == "changed"


def test_a_stopped_file_says_no_more(tmp_path: Path) -> None:
    """Its thread and FFmpeg end, also from the middle of waiting."""
    made, posts = ahead(tmp_path, "long.wav", 200, Budget(1), Lanes(1))
    until_it_waits(made, posts)
    made.stop()
    made._thread.join(TIMEOUT_S)
    assert not made._thread.is_alive()
    assert posts.empty()


def test_a_stopped_file_holds_no_room(tmp_path: Path) -> None:
    """Whether it waited for some or was about to take it: what it held would be lost to all others."""
    budget = Budget(1)
    stopped, posts = ahead(tmp_path, "long.wav", 90, budget, Lanes(1), options=Options(no_vad=True))
    while not isinstance(posts.get(timeout=TIMEOUT_S), Clip):
        pass
    while stopped.working:
        time.sleep(BREATH_S)
    stopped.stop()
    stopped._thread.join(TIMEOUT_S)
    assert budget.take_at_once(7, lambda: True)
    assert sum(budget._held.values()) == 0


def test_a_programming_error_fails_one_file(tmp_path: Path) -> None:
    """The fence around a file turns anything into a failure of that file."""

    def broken() -> Any:
        raise ZeroDivisionError

    posts: queue.SimpleQueue[Any] = queue.SimpleQueue()
    (tmp_path / "a.wav").write_bytes(b"x")
    status = (tmp_path / "a.wav").stat()
    job = Job(
        epoch=1, token=1, file_id=1, path=b"a.wav", size=1, mtime_ns=status.st_mtime_ns, options=Options()
    )
    made = Ahead(
        job,
        root=os.fsencode(tmp_path),
        make_voice=broken,
        budget=Budget(1),
        lanes=Lanes(1),
        blame=Blame(lambda _busy: None),
        post=posts.put,
    )
    made.start()
    failed = posts.get(timeout=TIMEOUT_S)
    assert isinstance(failed, Failed)
    assert "ZeroDivisionError" in str(failed.error)


def test_a_file_is_to_blame_while_it_is_decoded_not_while_it_waits(tmp_path: Path) -> None:
    """A crash of voice activity must find its file, and leave out those that wait for room."""
    budget, said = Budget(2), []
    made, posts = ahead(tmp_path, "long.wav", 200, budget, Lanes(1), said=said)
    until_it_waits(made, posts)
    assert said[0].file_ids == (len("long.wav"),)
    until(lambda: said[-1].file_ids == ())
    budget.give(len("long.wav"))
    posts.get(timeout=TIMEOUT_S)
    made.stop()
