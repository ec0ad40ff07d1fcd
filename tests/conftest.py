"""For all tests: temporary folders lie in memory where there is room (a disk takes its time over fsync)."""

from __future__ import annotations

import os
import shutil
import tempfile
from pathlib import Path

import hypothesis

MEMORY = Path("/dev/shm")  # noqa: S108 - pytest makes folders of its own in it
ROOM = 2 << 30  # bytes

if "TMPDIR" not in os.environ and MEMORY.is_dir() and shutil.disk_usage(MEMORY).free > ROOM:
    tempfile.tempdir = str(MEMORY)

hypothesis.settings.register_profile("ci", derandomize=True, database=None)
if os.environ.get("CI"):
    hypothesis.settings.load_profile("ci")
