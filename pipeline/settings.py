"""One frozen Settings, built once by the command line; components get values from it, never Settings itself."""

from __future__ import annotations

import hashlib
import os
import re
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from pipeline.errors import BadOptionsError, EnvironmentUnusableError, WorkdirUnusableError
from pipeline.mounts import is_remote
from pipeline.options import Options
from pipeline.queue.lock import is_taken

ENV_PREFIX = "WHISPER_"
QUEUE = "queue.db"
_FILE = "sqlite:///"
QUIET_S = 5.0
QUIET_REMOTE_S = 15.0  # attributes are cached there
Scope = Literal["global", "service", "output", "keys"]


def setting(
    default: Any, help_: str, scope: Scope = "service", *, env: str | None = None, hidden: bool = False
) -> Any:
    """Declare one setting: its default, help, where its flag belongs, and its variable where that is not WHISPER_NAME.

    global: before the subcommand; service: of start-service; output: of start-service and transcribe; keys: of
    start-service and `keys`.
    """
    return field(default=default, metadata={"help": help_, "scope": scope, "env": env, "hidden": hidden})


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """Everything the program was told. Times are seconds."""

    use_gpu: bool = setting(False, "run Whisper on CUDA", "global")
    workdir: Path = setting(Path("workdir"), "the drop folder; created if missing", "global", env="WORKDIR")
    path2whisper_cache: Path = setting(
        Path("~/.cache/whisper"), "where model weights lie", "global", env="WHISPER_CACHE"
    )
    database_url: str | None = setting(
        None, "the queue; default: SQLite at <workdir>/.whisper/queue.db", "global", env="DATABASE_URL"
    )
    log_level: Literal["debug", "info", "warning", "error"] = setting("info", "how much is logged", "global")
    log_format: Literal["text", "json"] = setting("text", "how log lines look", "global")
    state_dir: Path = setting(
        Path("~/.local/state/whisper-transcription"),
        "where a queue lies that cannot lie in its workdir",
        "global",
    )

    host: str = setting("127.0.0.1", "address the API listens on")
    port: int = setting(8000, "port the API listens on; 0 takes a free one")
    mounting_path: str = setting("/", "URL prefix behind a reverse proxy")
    watch: bool = setting(True, "watch the workdir; rescans go on in any case")
    rescan_cron: str = setting(
        "* * * * *", "when the workdir is scanned: crontab syntax, or an interval like 5m"
    )
    quiet_seconds: float | None = setting(None, "how long a file must rest; default 5, on network mounts 15")
    idle_seconds: float = setting(300.0, "the model leaves the device after this long without work; 0 never")
    work_hours: str | None = setting(None, "batch work only then, local time, e.g. 19:00-07:00")
    api_keys_file: Path | None = setting(
        None, "the file of keys that the API asks for; without one it asks for none", "keys"
    )
    callback_url: str | None = setting(None, "told of the ends of all tasks that name no callback")
    callback_allow: str = setting(
        "", "hosts and networks that callbacks may reach though they are not public: a comma list"
    )
    callback_secret_file: Path | None = setting(
        None, "holds the whsec_… that callbacks are signed with; default: made once beside the queue"
    )
    max_upload_bytes: int = setting(10 * 2**30, "how large one request's body may be")
    max_uploads: int = setting(8, "how many clients may send recordings at once")
    min_free_bytes: int = setting(2**28, "uploads are refused where less of the disk would stay free")
    rate_limit: str | None = setting(
        None, "requests of one key, or address without one, e.g. 600/minute; default no limit"
    )
    cors_origins: str | None = setting(
        None,
        "pages of these origins may use the API, e.g. https://example.org; comma list, * any; default none",
    )
    docs: bool = setting(True, "serve the OpenAPI page at /docs")
    relay_bind: str = setting("tcp://127.0.0.1:0", "where stages connect")
    output_dir: Path | None = setting(
        None, "write transcripts under this folder, not beside the audio", "output"
    )
    dtype: Literal["auto", "float32", "bfloat16", "float16", "int8"] = setting(
        "auto", "number format", "output"
    )
    threads: int = setting(0, "threads for Whisper on a CPU; 0 is one for each core", "output")
    engine: Literal["whisper", "fake"] = setting(
        "whisper", "fake: for tests of all but the engine", "output", hidden=True
    )

    options: Options = field(default_factory=Options)


@dataclass(frozen=True, slots=True)
class QueuePlace:
    """Where the queue lies, and why there when that is not the workdir."""

    url: str
    folder: Path  # holds the service's address, and the database with its lock unless that is on a server
    note: str | None = None


