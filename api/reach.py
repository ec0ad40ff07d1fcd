"""How the command line finds a service that runs, and asks it."""

from __future__ import annotations

import json
import logging
import os
import urllib.error
import urllib.request
from contextlib import suppress
from typing import TYPE_CHECKING, Any

from pipeline.errors import ConflictError, NotFoundError, PipelineError, UnavailableError, UsageError

if TYPE_CHECKING:
    from pathlib import Path

logger = logging.getLogger(__name__)

NAME = "service.json"
TIMEOUT_S = 30.0


def announce(folder: Path, url: str, key: str | None = None) -> None:
    """Leave the service's address beside its queue, or in the state directory where that is on a server.

    With a key only our user may read it: whoever does may change the queue itself, so the key gives nothing away.
    """
    temporary = folder / f".{NAME}.{os.getpid()}"
    try:
        folder.mkdir(parents=True, exist_ok=True)
        temporary.touch(0o600 if key else 0o666)
        temporary.write_text(json.dumps({"pid": os.getpid(), "url": url, "key": key}))
        temporary.replace(folder / NAME)
    except OSError as error:
        logger.warning(
            "commands will not find this service: %s cannot be written (%s)", folder, error.strerror
        )


def withdraw(folder: Path) -> None:
    """Take the address away again."""
    with suppress(OSError):
        (folder / NAME).unlink()


class Remote:
    """A running service, asked over HTTP."""

    def __init__(self, url: str, key: str | None = None) -> None:
        self.url = url
        self._headers = {"Content-Type": "application/json"} | ({"X-API-Key": key} if key else {})

    def ask(self, method: str, path: str, body: dict[str, Any] | None = None) -> Any:
        """Return the answer's JSON; a problem answer is raised as the error it describes."""
        data = None if body is None else json.dumps(body).encode()
        request = urllib.request.Request(  # noqa: S310 - an http address we wrote ourselves
            self.url + path, data=data, method=method, headers=self._headers
        )
        try:
            with urllib.request.urlopen(request, timeout=TIMEOUT_S) as answer:  # noqa: S310 - as above
                return json.load(answer)
        except urllib.error.HTTPError as error:
            raise _translated(error) from error
        except OSError as error:
            raise UnavailableError(f"the service at {self.url} does not answer ({error})") from error


_ERRORS: dict[int, type[PipelineError]] = {
    400: UsageError,
    404: NotFoundError,
    409: ConflictError,
    503: UnavailableError,
}


def _translated(error: urllib.error.HTTPError) -> PipelineError:
    try:
        detail = str(json.load(error).get("detail", ""))
    except ValueError:
        detail = str(error)
    return _ERRORS.get(error.code, PipelineError)(detail)


def find_service(folder: Path) -> Remote | None:
    """Return the service whose address lies in this folder, if it is alive."""
    try:
        card = json.loads((folder / NAME).read_text())
        with suppress(PermissionError):  # it runs, as another user
            os.kill(card["pid"], 0)
    except (OSError, ValueError, KeyError, TypeError):
        return None
    remote = Remote(card["url"], card.get("key"))
    try:
        remote.ask("GET", "/healthz")
    except PipelineError:
        return None
    return remote
