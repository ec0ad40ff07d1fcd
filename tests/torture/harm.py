"""What fate does to the service; every harm is undone by `heal`."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import threading
import time
from contextlib import suppress
from typing import TYPE_CHECKING

import psutil

if TYPE_CHECKING:
    import random
    from collections.abc import Callable, Mapping

    from tests.torture.proxy import Proxy
    from tests.torture.rig import Rig

PROCESSES = ("core", "supervisor", "child", "ffmpeg")
DAY_S = 86_400
SHORTEST_STOP_S, LONGEST_STOP_S = 0.5, 60.0  # before haste
EVENTS = 16_384  # inotify's queue, unless somebody made it longer
DISK = "size=24m,nr_inodes=600"


class Harm:
    """The kinds of harm, by name; each call does one of its kind."""

    def __init__(self, rig: Rig, proxy: Proxy, chance: random.Random, haste: float) -> None:
        self._rig = rig
        self._proxy = proxy
        self._chance = chance
        self._haste = haste
        self._backing = rig.folder / "disk"
        self._stopped: list[threading.Thread] = []
        self.kinds: Mapping[str, Callable[[], None]] = {
            "kill": self.kill,
            "stop": self.stop,
            "link": self.disturb_link,
            "clock": self.set_clock,
            "overflow": self.overflow,
        } | ({"full": self.fill, "mount": self.unmount} if self._mount() else {})

    def kill(self) -> None:
        """SIGKILL one process; a core is started again."""
        self._rig.signal(self._chance.choice(PROCESSES), signal.SIGKILL)

    def stop(self) -> None:
        """SIGSTOP one process for a while."""
        process = self._rig.find(self._chance.choice(PROCESSES))
        seconds = self._chance.uniform(SHORTEST_STOP_S, LONGEST_STOP_S) / self._haste / 4
        if process:
            thread = threading.Thread(target=_stop, args=(process, seconds))
            self._stopped.append(thread)
            thread.start()

    def disturb_link(self) -> None:
        """Delay, cut, truncate or heal the connection between core and stage."""
        match self._chance.randrange(4):
            case 0:
                self._proxy.delay_s = self._chance.uniform(0.01, 0.5)
            case 1:
                self._proxy.is_cut = True
            case 2:
                self._proxy.truncate()
            case _:
                self._proxy.heal()

    def set_clock(self) -> None:
        """Set the wall clock forth or back by a day, or right."""
        self._rig.orders.set_clock(self._chance.choice((-DAY_S, 0, DAY_S)))

    def overflow(self) -> None:
        """Have more happen than inotify's queue holds, while the core cannot look."""
        process = self._rig.find("core")
        if process is None:
            return
        with suppress(psutil.NoSuchProcess):
            process.suspend()
            folder = self._rig.root / "a"
            with suppress(OSError):
                folder.mkdir(exist_ok=True)
                for _ in range(EVENTS // 3 + 1):
                    os.close(os.open(folder / "noise", os.O_CREAT | os.O_WRONLY))
                    (folder / "noise").unlink()
            process.resume()

    def fill(self) -> None:
        """Take all room or all inodes away, or give them back."""
        junk = self._backing / ".junk"
        if junk.exists():
            shutil.rmtree(junk, ignore_errors=True)
            return
        with suppress(OSError):
            junk.mkdir()
            if self._chance.random() < 0.5:
                with (junk / "bytes").open("wb") as file:
                    while True:
                        file.write(bytes(65536))
            for number in range(10_000):
                (junk / str(number)).touch()

    def unmount(self) -> None:
        """Take the workdir away, or bring it back."""
        if os.path.ismount(self._rig.root):
            _mounts("umount", "--lazy", str(self._rig.root))
        else:
            _mounts("mount", "--bind", str(self._backing), str(self._rig.root))

    def heal(self) -> None:
        """Undo all that lasts."""
        for thread in self._stopped:
            thread.join()
        self._proxy.heal()
        self._rig.orders.set_clock(0)
        shutil.rmtree(self._backing / ".junk", ignore_errors=True)
        if "mount" in self.kinds and not os.path.ismount(self._rig.root):
            self.unmount()

    def close(self) -> None:
        """Let go of the mounts, keeping what lies there."""
        if "mount" in self.kinds:
            kept = self._rig.folder / "kept"
            shutil.copytree(self._rig.root, kept, symlinks=True)
            for each in (self._rig.root, self._backing):
                _mounts("umount", "--lazy", str(each))

    def _mount(self) -> bool:
        """Put the workdir on a small disk of its own, where we may."""
        self._backing.mkdir()
        if not _mounts("mount", "-t", "tmpfs", "-o", DISK, "torture", str(self._backing)):
            return False
        return _mounts("mount", "--bind", str(self._backing), str(self._rig.root))


def _mounts(*command: str) -> bool:
    return subprocess.run(command, check=False, capture_output=True).returncode == 0


def _stop(process: psutil.Process, seconds: float) -> None:
    with suppress(psutil.NoSuchProcess):
        process.suspend()
        time.sleep(seconds)
        process.resume()
