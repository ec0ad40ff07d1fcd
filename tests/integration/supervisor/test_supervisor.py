from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import psutil
import pytest

from pipeline.relay.messages import (
    VERSION,
    Accept,
    Bye,
    Cancel,
    Drain,
    Error,
    Fail,
    Hello,
    Named,
    Ping,
    Pong,
    Progress,
    Ready,
    Result,
    ResultAck,
    Status,
    Welcome,
)
from pipeline.relay.sockets import Router
from pipeline.stage.supervise.supervisor import Supervisor
from tests.integration.supervisor.conftest import CHILD, QUICK
from tests.torture.proxy import Proxy

if TYPE_CHECKING:
    from tests.integration.supervisor.conftest import FakeCore


def acknowledge(message: Named, outcome: str = "committed") -> ResultAck:
    return ResultAck(epoch=message.epoch, token=message.token, file_id=message.file_id, outcome=outcome)


def outcomes(core: FakeCore, count: int) -> dict[int, str]:
    """Return how this many jobs ended, by file, acknowledging each."""
    ends = {}
    while len(ends) < count:
        core.until(lambda: any(isinstance(message, (Result, Fail)) for message in core.heard))
        end = next(message for message in core.heard if isinstance(message, (Result, Fail)))
        core.heard.remove(end)
        core.say(acknowledge(end))
        ends[end.file_id] = end.code if isinstance(end, Fail) else "result"
    return ends


def test_hello_is_said_until_it_is_answered(cores: Callable[..., FakeCore]) -> None:
    """With a name of its own for each start."""
    core, other = cores(), cores()
    first = core.hear(Hello)
    assert (first.version, first.device) == (VERSION, "cpu")
    assert first == core.hear(Hello)
    assert first.worker != other.hear(Hello).worker


def test_a_ping_is_answered_whatever_the_child_does(core: FakeCore) -> None:
    """With the patience that the child now has."""
    core.give(b"hang")
    core.say(Ping())
    assert core.hear(Pong).patience == 60.0


def test_a_job_is_accepted_worked_on_and_reported(core: FakeCore) -> None:
    """The way of a good file."""
    job = core.give(b"ok")
    assert core.hear(Progress).position == 1.0
    assert core.hear(Result).token == job.token
    core.until(lambda: core.credit == 2)


def test_a_result_is_said_again_until_it_is_acknowledged(core: FakeCore) -> None:
    """The core may have lost it."""
    core.give(b"ok")
    first = core.hear(Result)
    assert first == core.hear(Result)
    core.say(acknowledge(first))
    core.say(Ping())
    core.hear(Pong)
    core.heard.clear()
    assert core.hears_no(Result)


def test_a_job_sent_twice_is_worked_on_once(core: FakeCore) -> None:
    """Accepted twice, though: the first word may have been lost."""
    job = core.give(b"hold")
    core.say(job)
    core.hear(Accept)
    os.kill(core.child or 0, signal.SIGKILL)
    core.hear(Fail)
    core.until(lambda: core.credit == 2)


def test_a_crash_blames_the_file_the_child_was_on(core: FakeCore) -> None:
    """The others are given back, and a new child offers its places."""
    core.give(b"hold", file_id=1)
    core.give(b"crash", file_id=2)
    fails = {}
    for _ in range(2):
        fail = core.hear(Fail)
        fails[fail.file_id] = fail
    assert (fails[1].kind, fails[2].kind) == ("returned", "crash")
    assert "SIGSEGV" in fails[2].message
    core.until(lambda: core.credit == 2)
    core.give(b"ok", file_id=3)
    core.hear(Result)


def test_what_the_child_said_last_is_heard(core: FakeCore) -> None:
    """A result that left before the crash counts."""
    core.give(b"result, then crash")
    assert isinstance(core.hear(Result), Result)
    assert core.hears_no(Fail)


@pytest.mark.parametrize("path", [b"hang", b"hang in silence"])
def test_a_child_that_makes_no_progress_is_killed(cores: Callable[..., FakeCore], path: bytes) -> None:
    """Its file is blamed; when it did not say which, each of them is tried alone."""
    core = cores(stall=0.2)
    core.welcome()
    core.until(lambda: core.credit == 2)
    child = core.child
    core.give(path)
    fail = core.hear(Fail)
    assert (fail.kind, fail.code) == ("crash", "stalled")
    assert not psutil.pid_exists(child)


