"""Log lines on stderr, as text for people or JSON for machines; the same in every process.

A line about a task or file carries their ids (`extra=ids(file)`): fields in JSON, at the end of the line in text.
"""

from __future__ import annotations

import logging
import sys
from typing import TYPE_CHECKING, Any

from pythonjsonlogger.json import JsonFormatter

if TYPE_CHECKING:
    from pipeline.tasks import MediaFile

FIELDS = "%(levelname)s %(name)s %(message)s"
IDS = ("task_id", "file_id")
ACCESS = "uvicorn.access"
_CONTROLS = {code: repr(chr(code))[1:-1] for code in (*range(0x20), *range(0x7F, 0xA0), 0x2028, 0x2029)}


def configure(level: str, form: str) -> None:
    """Send this process's log to stderr; a line for each HTTP request is for machines, or for who wants all."""
    handler = logging.StreamHandler(sys.stderr)
    handler.addFilter(_name_request)
    if form == "json":
        handler.setFormatter(JsonFormatter(FIELDS, rename_fields={"levelname": "level"}, timestamp="time"))
    else:
        handler.setFormatter(Lines("%(asctime)s %(levelname)-7s %(message)s", "%H:%M:%S"))
    logging.basicConfig(level=level.upper(), handlers=[handler], force=True)
    for library in (
        *("alembic", "apscheduler", "asyncio", "tzlocal", "uvicorn", "watchdog"),
        *("httpcore2", "httpx2"),  # their lines hold whole addresses, which may hold secrets
    ):
        logging.getLogger(library).setLevel(logging.WARNING)
    is_access_told = form == "json" or level.lower() == "debug"
    logging.getLogger(ACCESS).setLevel(logging.INFO if is_access_told else logging.WARNING)


def one_line(text: str) -> str:
    """Return a text in which newlines and whatever else a terminal would obey are spelled out."""
    return text.translate(_CONTROLS)


def ids(file: MediaFile) -> dict[str, Any]:
    """Return the fields of a line about this file."""
    return {"task_id": file.task_id, "file_id": file.id}


class Lines(logging.Formatter):
    """One line an event, whatever a file is called; a traceback follows on lines of its own."""

    def formatMessage(self, record: logging.LogRecord) -> str:  # noqa: N802 - logging's name
        """Return the line, with the ids of what it is about at its end."""
        about = [f"{name[:-3]} {getattr(record, name)}" for name in IDS if hasattr(record, name)]
        line = one_line(super().formatMessage(record))
        return f"{line} [{', '.join(about)}]" if about else line


def _name_request(record: logging.LogRecord) -> bool:
    """Give a line of uvicorn's access log its fields; every line passes."""
    if record.name == ACCESS and isinstance(record.args, tuple):
        client, method, target, _version, status = record.args
        record.__dict__ |= {"client": client, "method": method, "target": target, "status": status}
    return True
