"""The worker process: real FFmpeg, the fake engine, and a real channel; every job has exactly one end."""

import itertools
import os
import socket
import subprocess
import sys
import time
import wave
from collections.abc import Callable
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from pipeline.errors import MediaError
from pipeline.options import Options
from pipeline.relay.messages import (
    Accept,
    Busy,
    Bye,
    Cancel,
    Drain,
    Fail,
    Job,
    Pause,
    Progress,
    Ready,
    Result,
    Status,
    Welcome,
    decode,
    encode,
)
from pipeline.spool import Roots
from pipeline.stage.decode.ahead import Failed
from pipeline.stage.pack.cut import to_float
from pipeline.stage.transcribe import fake
from pipeline.stage.transcribe.load import Loader
from pipeline.stage.work import meter
from pipeline.stage.work.inbox import Channel, Inbox
from pipeline.stage.work.jobs import AT_LEAST
from pipeline.stage.work.stage import Stage

RATE = 16_000
DEADLY_VOICE = """
import os, sys
from pipeline.stage.pack import cut
from pipeline.stage.work import worker
cut.Everything.__init__ = lambda self: os.abort()
sys.exit(worker.main())
"""
TIMEOUT_S = 60.0


def noise(seconds: float, seed: int = 1) -> Any:
    return np.random.default_rng(seed).integers(-900, 900, int(seconds * RATE), dtype=np.int16)


NOTED = """
import sys
from pathlib import Path
from pipeline.stage.transcribe.fake import FakeEngine
from pipeline.stage.work import worker
FakeEngine.close = lambda _engine: Path(sys.argv[1]).touch()
sys.exit(worker.main(sys.argv[2:]))
"""


class Worker:
    """A stage on a real channel, stepped by the test, as its supervisor sees it."""

    def __init__(self, root: Path, idle_seconds: float = 0.0) -> None:
        ours, theirs = socket.socketpair()
        loader = Loader(kind="fake", cache=root, device="cpu", dtype="auto", threads=1)
        self._inbox = Inbox()
        channel = Channel(Connection(theirs.detach()), self._inbox)
        self.stage = Stage(Roots(os.fsencode(root)), loader, channel, self._inbox, idle_seconds)
        channel.start()
        self._root = root
        self._channel = Connection(ours.detach())
        self.heard = []

    def step(self) -> None:
        self._inbox.wait(min(0.05, self.stage.step(time.monotonic())))

    def say(self, message: Any) -> None:
        self._channel.send_bytes(encode(message))

    def listen(self, kind: Any, count: Any = 1) -> Any:
        """Return this many messages of one kind, noting all the others."""
        found = []
        while len(found) < count:
            self._wait(kind)
            self.heard.append(decode(self._channel.recv_bytes()))
            found += [self.heard[-1]] if isinstance(self.heard[-1], kind) else []
        return found

    def _wait(self, kind: Any) -> None:
        by = time.monotonic() + TIMEOUT_S
        while not self._channel.poll():
            assert time.monotonic() < by, f"no {kind} after {self.heard}"
            self.step()

    def end_of(self, file_id: int) -> Any:
        """Return the Result or Fail of one file."""
        ends = [each for each in self.heard if isinstance(each, Result | Fail) and each.file_id == file_id]
        while not ends:
            ends = [each for each in self.listen(Result | Fail) if each.file_id == file_id]
        return ends[0]

    def job(self, name: str, file_id: int, pcm: Any = None, **more: Any) -> Any:
        """Write a WAV (if there are samples) and send it as a job."""
        path = self._root / name
        if pcm is not None:
            with wave.open(os.fspath(path), "wb") as out:
                out.setparams((1, 2, RATE, 0, "NONE", ""))
                out.writeframes(pcm.tobytes())
        status = path.stat()
        job = Job(
            epoch=3,
            token=7,
            file_id=file_id,
            path=os.fsencode(name),
            size=status.st_size,
            mtime_ns=more.pop("mtime_ns", status.st_mtime_ns),
            resume=more.pop("resume", ()),
            solo=more.pop("solo", False),
            urgent=more.pop("urgent", False),
            options=Options(**more),
        )
        self.say(job)
        return job

    def close(self) -> None:
        self._channel.close()
        while self.stage.exit_code is None:
            self.step()