def test_a_child_that_expects_to_take_long_is_given_three_times_that(cores: Callable[..., FakeCore]) -> None:
    """And the core is told."""
    core = cores(stall=10.0)
    core.welcome()
    core.until(lambda: core.credit == 2)
    core.give(b"patient")
    core.until(lambda: core.supervisor._keeper.patience == 1800.0)
    core.ahead = 30.0
    assert core.hears_no(Fail)
    core.say(Ping())
    assert core.hear(Pong).patience == 1800.0


def test_an_idle_or_paused_child_is_not_killed(cores: Callable[..., FakeCore]) -> None:
    """Only what is at work can stand still."""
    core = cores(stall=10.0)
    core.welcome()
    core.until(lambda: core.credit == 2)
    child = core.child
    core.ahead = 30.0
    assert core.hears_no(Fail)
    assert core.child == child


def test_an_unusable_environment_is_told_and_tried_again_later(core: FakeCore) -> None:
    """Exit code 3 blames no file; the child's own words stay."""
    core.give(b"unusable")
    assert core.hear(Fail).kind == "returned"
    core.until(lambda: Status(phase="failed", detail="no model") in core.heard)
    core.heard.clear()
    assert core.hears_no(Status)
    assert core.child is None


def test_a_child_that_dies_before_it_is_ready_again_and_again_is_told(cores: Callable[..., FakeCore]) -> None:
    """It is not "loading" for ever: the state is failed, says how the child died, and the next one remembers."""
    core = cores("--stillborn", backoff=(0.0, 0.0, 0.3))
    core.welcome()
    core.until(lambda: any(isinstance(each, Status) and each.phase == "failed" for each in core.heard))
    told = [message for message in core.heard if isinstance(message, Status)][-1]
    assert "exited with code 1 before the model was ready (2 in a row" in told.detail
    core.heard.clear()
    core.until(lambda: any(isinstance(each, Status) and each.phase == "loading" for each in core.heard))
    told = [message for message in core.heard if isinstance(message, Status)][-1]
    assert told.detail.startswith("tiny; before: the transcriber exited with code 1")


def test_a_crash_while_nobody_was_named_blames_all(core: FakeCore) -> None:
    """Uncharged, the file that did it would come back for ever; each is tried alone."""
    core.give(b"hold")
    os.kill(core.child, signal.SIGSEGV)
    assert core.hear(Fail).kind == "crash"


def test_without_a_child_jobs_go_back_at_once(core: FakeCore) -> None:
    """They do not wait for its backoff."""
    core.give(b"unusable")
    core.until(lambda: core.child is None)
    core.hear(Fail)
    core.give(b"ok", file_id=2)
    assert (core.hear(Fail).kind, core.credit) == ("returned", 0)


def test_a_child_that_speaks_nonsense_is_replaced(core: FakeCore) -> None:
    """The channel is typed as well."""
    child = core.child
    core.give(b"nonsense")
    assert core.hear(Fail).kind == "crash"
    core.until(lambda: core.child not in (None, child))


def test_what_the_child_started_dies_with_it(core: FakeCore) -> None:
    """FFmpeg must not outlive the stage."""
    core.give(b"grandchild")
    sleeper = int(core.hear(Progress).position)
    os.kill(core.child, signal.SIGKILL)
    core.hear(Fail)
    core.until(lambda: not psutil.pid_exists(sleeper) or psutil.Process(sleeper).status() == "zombie")


def test_a_cancelled_job_owes_nothing(core: FakeCore) -> None:
    """Its place is free again."""
    job = core.give(b"hold")
    core.say(Cancel(epoch=1, token=job.token, file_id=1))
    core.until(lambda: core.credit == 2)
    os.kill(core.child, signal.SIGKILL)
    core.until(lambda: core.credit == 2)
    assert core.hears_no(Fail, 0.1)


def test_a_file_leased_anew_replaces_its_older_job(core: FakeCore) -> None:
    """Of the old lease nothing more is heard."""
    core.give(b"hold")
    new = core.give(b"ok")
    assert core.hear(Result).token == new.token
    assert core.hears_no(Fail, 0.1)


def test_a_core_that_forgot_the_stage_hears_of_it_again(core: FakeCore) -> None:
    """Its jobs, its places, its state and what is not acknowledged."""
    held = core.give(b"hold", file_id=1)
    core.give(b"ok", file_id=2)
    first = core.hear(Result)
    core.until(lambda: core.credit == 1)
    core.say(Error(code="rehello", message="who?"))
    core.hear(Hello)
    core.credit = 0
    core.say(Welcome(epoch=1, model="tiny", paused=False))
    assert core.hear(Accept).token == held.token
    assert core.hear(Status).phase == "ready"
    assert first == core.hear(Result)
    assert core.credit == 1


