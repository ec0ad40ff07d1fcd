"""Sets the wall clock of each process that has this folder on its PYTHONPATH off by the seconds in $CLOCK, at any time.

A file of one double, mapped into memory: whoever writes to it moves the clock of processes that run.
"""

from __future__ import annotations

import mmap
import os
import struct
import time
from pathlib import Path

_real = time.time

with Path(os.environ["CLOCK"]).open("rb") as _file:
    _shift = mmap.mmap(_file.fileno(), 8, access=mmap.ACCESS_READ)

time.time = lambda: _real() + struct.unpack_from("d", _shift)[0]
