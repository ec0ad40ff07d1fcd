"""Whether the workdir is really there: an unmounted share looks like an empty directory, and nothing was deleted."""

from __future__ import annotations

import os

from pipeline.tasks import display


class Root:
    """Remembers what the workdir was like, to tell an unmounted or suddenly empty one from a quiet one."""

    def __init__(self, path: bytes) -> None:
        self.path = path
        self._was_mount = False
        self._had_entries = False

    def problem(self) -> str | None:
        """Look at the workdir; return why no conclusion may be drawn from what it holds now, None if all is well."""
        try:
            is_mount = os.stat(self.path).st_dev != os.stat(self.path + b"/..").st_dev  # noqa: PTH116 - bytes paths
            with os.scandir(self.path) as entries:
                is_empty = next(entries, None) is None
        except OSError as error:
            return self._say(f"cannot be read ({error.strerror})")
        if self._was_mount and not is_mount:
            return self._say("is not mounted any more")
        if self._had_entries and is_empty:
            return self._say("is suddenly empty")
        self._was_mount, self._had_entries = is_mount, not is_empty
        return None

    def _say(self, what: str) -> str:
        return f"the workdir {display(self.path)} {what}; nothing counts as deleted, work goes on when it is back"