def test_a_new_epoch_voids_the_jobs_but_not_the_results(core: FakeCore) -> None:
    """The new core has given the files to others; what is finished it may judge."""
    core.give(b"hold", file_id=1)
    core.give(b"ok", file_id=2)
    first = core.hear(Result)
    core.say(Error(code="rehello", message="who?"))
    core.welcome(epoch=2)
    assert first == core.hear(Result)
    os.kill(core.child, signal.SIGKILL)
    assert core.hears_no(Fail)


def test_a_silent_core_is_left_for_a_fresh_connection(cores: Callable[..., FakeCore]) -> None:
    """A half-open connection heals."""
    core = cores(silence=0.3)
    core.welcome()
    before, hello = core.identity, core.hello
    core.until(lambda: core.identity != before)
    assert hello == core.hello


def test_a_broken_connection_is_left_for_a_new_one_and_all_is_said_again(core: FakeCore) -> None:
    """What was on its way in it is lost: the places that the stage offers, for one, and nobody would know."""
    proxy = Proxy(int(core.router.endpoint.rpartition(":")[2]))
    core.supervisor.close()
    core.heard.clear()
    core.supervisor = Supervisor(proxy.endpoint, "cpu", CHILD, timings=QUICK)
    core.welcome()
    core.until(lambda: any(isinstance(each, Ready) and each.credit for each in core.heard))
    before, offered = core.identity, sum(each.credit for each in core.heard if isinstance(each, Ready))
    core.heard.clear()
    proxy.truncate()
    core.say(Ping())
    core.welcome()
    assert core.identity != before
    assert core.hear(Ready).credit == offered
    assert core.hear(Status).phase == "ready"
    proxy.close()


def test_another_version_ends_the_stage(core: FakeCore) -> None:
    """With the exit code for an unusable environment."""
    core.say(Error(code="version", message="run the same release"))
    core.until(lambda: core.supervisor.exit_code is not None)
    assert core.supervisor.exit_code == 3


def test_a_drain_gives_everything_back_and_ends_with_bye(core: FakeCore) -> None:
    """Then the stage waits for the next core."""
    core.give(b"hold", file_id=1)
    core.give(b"hold", file_id=2)
    core.say(Drain())
    assert outcomes(core, 2) == {1: "returned", 2: "returned"}
    core.hear(Bye)
    core.until(lambda: core.child is None)
    core.welcome(epoch=2)
    core.until(lambda: core.child is not None)


def test_a_drain_does_not_wait_for_a_child_that_hangs(core: FakeCore) -> None:
    """It is killed, and nobody is blamed."""
    core.give(b"hang")
    core.say(Drain())
    assert core.hear(Fail).kind == "returned"
    core.hear(Bye)


# ---- as a process ----

PARENT = """
import os, signal, sys
from pipeline.stage.supervise.child import Child
child = Child([sys.executable, "-c", "import time; time.sleep(600)"])
print(child.pid, flush=True)
os.kill(os.getpid(), signal.SIGKILL)
"""


def test_a_child_does_not_outlive_its_supervisor() -> None:
    """Not even one that hangs, when the supervisor is killed."""
    parent = subprocess.run([sys.executable, "-c", PARENT], stdout=subprocess.PIPE, check=False)
    child = int(parent.stdout)
    end = time.monotonic() + 30
    while psutil.pid_exists(child) and psutil.Process(child).status() != "zombie":
        assert time.monotonic() < end
        time.sleep(0.02)


@pytest.fixture
def process() -> Iterator[subprocess.Popen[bytes]]:
    router = Router("tcp://127.0.0.1:0")
    started = subprocess.Popen(
        [
            sys.executable, "-m", "pipeline.stage.supervise", "--connect", router.endpoint,
            "--workdir", "/nonexistent", "--cache", "/nonexistent", "--engine", "fake",
        ],
        stdin=subprocess.PIPE,
        cwd=Path(__file__).parents[3],
    )  # fmt: skip
    assert router.receive(60.0), "no Hello came"
    yield started
    started.kill()
    started.wait()
    started.stdin.close()
    router.close()


def test_the_stage_ends_with_its_core(process: subprocess.Popen[bytes]) -> None:
    """The end of standard input is the death of the core."""
    process.stdin.close()
    assert process.wait(30) == 0


def test_an_interrupt_from_the_terminal_is_left_to_the_core(process: subprocess.Popen[bytes]) -> None:
    """Ctrl-C reaches both; the core drains."""
    process.send_signal(signal.SIGINT)
    time.sleep(0.3)
    assert process.poll() is None
    process.terminate()
    assert process.wait(30) == 0
