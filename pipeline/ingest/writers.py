"""Whether anybody has a file open for writing, asked of the kernel by a read lease (fcntl(2), F_SETLEASE).

Only local file systems know, and only the file's owner or CAP_LEASE may ask.
"""

from __future__ import annotations

import errno
import fcntl
import signal

from pipeline.ingest import beneath


def ignore_lease_signals() -> None:
    """Ignore SIGIO from now on, as breaking a lease sends it and it would end the process. Main thread only."""
    signal.signal(signal.SIGIO, signal.SIG_IGN)


def has_writer(root: bytes, path: bytes) -> bool | None:
    """Tell whether a regular file below the workdir is open for writing; None where that cannot be asked.

    The lease is given back at once: a writer that comes in between waits microseconds for its open.
    """
    if signal.getsignal(signal.SIGIO) is signal.SIG_DFL:
        return None
    try:
        with beneath.opened(root, path) as handle:
            return _refuses_lease(handle)
    except OSError:
        return None


def _refuses_lease(handle: int) -> bool | None:
    try:
        fcntl.fcntl(handle, fcntl.F_SETLEASE, fcntl.F_RDLCK)
    except OSError as error:
        return True if error.errno == errno.EAGAIN else None
    fcntl.fcntl(handle, fcntl.F_SETLEASE, fcntl.F_UNLCK)
    return False
