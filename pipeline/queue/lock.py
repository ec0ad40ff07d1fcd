"""The lock that makes one process the core of a queue in a file: on a file beside the database.

Not on the database itself: closing any other descriptor of that file would drop SQLite's own locks.
"""

from __future__ import annotations

import fcntl
import os
from typing import TYPE_CHECKING

from pipeline.durable import flush
from pipeline.errors import DatabaseLockedError, EnvironmentUnusableError, WorkdirUnusableError

if TYPE_CHECKING:
    from pathlib import Path


def take(database: Path) -> int:
    """Return the descriptor that holds the lock; its folder is made as needed.

    Raises DatabaseLockedError where another core has it, of whatever user.
    """
    name = _beside(database)
    try:
        _make_folder(database.parent)
        descriptor = os.open(name, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o666)
    except OSError as error:
        if is_taken(database):
            raise _locked(database) from error
        raise WorkdirUnusableError(
            f"{name} cannot be written ({error.strerror}); mend its permissions, or name another --database_url"
        ) from error
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        os.close(descriptor)
        if isinstance(error, BlockingIOError):
            raise _locked(database) from error
        raise EnvironmentUnusableError(
            f"{name} cannot be locked ({error.strerror}); use a local disk"
        ) from error
    return descriptor


def is_taken(database: Path) -> bool:
    """Tell whether a core has the lock, where it may be read but not taken: another user's."""
    try:
        descriptor = os.open(_beside(database), os.O_RDONLY | os.O_CLOEXEC)
    except OSError:
        return False
    try:
        fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    except OSError:
        return False
    finally:
        os.close(descriptor)
    return False


def _beside(database: Path) -> Path:
    return database.with_name(f"{database.name}.lock")


def _locked(database: Path) -> DatabaseLockedError:
    owner = _beside(database).stat().st_uid
    whose = "" if owner == os.geteuid() else f" (of user {owner}; this is user {os.geteuid()})"
    return DatabaseLockedError(f"{database}{whose}")


def _make_folder(folder: Path) -> None:
    """Create a folder as needed; SQLite flushes what is in it, but not its own name."""
    missing = [each for each in folder.parents if not each.exists()]
    folder.mkdir(parents=True, exist_ok=True)
    for each in (folder, *missing):
        flush(each.parent)
