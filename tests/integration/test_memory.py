"""What the core takes from the system, as the C library tells it."""

import subprocess
import sys

import pytest

from api.memory import ARENAS

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


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="glibc's malloc")
def test_many_threads_share_few_arenas() -> None:
    """Each of them would keep what its threads have freed."""
    told = subprocess.run([sys.executable, "-c", THREADS], capture_output=True, text=True, check=True).stdout
    assert 0 < told.count("<heap nr=") <= ARENAS
