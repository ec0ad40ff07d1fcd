"""What fate does to the service; every harm is undone by `heal`."""

from __future__ import annotations

import os
import signal
import threading
import time
from contextlib import suppress
from typing import TYPE_CHECKING

import psutil

from tests.torture.small_disk import SmallDisk

if TYPE_CHECKING:
    import random
    from collections.abc import Callable

    from tests.torture.proxy import Proxy
    from tests.torture.rig import Rig

PROCESSES = ("core", "supervisor", "child", "ffmpeg")
DAY_S = 86_400
SHORTEST_STOP_S, LONGEST_STOP_S = 0.5, 60.0  # before haste
EVENTS = 16_384  # inotify's queue, unless somebody made it longer


class Harm:
    """The kinds of harm, by name; each call does one of its kind."""

    def __init__(self, rig: Rig, proxy: Proxy, chance: random.Random, haste: float) -> None:
        self._rig = rig
        self._proxy = proxy
        self._chance = chance
        self._haste = haste
        self._refuses_watches = False
        self._stopped: list[threading.Thread] = []
        self.disk = SmallDisk(rig.root, rig.folder)
        self.kinds: dict[str, Callable[[], None]] = {
            "kill": self.kill,
            "stop": self.stop,
            "link": self.disturb_link,
            "clock": self.set_clock,
            "overflow": self.overflow,
            "watches": self.limit_watches,
        }
        if self.disk.is_there:
            self.kinds |= {
                "full": self.fill,
                "mount": self.disk.toggle_mount,
                "readonly": self.disk.toggle_writing,
            }

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

    def limit_watches(self) -> None:
        """Refuse inotify one more directory, or allow it again."""
        self._refuses_watches = not self._refuses_watches
        self._rig.orders.refuse_watches(refuse=self._refuses_watches)

    def fill(self) -> None:
        """Take all room or all inodes away, or give them back."""
        if self.disk.is_full:
            self.disk.free()
        else:
            self.disk.fill(self._chance.choice(("bytes", "names")))

    def heal(self) -> None:
        """Undo all that lasts."""
        for thread in self._stopped:
            thread.join()
        self._proxy.heal()
        self._rig.orders.set_clock(0)
        self._rig.orders.refuse_watches(refuse=False)
        self.disk.heal()

    def close(self) -> None:
        """Let go of the disk, keeping what lies there."""
        self.disk.close(self._rig.folder / "kept")


def _stop(process: psutil.Process, seconds: float) -> None:
    with suppress(psutil.NoSuchProcess):
        process.suspend()
        time.sleep(seconds)
        process.resume()
