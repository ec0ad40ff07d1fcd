"""What is no file of bytes, or lies elsewhere: FIFOs, devices, sockets, links."""

from __future__ import annotations

import os
import socket
import stat
from collections.abc import Iterator
from pathlib import Path

from tests.hostile.forge.case import DONE, Case, holding, outside
from tests.hostile.forge.recordings import recording

ZERO, FULL = (1, 5), (1, 7)  # /dev/zero, /dev/full
LEFT = ("outside_workdir",)
NOTHING = ("not_media",)


def cases() -> Iterator[Case]:
    """Yield all of them."""
    yield holding("empty.mp3", b"", "empty")
    yield Case("fifo.wav", os.mkfifo, NOTHING)
    yield Case("device.wav", lambda path: _device(path, *ZERO), NOTHING)
    yield Case("device-full.mp3", lambda path: _device(path, *FULL), NOTHING)
    yield Case("socket.mp3", _socket, NOTHING)
    yield Case("folder.wav", Path.mkdir, NOTHING)
    yield Case("hard-link.wav", _hard_link, (DONE,))
    yield Case("link-inside.wav", _link_inside, (DONE,))
    yield Case("link-outside.wav", lambda path: path.symlink_to(outside(path) / "secret.wav"), LEFT)
    yield Case("link-up.wav", lambda path: path.symlink_to("../outside/secret.wav"), LEFT)
    yield Case("link-to-passwd.mp3", lambda path: path.symlink_to("/etc/passwd"), LEFT)
    yield Case("link-to-device.wav", lambda path: path.symlink_to("/dev/zero"), LEFT)
    yield Case("link-to-stdin.wav", lambda path: path.symlink_to("/proc/self/fd/0"), LEFT)
    yield Case("link-to-itself.wav", lambda path: path.symlink_to(path.name), LEFT)
    yield Case("link-to-nothing.wav", lambda path: path.symlink_to("nothing"), ("gone",))


def _device(path: Path, major: int, minor: int) -> None:
    os.mknod(path, stat.S_IFCHR | 0o666, os.makedev(major, minor))


def _socket(path: Path) -> None:
    with socket.socket(socket.AF_UNIX) as listener:
        folder = os.open(path.parent, os.O_PATH)
        listener.bind(f"/proc/self/fd/{folder}/{path.name}")  # a path of its own may be too long
        os.close(folder)


def _hard_link(path: Path) -> None:
    other = path.parent / ".other"
    other.write_bytes(recording("wav"))
    path.hardlink_to(other)
    other.unlink()


def _link_inside(path: Path) -> None:
    (path.parent / ".target").write_bytes(recording("wav"))
    path.symlink_to(".target")