class Process(Worker):
    """A worker in a process of its own."""

    def __init__(self, root: Path, program: Any = ("-m", "pipeline.stage.work.worker")) -> None:
        ours, theirs = socket.socketpair()
        command = [sys.executable, *program, "--channel", str(theirs.fileno())]
        command += ["--workdir", os.fspath(root), "--cache", os.fspath(root), "--engine", "fake"]
        with theirs:
            self.process = subprocess.Popen(command, pass_fds=[theirs.fileno()], stdin=subprocess.DEVNULL)
        self._root = root
        self._channel = Connection(ours.detach())
        self.heard = []

    def step(self) -> None:
        self._channel.poll(0.05)

    def close(self) -> None:
        self._channel.close()
        self.process.kill()
        self.process.wait()


@pytest.fixture
def start(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    """Start workers on one workdir; they have been welcomed with the model `base`."""
    workers = []

    def run(kind: Any = Worker, *, paused: bool = False, batch: int = 4, **more: Any) -> Any:
        monkeypatch.setenv("WHISPER_FAKE_BATCH", str(batch))
        worker = kind(tmp_path, **more)
        workers.append(worker)
        worker.say(Welcome(epoch=3, model="base", paused=paused))
        return worker

    yield run
    for each in workers:
        each.close()


def test_a_job_is_transcribed(start: Callable[..., Any]) -> None:
    """Loading is told, credit is given, the job is accepted and ends with its windows and figures."""
    worker = start()
    pcm = noise(3)
    job = worker.job("a.wav", 1, pcm, language="fr")
    result = worker.end_of(1)
    (window,) = result.windows
    assert window.segments[0].text == f" {fake.words(to_float(pcm))}"
    assert (window.start, window.end, window.language) == (0, 3 * RATE, "fr")
    assert (result.decoded, result.duration, result.language) == (3.0, 3.0, "fr")
    assert (result.size, result.mtime_ns, result.model) == (job.size, job.mtime_ns, "base")
    assert len(result.sha256) == 64
    assert [each.phase for each in worker.heard if isinstance(each, Status)] == ["loading", "ready"]
    assert any(isinstance(each, Accept) for each in worker.heard)
    assert next(each for each in worker.heard if isinstance(each, Ready)).credit == 8


def test_the_files_on_the_device_are_named_before(start: Callable[..., Any]) -> None:
    """The supervisor must know whom to blame if the batch kills the child."""
    worker = start()
    worker.job("a.wav", 5, noise(100))
    worker.end_of(5)
    worker.listen(Ready)
    busy = [each.file_ids for each in worker.heard if isinstance(each, Busy)]
    assert (set(busy), busy[-1]) == ({(5,), ()}, ())


def test_a_long_file_reports_its_windows_once(start: Callable[..., Any]) -> None:
    """Each window is in exactly one Progress or only in the Result; position and duration are told."""
    worker = start(batch=2)
    worker.job("a.wav", 1, noise(100))
    result = worker.end_of(1)
    progress = [each for each in worker.heard if isinstance(each, Progress)]
    told = [window.start for each in progress for window in each.windows]
    starts = [window.start for window in result.windows]
    assert len(starts) >= 4
    assert len(told) == len(set(told))
    assert set(told) <= set(starts)
    assert progress[-1].duration == 100.0
    assert 0 < progress[-1].position < 100


def test_what_an_earlier_lease_still_says_is_not_heard(
    start: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its thread may be one event behind; the file has been leased anew by then."""
    monkeypatch.setenv("WHISPER_FAKE_DELAY", "0.05")
    worker = start(batch=1)
    worker.job("a.wav", 1, noise(120))
    worker.listen(Progress)
    earlier = worker.stage._jobs.flights[1]
    worker.job("a.wav", 1)
    while worker.stage._jobs.flights.get(1) in (None, earlier):
        worker.step()
    worker._inbox.put((earlier, Failed(MediaError("late"))))
    assert isinstance(worker.end_of(1), Result)


def test_windows_of_an_earlier_lease_are_not_transcribed_again(start: Callable[..., Any]) -> None:
    """What was acknowledged comes back unchanged, and only the rest is done."""
    worker = start(batch=2)
    pcm = noise(100)
    worker.job("a.wav", 1, pcm)
    whole = worker.end_of(1).windows
    kept = whole[:2]
    worker.heard.clear()
    worker.job("a.wav", 1, resume=kept)
    result = worker.end_of(1)
    assert result.windows == whole
    told = {window.start for each in worker.heard if isinstance(each, Progress) for window in each.windows}
    assert told.isdisjoint(window.start for window in kept)


def test_a_bad_file_fails_alone(start: Callable[..., Any]) -> None:
    """Each kind of failure has its class and code; the good file beside them is done."""
    worker = start()
    root = worker._root
    (root / "empty.wav").touch()
    (root / "text.wav").write_text("not a recording " * 100)
    worker.job("empty.wav", 1)
    worker.job("text.wav", 2)
    worker.job("changed.wav", 3, noise(1), mtime_ns=5)
    worker.job("clips.wav", 4, noise(1), clip_timestamps="x")
    gone = worker.job("gone.wav", 5, noise(1))
    worker.job("good.wav", 6, noise(1))
    assert gone.path == b"gone.wav"
    ends = {file_id: worker.end_of(file_id) for file_id in (1, 2, 3, 4, 6)}
    assert [(end.kind, end.code) for end in list(ends.values())[:4]] == [
        ("permanent", "empty"), ("permanent", "not_media"), ("changed", "changed"), ("permanent", "bad_options"),
    ]  # fmt: skip
    assert isinstance(ends[6], Result)


def test_a_file_that_is_gone_says_so(start: Callable[..., Any]) -> None:
    """A directory may be removed before its turn."""
    worker = start(paused=True)
    path = worker._root / "a.wav"
    path.write_bytes(b"x")
    status = path.stat()
    path.unlink()
    worker.say(
        Job(
            epoch=3, token=7, file_id=1, path=b"a.wav", size=1, mtime_ns=status.st_mtime_ns, options=Options()
        )
    )
    assert worker.end_of(1).kind == "gone"


def test_a_cancelled_job_is_dropped(start: Callable[..., Any]) -> None:
    """No answer is owed, and the next job is done."""
    worker = start(paused=True)
    worker.job("a.wav", 1, noise(1))
    worker.say(Cancel(epoch=3, token=7, file_id=1))
    worker.say(Pause(paused=False))
    worker.job("b.wav", 2, noise(1))
    assert isinstance(worker.end_of(2), Result)
    assert not [each for each in worker.heard if isinstance(each, Result) and each.file_id == 1]


def test_a_pause_stops_at_the_next_window(start: Callable[..., Any]) -> None:
    """Nothing is transcribed until the pause ends."""
    worker = start(paused=True)
    worker.job("a.wav", 1, noise(1))
    worker.listen(Progress)
    for _ in range(10):
        worker.step()
    while worker._channel.poll():
        assert isinstance(decode(worker._channel.recv_bytes()), Busy)
    worker.say(Pause(paused=False))
    assert isinstance(worker.end_of(1), Result)


def test_what_is_urgent_is_done_in_a_pause(start: Callable[..., Any]) -> None:
    """Batch work beside it is not."""
    worker = start(paused=True)
    worker.job("a.wav", 1, noise(1))
    worker.listen(Progress)
    worker.job("b.wav", 2, noise(1, 2), urgent=True)
    assert isinstance(worker.end_of(2), Result)
    for _ in range(10):
        worker.step()
    assert not [each for each in worker.heard if isinstance(each, Result) and each.file_id == 1]
    worker.say(Pause(paused=False))
    assert isinstance(worker.end_of(1), Result)


def test_what_is_urgent_does_not_wait_for_files_of_another_model(start: Callable[..., Any]) -> None:
    """They are given back, as they would go on for hours; even in a pause."""
    worker = start(paused=True)
    worker.job("a.wav", 1, noise(1))
    worker.listen(Progress)
    worker.job("b.wav", 2, noise(1, 2), urgent=True, model="base.en")
    assert worker.end_of(1).kind == "returned"
    assert worker.end_of(2).model == "base.en"


def test_what_is_urgent_and_must_run_alone_does_not_wait_for_files_of_hours(
    start: Callable[..., Any],
) -> None:
    """They are given back as well; in a pause they would not end at all."""
    worker = start(paused=True)
    worker.job("a.wav", 1, noise(1))
    worker.listen(Progress)
    worker.job("b.wav", 2, noise(1, 2), urgent=True, solo=True)
    assert worker.end_of(1).kind == "returned"
    assert isinstance(worker.end_of(2), Result)


def test_what_is_urgent_starts_before_what_waits(start: Callable[..., Any]) -> None:
    """In the order in which it came; here each runs alone."""
    worker = start()
    for file_id, urgent in enumerate((False, False, True, True), start=1):
        worker.job(f"{file_id}.wav", file_id, noise(1, file_id), solo=True, urgent=urgent)
    assert [each.file_id for each in worker.listen(Result, 4)] == [3, 4, 1, 2]


def test_a_drain_gives_everything_back(start: Callable[..., Any]) -> None:
    """What is unfinished is returned uncharged, then the worker says Bye and ends well."""
    worker = start(Process, paused=True)
    worker.job("a.wav", 1, noise(1))
    worker.job("b.wav", 2, noise(1))
    worker.listen(Accept, 2)
    worker.say(Drain())
    assert {worker.end_of(1).kind, worker.end_of(2).kind} == {"returned"}
    worker.listen(Bye)
    assert worker.process.wait(TIMEOUT_S) == 0


def test_the_worker_ends_with_its_channel(start: Callable[..., Any]) -> None:
    """A supervisor that is gone leaves no worker behind."""
    worker = start()
    worker.listen(Ready)
    worker.close()
    assert worker.stage.exit_code == 0


def test_the_idle_model_leaves_and_comes_back(start: Callable[..., Any]) -> None:
    """After the idle time the model is unloaded; the next job loads it again."""
    worker = start(idle_seconds=0.01)
    while worker.listen(Status)[0].phase != "idle":
        pass
    worker.job("a.wav", 1, noise(1))
    assert isinstance(worker.end_of(1), Result)
    assert [each.phase for each in worker.heard if isinstance(each, Status)][-2:] == ["loading", "ready"]


def test_jobs_of_another_model_wait_their_turn(start: Callable[..., Any]) -> None:
    """One model at a time, in the order in which the jobs came."""
    worker = start()
    for number, model in enumerate(["base", "tiny", "base"]):
        worker.job(f"{number}.wav", number, noise(1, number), model=model)
    results = worker.listen(Result, 3)
    assert [(each.file_id, each.model) for each in results] == [(0, "base"), (1, "tiny"), (2, "base")]


def test_a_suspect_runs_alone(start: Callable[..., Any]) -> None:
    """A job that may have killed a child shares no batch."""
    worker = start(paused=True)
    worker.job("a.wav", 1, noise(1, 1))
    worker.job("b.wav", 2, noise(1, 2), solo=True)
    worker.job("c.wav", 3, noise(1, 3))
    worker.listen(Accept, 3)
    worker.say(Pause(paused=False))
    worker.listen(Result, 3)
    busy = [each.file_ids for each in worker.heard if isinstance(each, Busy) and each.file_ids]
    assert list(dict.fromkeys(busy)) == [(1,), (2,), (3,)]


def test_transcription_gives_way_to_answers(start: Callable[..., Any]) -> None:
    """The core, which started us, is asked for the processor first."""
    worker = start(Process)
    worker.listen(Ready)
    niceness = os.getpriority(os.PRIO_PROCESS, worker.process.pid)
    assert niceness > os.getpriority(os.PRIO_PROCESS, 0)


def test_a_crash_names_the_file_that_did_it(start: Callable[..., Any]) -> None:
    """The process dies; the last Busy holds the culprit."""
    worker = start(Process)
    worker.job("a.wav", 1, fake.marked(fake.CRASH))
    assert worker.process.wait(TIMEOUT_S) < 0
    with pytest.raises((EOFError, ConnectionError)):
        worker.listen(Result)
    assert [each.file_ids for each in worker.heard if isinstance(each, Busy)][-1] == (1,)


def test_a_crash_of_voice_activity_names_its_file(start: Callable[..., Any]) -> None:
    """Nothing is on the device then; uncharged, the file would come back for ever."""
    worker = start(Process, program=("-c", DEADLY_VOICE))
    worker.job("a.wav", 1, noise(1))
    assert worker.process.wait(TIMEOUT_S) < 0
    with pytest.raises((EOFError, ConnectionError)):
        worker.listen(Result)
    assert [each.file_ids for each in worker.heard if isinstance(each, Busy)][-1] == (1,)


def test_out_of_memory_halves_the_batch(start: Callable[..., Any]) -> None:
    """Smaller batches do the same work, and no file fails for it."""
    worker = start(paused=True, batch=4)
    worker.job("a.wav", 1, fake.marked(fake.NO_MEMORY))
    for number in (2, 3, 4):
        worker.job(f"{number}.wav", number, noise(1, number))
    worker.listen(Progress, 4)
    worker.say(Pause(paused=False))
    assert {type(worker.end_of(number)) for number in (1, 2, 3, 4)} == {Result}


def test_a_failing_window_fails_its_own_file(start: Callable[..., Any]) -> None:
    """The others of its batch are done."""
    worker = start(paused=True, batch=4)
    worker.job("a.wav", 1, fake.marked(fake.FAILURE))
    worker.job("b.wav", 2, noise(1))
    worker.listen(Progress, 2)
    worker.say(Pause(paused=False))
    assert (worker.end_of(1).kind, worker.end_of(1).code) == ("transient", "internal")
    assert isinstance(worker.end_of(2), Result)


@pytest.mark.parametrize(
    "where", ["pipeline.stage.quality.window_warnings", "pipeline.stage.quality.file_warnings"]
)
def test_a_defect_that_one_file_meets_fails_that_file_alone(
    start: Callable[..., Any], monkeypatch: pytest.MonkeyPatch, where: str
) -> None:
    """Else the process would end, and those beside it would be blamed."""
    module, _, name = where.rpartition(".")
    sound = getattr(sys.modules[module], name)
    calls = itertools.count()

    def defect(*about: Any) -> Any:
        return 1 / 0 if next(calls) == 0 else sound(*about)

    monkeypatch.setattr(where, defect)
    worker = start(batch=4)
    worker.job("a.wav", 1, noise(1))
    assert (worker.end_of(1).kind, worker.end_of(1).code) == ("transient", "internal")
    worker.job("b.wav", 2, noise(1))
    assert isinstance(worker.end_of(2), Result)


def test_exact_mode_goes_through_the_whole_file(start: Callable[..., Any]) -> None:
    """Window after window, each beginning where the one before ended."""
    worker = start()
    worker.job("a.wav", 1, noise(70), exact=True)
    windows = worker.end_of(1).windows
    assert [(window.start // RATE, window.end // RATE) for window in windows] == [(0, 30), (30, 60), (60, 70)]


def test_a_minute_does_not_wait_for_ten_hours(
    start: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its transcript is there after a few batches of the other's 1,200 windows."""
    monkeypatch.setenv("WHISPER_FAKE_DELAY", "0.05")
    worker = start()
    ten_hours(worker._root / "long.wav")
    worker.listen(Ready)
    worker.job("long.wav", 9)
    worker.listen(Progress, 5)
    before = len(worker.heard)
    worker.job("1.wav", 1, noise(60, 1), language="en")
    assert isinstance(worker.end_of(1), Result)
    meanwhile = [each for each in worker.heard[before:] if isinstance(each, Progress) and each.file_id == 9]
    assert sum(len(each.windows) for each in meanwhile) < 50


def test_a_long_file_leaves_room_for_other_jobs(
    start: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    """However many of its windows wait."""
    monkeypatch.setenv("WHISPER_FAKE_DELAY", "0.02")
    worker = start(batch=1)
    worker.job("a.wav", 1, noise(300))
    worker.listen(Progress, 2)
    while sum(each.credit for each in worker.heard if isinstance(each, Ready)) != AT_LEAST:
        worker.listen(Ready)


def test_figures_are_told_while_there_is_work(
    start: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    """How busy the device is, how full the batch, how fast it goes and what waits for it; none at rest."""
    monkeypatch.setenv("WHISPER_FAKE_DELAY", "0.2")
    for name, seconds in {"READ_EVERY_S": 0.1, "SAY_EVERY_S": 0.1, "LULL_S": 0.1, "SPAN_S": 1.0}.items():
        monkeypatch.setattr(meter, name, seconds)
    worker = start()
    worker.job("a.wav", 1, noise(600))
    worker.end_of(1)
    while worker.listen(Status)[0].figures:
        pass
    told = [each.figures for each in worker.heard if isinstance(each, Status) and each.figures]
    amid = told[len(told) // 2]
    assert 0.4 < amid["device_busy"] <= 1.0
    assert 0.6 < amid["batch_fill"] <= 1.0
    assert 1.5 < amid["windows_per_second"] < 5.2
    assert 40 < amid["real_time_factor"] < 200
    assert 30 < amid["decoded_seconds_waiting"] < 300


def ten_hours(path: Path) -> None:
    """Write a WAV of silence that takes no room."""
    with wave.open(os.fspath(path), "wb") as out:
        out.setparams((1, 1, 8000, 0, "NONE", ""))
        out.setnframes(36_000 * 8000)
        out.writeframesraw(b"")
    head = path.read_bytes()
    size = 36_000 * 8000
    path.write_bytes(head[:4] + (size + 36).to_bytes(4, "little") + head[8:40] + size.to_bytes(4, "little"))
    os.truncate(path, 44 + size)


def test_windows_of_a_cancelled_file_leave_the_batch(
    start: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its rows are free for others at once."""
    monkeypatch.setenv("WHISPER_FAKE_DELAY", "0.2")
    worker = start(batch=8)
    worker.job("a.wav", 1, noise(600))
    worker.listen(Progress, 3)
    while worker.stage._model.batch.size < 2:
        worker.step()
    worker.say(Cancel(epoch=3, token=7, file_id=1))
    while worker.stage._jobs:
        worker.step()
    worker.step()
    assert worker.stage._model.batch.size == worker.stage._model.engine.running == 0


def test_files_in_exact_mode_share_the_batch(
    start: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each has one window at a time, so as many files as there are slots fill it."""
    monkeypatch.setenv("WHISPER_FAKE_DELAY", "0.01")
    worker = start(paused=True)
    for number in range(4):
        worker.job(f"{number}.wav", number, noise(300, number), exact=True)
    flights = worker.stage._jobs.flights
    while len(flights) < 4 or not all(flight.ended for flight in flights.values()):
        worker.step()
    worker.say(Pause(paused=False))
    worker.listen(Result, 4)
    effort = worker.stage._model.engine.effort
    assert effort.row_steps / effort.steps > 3.5


def test_windows_do_not_wait_for_the_end_of_the_one_that_tells_the_language(
    start: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Once it is heard there, all of the file's windows are decoded side by side."""
    monkeypatch.setattr(fake.FakeEngine, "advance", lambda _engine: [])
    worker = start(batch=4)
    worker.job("a.wav", 1, noise(150))
    worker.listen(Busy)
    while (batch := worker.stage._model.batch).engine.running < batch.slots:
        worker.step()


def test_a_worker_that_ends_lets_the_model_go_first(start: Callable[..., Any], tmp_path: Path) -> None:
    """And with it the windows that wait for a core: the process would encode them all."""
    worker = start(Process, program=("-c", NOTED, os.fspath(tmp_path / "closed")))
    worker.job("a.wav", 1, noise(1))
    worker.listen(Result)
    worker.say(Drain())
    assert worker.process.wait(TIMEOUT_S) == 0
    assert (tmp_path / "closed").exists()


def test_silence_is_said_to_hold_no_words(start: Callable[..., Any]) -> None:
    """A file without a single window ends with a warning, not with a failure."""
    worker = start()
    worker.job("a.wav", 1, noise(3), clip_timestamps="10,20")
    assert worker.end_of(1).warnings == ("no_speech: no words were heard",)
