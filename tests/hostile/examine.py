"""Files go through decoding as the stage runs it, one after the other; a line of JSON says how each ended.

python -m tests.hostile.examine WORKDIR [NAME ...]
"""

from __future__ import annotations

import json
import os
import queue
import resource
import sys
import time
from dataclasses import asdict, dataclass
from pathlib import Path

from pipeline.errors import PipelineError
from pipeline.options import Options
from pipeline.relay.messages import Job
from pipeline.stage.decode.ahead import Ahead, Budget, Ended, Event, Failed, Opened
from pipeline.stage.decode.lanes import Lanes
from pipeline.stage.pack.cut import Clip
from pipeline.stage.work.blame import Blame
from pipeline.stage.work.flight import failure
from tests.hostile.forge.case import DONE

PATIENCE_S = 300.0
AT_ONCE = 2  # clips in memory


@dataclass(frozen=True, slots=True)
class Outcome:
    """How one file ended."""

    name: str
    end: str  # "done" or the code of its failure
    kind: str  # of the failure: permanent, transient, ...; "" where it is done
    said: tuple[str, ...]  # warnings, or the message
    seconds: float  # of sound
    took: float  # seconds
    memory: int  # KiB, the most that any process of ours has used so far


def examined(root: Path, name: str) -> Outcome:
    """Decode one file as a job of the stage is, its clips taken as they come."""
    began, posted = time.monotonic(), queue.SimpleQueue[Event]()
    job, budget = _job(root, name), Budget(AT_ONCE)
    ahead = Ahead(
        job,
        root=os.fsencode(root),
        make_voice=None,
        budget=budget,
        lanes=Lanes(1),
        blame=Blame(lambda _: None),
        post=posted.put,
    )
    ahead.start()
    end, kind, said, seconds = _followed(job, budget, posted)
    memory = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss
    return Outcome(name, end, kind, said, seconds, time.monotonic() - began, memory)


def _job(root: Path, name: str) -> Job:
    """Return the job that a scan would have made of it."""
    try:
        seen = (root / name).stat()
    except OSError:
        seen = (root / name).lstat()
    path, version = os.fsencode(name), (seen.st_size, seen.st_mtime_ns)
    return Job(
        epoch=1, token=1, file_id=1, path=path, size=version[0], mtime_ns=version[1], options=Options()
    )


def _followed(
    job: Job, budget: Budget, posted: queue.SimpleQueue[Event]
) -> tuple[str, str, tuple[str, ...], float]:
    while True:
        match posted.get(timeout=PATIENCE_S):
            case Clip():
                budget.give(job.file_id)
            case Ended() as ended:
                return DONE, "", ended.warnings, ended.samples / 16_000
            case Failed(error):
                fail = failure(job, error)
                assert isinstance(error, PipelineError)
                return fail.code, fail.kind, (fail.message,), 0.0
            case Opened():
                pass


def tell(root: str, *names: str) -> None:
    """Examine the files named, or all there are; each is looked up under its own name first, which a trace shows."""
    for name in names or sorted(each.name for each in Path(root).iterdir() if each.name[0] != "."):
        Path("/next", name).exists()
        print(json.dumps(asdict(examined(Path(root), name))), flush=True)  # noqa: T201 - its answer


if __name__ == "__main__":
    tell(*sys.argv[1:])
