"""Where a path given by hand lies."""

from __future__ import annotations

from pathlib import Path

import pytest

from api.names import located


@pytest.fixture
def workdir(tmp_path: Path) -> Path:
    """Return a workdir that is a link to a share, with a folder, a recording and links in it."""
    (tmp_path / "share/talks").mkdir(parents=True)
    (tmp_path / "elsewhere").mkdir()
    for name in ("share/talks/a.mp3", "elsewhere/b.mp3"):
        (tmp_path / name).write_bytes(b"sound")
    (tmp_path / "share/link.mp3").symlink_to("talks/a.mp3")
    (tmp_path / "share/folder").symlink_to("talks")
    (tmp_path / "outside").symlink_to("elsewhere")
    (tmp_path / "b.mp3").symlink_to("elsewhere/b.mp3")
    (tmp_path / "out.mp3").symlink_to("/etc/hostname")
    (tmp_path / "workdir").symlink_to("share")
    return tmp_path / "workdir"


@pytest.mark.parametrize(
    ("given", "found"),
    [
        ("workdir/talks", "workdir/talks"),
        ("share/talks/a.mp3", "workdir/talks/a.mp3"),
        ("share", "workdir"),
        ("workdir/talks/..", "workdir"),
        ("workdir/folder", "workdir/talks"),
        ("workdir/link.mp3", "workdir/link.mp3"),
        ("workdir/gone", "workdir/gone"),
        ("workdir/../elsewhere/b.mp3", "elsewhere/b.mp3"),
        ("outside", "elsewhere"),
        ("b.mp3", "b.mp3"),
        ("out.mp3", "/etc/hostname"),
    ],
)
def test_a_path_is_where_its_links_lead(workdir: Path, given: str, found: str) -> None:
    """A service knows the files of its workdir by one name only, and whoever types may use another."""
    assert located(workdir.parent / given, workdir) == workdir.parent / found
