"""A small disk in memory under the workdir, where we may mount: it fills up, refuses writes, goes and comes back."""

from __future__ import annotations

import os
import shutil
import subprocess
from contextlib import suppress
from pathlib import Path

SIZE = "size=24m,nr_inodes=600"
CHUNK = bytes(65536)


class SmallDisk:
    """A tmpfs; `root` shows a folder of it, `door` is that folder whatever happens to `root`."""

    def __init__(self, root: Path, folder: Path) -> None:
        self._root = root
        self._backing = folder / "disk"
        self._junk = self._backing / "junk"
        self.is_there = self._make()
        self.door = self._backing / "workdir" if self.is_there else root

    def fill(self, what: str) -> None:
        """Take all room (`bytes`) or all inodes (`names`) away."""
        with suppress(OSError):
            self._junk.mkdir()
            if what == "bytes":
                with (self._junk / "bytes").open("wb", buffering=0) as file:
                    while True:
                        file.write(CHUNK)
            for number in range(10_000):
                (self._junk / str(number)).touch()

    @property
    def is_full(self) -> bool:
        """Whether room was taken away."""
        return self._junk.exists()

    def free(self) -> None:
        """Give it back."""
        shutil.rmtree(self._junk, ignore_errors=True)

    def toggle_mount(self) -> None:
        """Take the workdir away, or bring it back."""
        if os.path.ismount(self._root):
            _mounts("umount", "--lazy", str(self._root))
        else:
            self._show()

    def toggle_writing(self) -> None:
        """Mount the workdir read-only, or for writing again; the kernel declines while somebody writes there."""
        now = "rw" if self._is_readonly else "ro"
        _mounts("mount", "--options", f"remount,bind,{now}", str(self._root))

    def heal(self) -> None:
        """Undo all of it."""
        self.free()
        if self.is_there and not os.path.ismount(self._root):
            self._show()
        if self.is_there and self._is_readonly:
            self.toggle_writing()

    def close(self, kept: Path) -> None:
        """Let go of the mounts, keeping what lies there."""
        if self.is_there:
            shutil.copytree(self._root, kept, symlinks=True)
            for each in (self._root, self._backing):
                _mounts("umount", "--lazy", str(each))

    @property
    def _is_readonly(self) -> bool:
        return bool(os.statvfs(self._root).f_flag & os.ST_RDONLY)

    def _make(self) -> bool:
        self._backing.mkdir()
        if not _mounts("mount", "-t", "tmpfs", "-o", SIZE, "torture", str(self._backing)):
            return False
        (self._backing / "workdir").mkdir()
        return self._show()

    def _show(self) -> bool:
        return _mounts("mount", "--bind", str(self._backing / "workdir"), str(self._root))


def _mounts(*command: str) -> bool:
    return subprocess.run(command, check=False, capture_output=True).returncode == 0