def queue_place(settings: Settings, *, inside: bool = True) -> QueuePlace:
    """Choose the queue's place: as told, else in the workdir, else in the state directory.

    The latter on a network mount or where read-only, and where `inside` forbids the workdir. Raises
    EnvironmentUnusableError where neither is local.
    """
    digest = hashlib.sha256(os.fsencode(settings.workdir)).hexdigest()[:16]
    folder = settings.state_dir / digest
    if url := settings.database_url:
        return QueuePlace(url, Path(url.removeprefix(_FILE)).absolute().parent if on_a_disk(url) else folder)
    hidden = settings.workdir / ".whisper"
    reason = _unfit(settings.workdir, hidden) if inside else f"{settings.workdir} is no drop folder"
    if reason is None:
        return QueuePlace(f"{_FILE}{hidden / QUEUE}", hidden)
    if inside and is_remote(folder):
        raise EnvironmentUnusableError(
            f"the queue has no local place: {reason}, and {settings.state_dir} is on a network or FUSE mount too; "
            "name a local folder by --state_dir, or a server by --database_url"
        )
    return QueuePlace(f"{_FILE}{folder / QUEUE}", folder, f"the queue lies in {folder}: {reason}")


def on_a_disk(url: str) -> bool:
    """Tell whether a database URL names a file, not a server."""
    return url.startswith(_FILE)


def _unfit(workdir: Path, hidden: Path) -> str | None:
    if is_remote(workdir):
        return f"{workdir} is on a network or FUSE mount"
    place = hidden if hidden.exists() else workdir
    if os.access(place, os.W_OK | os.X_OK) or is_taken(hidden / QUEUE):
        return None  # or another user serves this workdir: nobody else may have a second queue for it
    return f"{place} is not writable"


def prepare_workdir(settings: Settings) -> None:
    """Create the workdir if missing and see that outputs can be written; WorkdirUnusableError says what would fit."""
    try:
        settings.workdir.mkdir(parents=True, exist_ok=True)
    except FileExistsError as error:
        raise WorkdirUnusableError(f"{settings.workdir} is a file; the workdir must be a folder") from error
    except OSError as error:
        raise WorkdirUnusableError(f"{settings.workdir}: {error.strerror}") from error
    if not os.access(settings.workdir, os.R_OK | os.X_OK):
        raise WorkdirUnusableError(f"{settings.workdir} is not readable {_who_fits(settings.workdir)}")
    if settings.output_dir is not None:
        prepare_output_dir(settings.output_dir)
    elif not os.access(settings.workdir, os.W_OK):
        raise WorkdirUnusableError(
            f"{settings.workdir} is not writable {_what_fits(settings.workdir)}, or give an --output_dir"
        )


def prepare_output_dir(output_dir: Path) -> None:
    """Create the output directory if missing; WorkdirUnusableError says what would fit."""
    try:
        output_dir.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise WorkdirUnusableError(f"--output_dir {output_dir}: {error.strerror}") from error
    if not os.access(output_dir, os.W_OK | os.X_OK):
        raise WorkdirUnusableError(f"--output_dir {output_dir} is not writable {_what_fits(output_dir)}")


def _what_fits(path: Path) -> str:
    if os.statvfs(path).f_flag & os.ST_RDONLY:
        return "as its file system is mounted read-only: mount it writable"
    return _who_fits(path)


def _who_fits(path: Path) -> str:
    owner = path.stat()
    return (
        f"for user {os.geteuid()}:{os.getegid()}; it belongs to {owner.st_uid}:{owner.st_gid}: "
        f"run as that user (in a container: --user {owner.st_uid}:{owner.st_gid})"
    )


def quiet_time(settings: Settings) -> float:
    """Return how many seconds a file must rest before it is taken."""
    if settings.quiet_seconds is not None:
        return settings.quiet_seconds
    return QUIET_REMOTE_S if is_remote(settings.workdir) else QUIET_S


def message_locale() -> str:
    """Return the locale that people here read, as POSIX looks it up; "" when none is set."""
    return next(filter(None, map(os.environ.get, ("LC_ALL", "LC_MESSAGES", "LANG"))), "")


_HOURS = re.compile(r"(\d{1,2}):(\d{2})-(\d{1,2}):(\d{2})")


def parse_work_hours(text: str) -> tuple[int, int]:
    """Return start and end of work in minutes after midnight, local time; the end may be the next morning."""
    match = _HOURS.fullmatch(text.strip())
    if match:
        h1, m1, h2, m2 = map(int, match.groups())
        if max((h1, m1), (h2, m2)) <= (24, 0) and max(m1, m2) < 60 and (h1, m1) != (h2, m2):  # noqa: PLR2004 - a clock's numbers
            return h1 * 60 + m1, h2 * 60 + m2
    raise BadOptionsError(f"work_hours {text!r}: give a start and an end, as in 19:00-07:00")


def within(hours: tuple[int, int], minute: int) -> bool:
    """Tell whether a minute of the day lies in the working hours."""
    start, end = hours
    return start <= minute < end if start < end else minute >= start or minute < end
