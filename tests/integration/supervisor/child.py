"""A child without a model: what it does with a job, the job's path says."""

import argparse
import os
import signal
import subprocess
import sys
import time
from multiprocessing.connection import Connection

from pipeline.relay.messages import (
    Busy,
    Bye,
    Cancel,
    Drain,
    Fail,
    Job,
    Message,
    Progress,
    Ready,
    Result,
    Status,
    Welcome,
    Window,
    decode,
    encode,
)

parser = argparse.ArgumentParser()
parser.add_argument("--channel", type=int)
parser.add_argument("--stillborn", action="store_true")
flags = parser.parse_known_args()[0]
channel = Connection(flags.channel)
held: list[Job] = []


def say(*messages: Message) -> None:
    for message in messages:
        channel.send_bytes(encode(message))


def result(job: Job) -> Result:
    return Result(
        epoch=job.epoch, token=job.token, file_id=job.file_id, windows=(), language="en", duration=1.0,
        decoded=1.0, size=job.size, mtime_ns=job.mtime_ns, sha256="", model="tiny", model_sha256="",
    )  # fmt: skip


def progress(job: Job, position: float) -> Progress:
    window = Window(start=0, end=1, next_start=1)
    return Progress(
        epoch=job.epoch, token=job.token, file_id=job.file_id, windows=(window,), position=position
    )


def work(job: Job) -> None:  # noqa: C901 - a list
    match job.path:
        case b"ok":
            say(
                Busy(file_ids=(job.file_id,)),
                progress(job, 1.0),
                result(job),
                Busy(file_ids=()),
                Ready(credit=1),
            )
        case b"hold":
            held.append(job)
        case b"crash":
            say(Busy(file_ids=(job.file_id,)))
            os.kill(os.getpid(), signal.SIGSEGV)
        case b"result, then crash":
            say(Busy(file_ids=(job.file_id,)), result(job))
            os.kill(os.getpid(), signal.SIGSEGV)
        case b"hang":
            say(Busy(file_ids=(job.file_id,)))
            time.sleep(600)
        case b"hang in silence":
            time.sleep(600)
        case b"patient":
            say(Busy(file_ids=(job.file_id,), expected=600.0))
        case b"unusable":
            say(Status(phase="failed", detail="no model"))
            sys.exit(3)
        case b"nonsense":
            channel.send_bytes(b"\xc1")
        case b"grandchild":
            sleeper = subprocess.Popen(["sleep", "600"])
            say(progress(job, float(sleeper.pid)))
            held.append(job)


def main() -> None:
    say(Ready(credit=2))
    while True:
        match decode(channel.recv_bytes()):
            case Welcome() if flags.stillborn:
                say(Status(phase="loading", detail="tiny"))
                sys.exit(1)
            case Welcome():
                say(Status(phase="ready"))
            case Job() as job:
                work(job)
            case Cancel():
                say(Ready(credit=1))
            case Drain():
                for job in held:
                    say(
                        Fail(
                            epoch=job.epoch, token=job.token, file_id=job.file_id,
                            kind="returned", code="returned", message="drained",
                        )
                    )  # fmt: skip
                say(Bye())
                sys.exit(0)


main()
