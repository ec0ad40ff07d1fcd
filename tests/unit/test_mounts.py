"""Which mounts are remote."""

from pathlib import Path
from typing import Any

import pytest

from pipeline.mounts import is_remote, mount_of, parse

MOUNTINFO = rb"""22 27 0:21 / /proc rw,relatime - proc proc rw
27 1 254:0 / / rw,relatime - ext4 /dev/vda rw
40 27 0:50 / /mnt/nas rw shared:1 master:2 - nfs4 server:/export rw
41 27 0:51 / /mnt/with\040space rw - cifs //server/share rw
42 27 0:52 / /mnt/ssh rw - fuse.sshfs host: rw
43 27 0:53 / /host rw - 9p host rw
44 27 0:54 / /vm rw - virtiofs tag rw
45 40 254:1 / /mnt/nas/local rw - ext4 /dev/vdb rw
46 27 0:55 / /container rw - fuse.fuse-overlayfs fuse-overlayfs rw
47 27 0:56 / /hidden rw - nfs old: rw
48 27 254:2 / /hidden rw - xfs /dev/vdc rw
"""


@pytest.mark.parametrize(
    ("path", "kind"),
    [
        (b"/home/x", "ext4"),
        (b"/mnt/nas", "nfs4"),
        (b"/mnt/nas/a/b", "nfs4"),
        (b"/mnt/nas2", "ext4"),
        (b"/mnt/nas/local/a", "ext4"),
        (b"/mnt/with space/a", "cifs"),
        (b"/hidden/a", "xfs"),
    ],
)
def test_a_path_lies_on_the_innermost_latest_mount(path: Any, kind: str) -> None:
    """By whole names, not by prefixes of them."""
    assert mount_of(path, parse(MOUNTINFO)).kind == kind


@pytest.mark.parametrize("path", ["/mnt/nas/a", "/mnt/with space", "/mnt/ssh/a", "/host/a", "/vm/a"])
def test_network_fuse_and_host_shares_are_remote(path: Any) -> None:
    """No events to rely on, no locks."""
    assert is_remote(path, MOUNTINFO)


@pytest.mark.parametrize("path", ["/home", "/mnt/nas/local/a", "/container/a", "/hidden"])
def test_disks_and_a_containers_root_are_local(path: Any) -> None:
    """Also FUSE's overlay."""
    assert not is_remote(path, MOUNTINFO)


def test_a_path_of_this_machine_is_told(tmp_path: Path) -> None:
    """It need not exist."""
    assert is_remote(tmp_path / "not" / "there") is False


def test_an_unknown_machine_is_local() -> None:
    """Nothing says otherwise."""
    assert not is_remote("/x", b"garbage\n")
