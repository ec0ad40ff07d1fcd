"""What kind of file system a path lies on: remote ones give no change events and no locks to rely on."""

from __future__ import annotations

import os
import re
from dataclasses import dataclass
from pathlib import Path

REMOTE = frozenset(
    {
        "nfs", "nfs4", "cifs", "smb3", "smbfs", "ncpfs", "afs", "9p", "virtiofs", "ceph", "lustre", "beegfs", "gpfs",
        "glusterfs", "orangefs", "pvfs2", "coda", "vboxsf", "prl_fs", "vmhgfs", "drvfs", "grpcfuse", "osxfs",
        "fakeowner", "davfs", "ocfs2", "gfs2",
    }
)  # fmt: skip
LOCAL_FUSE = frozenset({"fusectl", "fuse.fuse-overlayfs"})  # a container's own root without privileges


@dataclass(frozen=True, slots=True)
class Mount:
    """One line of /proc/self/mountinfo."""

    point: bytes
    kind: str

    @property
    def remote(self) -> bool:
        """Whether others may write here unseen: a network, FUSE or host share."""
        return self.kind in REMOTE or (self.kind.startswith("fuse") and self.kind not in LOCAL_FUSE)


def parse(mountinfo: bytes) -> list[Mount]:
    """Read mountinfo (proc_pid_mountinfo(5)): the fifth field is the mount point, the first after " - " the kind."""
    mounts = []
    for line in mountinfo.splitlines():
        before, _, after = line.partition(b" - ")
        if after:
            mounts.append(Mount(_unescape(before.split()[4]), after.split()[0].decode("ascii", "replace")))
    return mounts


def mount_of(path: bytes, mounts: list[Mount]) -> Mount:
    """Return the mount an absolute path lies on; of two on one point the later one hides the earlier."""
    best = Mount(b"/", "unknown")
    for mount in mounts:
        if _below(path, mount.point) and len(mount.point) >= len(best.point):
            best = mount
    return best


def is_remote(path: str | bytes | os.PathLike[str], mountinfo: bytes | None = None) -> bool:
    """Tell whether a path (it need not exist yet) lies on a network, FUSE or host-share mount."""
    if mountinfo is None:
        try:
            mountinfo = Path("/proc/self/mountinfo").read_bytes()
        except OSError:  # not Linux, or /proc is closed to us: nothing says that it is remote
            return False
    return mount_of(os.path.realpath(os.fsencode(path)), parse(mountinfo)).remote


def _below(path: bytes, point: bytes) -> bool:
    return point in (b"/", path) or path.startswith(point + b"/")


def _unescape(field: bytes) -> bytes:
    r"""Undo the kernel's octal escapes of space, tab, newline and backslash (\040)."""
    return re.sub(rb"\\([0-7]{3})", lambda match: bytes([int(match[1], 8)]), field)
