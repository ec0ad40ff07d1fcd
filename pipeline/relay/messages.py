"""What core and stage say to each other: typed, frozen, versioned; one encode, one decode.

Paths and ids only, never audio. A job is named by (epoch, token, file_id) everywhere: a message with an old pair is
answered `stale` and changes nothing.

    stage -> core   Hello Ready Accept Progress Result Fail Status Pong Bye
    core -> stage   Welcome Job Cancel Pause ResultAck Ping Drain Error

Inside a stage the child and its supervisor speak the same messages over a socketpair; `Busy` goes no further.
"""

from __future__ import annotations

from typing import Any, Literal

import msgspec

from pipeline.options import Options

VERSION = 1
HEARTBEAT_S = 2.0
LIVENESS = 4  # heartbeats without any message before the other side counts as lost
PREPARING = frozenset(
    {"starting", "downloading", "loading", "compiling"}
)  # phases in which no progress is due
MAX_BYTES = 64 * 1024 * 1024


class Message(msgspec.Struct, frozen=True, forbid_unknown_fields=True, tag=True, kw_only=True):
    """The base of every message."""


class Segment(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """One segment as whisper's JSON has it, its times in seconds of the whole file."""

    start: float
    end: float
    text: str
    tokens: tuple[int, ...]
    seek: int = 0  # 10 ms frames: where its window began
    temperature: float = 0.0
    avg_logprob: float = 0.0
    compression_ratio: float = 0.0
    no_speech_prob: float = 0.0
    words: tuple[dict[str, Any], ...] | None = None  # {"word", "start", "end", "probability"}


class Window(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """One finished window of a file: its span in samples (16 kHz) and what was heard there."""

    start: int
    end: int
    next_start: int  # where the following window may begin (exact mode seeks by timestamps)
    language: str | None = None
    segments: tuple[Segment, ...] = ()
    warnings: tuple[str, ...] = ()
    reset: bool = False  # exact mode: nothing said up to here is context of later windows
    last_word: float = 0.0  # exact mode: where the last word up to here ended, seconds


class Hello(Message, frozen=True):
    """A stage introduces itself; also after a core that restarted."""

    worker: str  # random for each start of a supervisor
    version: int
    device: str
    pid: int


class Welcome(Message, frozen=True):
    """The core's answer to Hello: its epoch, and the model to have ready."""

    epoch: int
    model: str
    paused: bool


class Ready(Message, frozen=True):
    """The stage can take this many more jobs."""

    credit: int


class Named(Message, frozen=True):
    """A message about one lease."""

    epoch: int
    token: int
    file_id: int


class Job(Named, frozen=True):
    """Transcribe this file; `resume` holds the windows that are finished already."""

    path: bytes  # relative to the workdir
    size: int
    mtime_ns: int
    options: Options
    resume: tuple[Window, ...] = ()
    solo: bool = False  # suspected of killing a child: run nothing beside it
    urgent: bool = False  # somebody waits for it: before all others, and also while paused


class Accept(Named, frozen=True):
    """The stage has the job."""


class Progress(Named, frozen=True):
    """Windows finished since the last Progress; a position in seconds; the declared duration once known."""

    windows: tuple[Window, ...] = ()
    position: float = 0.0
    duration: float | None = None
    language: str | None = None


class Result(Named, frozen=True):
    """The whole file: every window, resumed ones too, in order. Kept and sent again until acknowledged."""

    windows: tuple[Window, ...]
    language: str | None
    duration: float | None  # declared, seconds
    decoded: float  # seconds
    size: int  # the source as it was when decoding began and ended
    mtime_ns: int
    sha256: str
    model: str
    model_sha256: str
    warnings: tuple[str, ...] = ()
    timings: dict[str, float] = {}  # seconds by step: decode, transcribe, …


class Fail(Named, frozen=True):
    """The file could not be done. Kept and sent again until acknowledged.

    transient: try again, charged. permanent: never in vain. crash: the child died on it. changed: the source is
    another one now, queue it again uncharged. gone: the source is not there. returned: given back uncharged.
    """

    kind: Literal["transient", "permanent", "crash", "changed", "gone", "returned"]
    code: str
    message: str


class ResultAck(Named, frozen=True):
    """The core has dealt with a Result or Fail."""

    outcome: Literal["committed", "stale"]


class Cancel(Named, frozen=True):
    """Drop this job; no answer is owed."""


class Pause(Message, frozen=True):
    """Stop at the next window, or go on."""

    paused: bool


class Status(Message, frozen=True):
    """What the stage is about, for /readyz and the log: `phase` and a fraction of it where one is known."""

    phase: Literal["starting", "downloading", "loading", "compiling", "ready", "idle", "failed"]
    detail: str = ""
    fraction: float | None = None
    figures: dict[str, float] = {}  # device_busy, batch_fill, real_time_factor, …: stage/work/meter.py


class Busy(Message, frozen=True):
    """Child to supervisor, before each risky step: these files are blamed if the child dies or hangs in it.

    `expected` is in how many seconds a window of some file should end (0: not known). The supervisor kills the
    child when no media progress comes within max(60 s, 3 x expected). An empty tuple: nothing risky goes on.
    """

    file_ids: tuple[int, ...]
    expected: float = 0.0


class Ping(Message, frozen=True):
    """The question whether the other side is there."""


class Pong(Message, frozen=True):
    """The answer to Ping; `patience`: so many seconds without media progress the supervisor lets its child go on."""

    patience: float = 60.0


class Drain(Message, frozen=True):
    """Give back what is not finished, then say Bye."""


class Bye(Message, frozen=True):
    """The stage leaves in good order."""


class Error(Message, frozen=True):
    """The core cannot use what it got: `rehello` asks an unknown worker to introduce itself."""

    code: Literal["rehello", "version", "malformed"]
    message: str


AnyMessage = (
    Hello | Welcome | Ready | Job | Accept | Progress | Result | Fail | ResultAck | Cancel | Pause | Status
    | Busy | Ping | Pong | Drain | Bye | Error
)  # fmt: skip

_ENCODER = msgspec.msgpack.Encoder()
_DECODER: msgspec.msgpack.Decoder[Any] = msgspec.msgpack.Decoder(AnyMessage)


def encode(message: Message) -> bytes:
    """Return the message as MessagePack."""
    return _ENCODER.encode(message)


def decode(raw: bytes) -> Message:
    """Return the message; raises msgspec.DecodeError or ValidationError for anything else."""
    message: Message = _DECODER.decode(raw)
    return message


_WINDOW: msgspec.msgpack.Decoder[Window] = msgspec.msgpack.Decoder(Window)


def encode_window(window: Window) -> bytes:
    """Return a finished window as the checkpoint table keeps it."""
    return _ENCODER.encode(window)


def decode_window(raw: bytes) -> Window:
    """Return a checkpointed window."""
    return _WINDOW.decode(raw)
