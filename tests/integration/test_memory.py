"""What the core takes from the system, as the C library tells it."""

import subprocess
import sys

import pytest

from api.memory import ARENAS, YOUNG

THREADS = """
import ctypes, threading
from api.memory import few_arenas
few_arenas()
together = threading.Barrier(24)
def allocate():
    together.wait()
    held = [bytes(5000) for _ in range(100)]
    together.wait()
threads = [threading.Thread(target=allocate) for _ in range(24)]
for each in threads: each.start()
for each in threads: each.join()
libc = ctypes.CDLL(None)
libc.malloc_info(0, ctypes.c_void_p.in_dll(libc, "stdout"))
libc.fflush(None)
"""
COLLECTIONS = """
import gc
from api.memory import collect_seldom
collect_seldom()
print(gc.get_freeze_count(), *gc.get_threshold())
"""


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="glibc's malloc")
def test_many_threads_share_few_arenas() -> None:
    """Each of them would keep what its threads have freed."""
    told = subprocess.run([sys.executable, "-c", THREADS], capture_output=True, text=True, check=True).stdout
    assert 0 < told.count("<heap nr=") <= ARENAS


def test_what_is_built_before_the_service_starts_is_no_more_looked_through() -> None:
    """A collection of all there is stops every thread; it runs in a process of its own, as it cannot be undone."""
    told = subprocess.run([sys.executable, "-c", COLLECTIONS], capture_output=True, text=True, check=True)
    frozen, young, *_ = map(int, told.stdout.split())
    assert frozen > 1000
    assert young == YOUNG
