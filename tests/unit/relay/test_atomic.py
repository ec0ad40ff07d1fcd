"""A name is given to a whole file, and never taken from somebody."""

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from pipeline.relay.atomic import opened_directory, put_new, put_over, write_temporary

TOKEN = "0" * 16


@pytest.fixture
def directory(tmp_path: Path) -> Iterator[int]:
    with opened_directory(tmp_path, b".") as fd:
        yield fd


@pytest.fixture(params=["links", "no links"])
def _with_and_without_links(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_args: Any, **_kwargs: Any) -> None:
        raise PermissionError(1, "Operation not permitted")

    if request.param == "no links":
        monkeypatch.setattr(os, "link", refuse)


@pytest.mark.usefixtures("_with_and_without_links")
def test_a_free_name_is_given(tmp_path: Path, directory: int) -> None:
    """And the hidden one is gone."""
    temporary = write_temporary(directory, b"a.txt", TOKEN, b"ours", None)
    put_new(directory, temporary, b"a.txt")
    assert [each.name for each in tmp_path.iterdir()] == ["a.txt"]
    assert (tmp_path / "a.txt").read_bytes() == b"ours"


@pytest.mark.usefixtures("_with_and_without_links")
@pytest.mark.parametrize("kind", ["file", "dangling link", "directory"])
def test_a_name_that_somebody_took_just_before_is_not_taken_from_him(
    kind: str, tmp_path: Path, directory: int
) -> None:
    """Whatever has it."""
    taken = tmp_path / "a.txt"
    if kind == "file":
        taken.write_text("mine")
    elif kind == "directory":
        taken.mkdir()
    else:
        taken.symlink_to("nothing")
    before = taken.lstat()
    temporary = write_temporary(directory, b"a.txt", TOKEN, b"ours", None)
    with pytest.raises(FileExistsError):
        put_new(directory, temporary, b"a.txt")
    assert taken.lstat() == before


def test_what_is_ours_is_replaced_at_once(tmp_path: Path, directory: int) -> None:
    """A reader of the old one reads on."""
    (tmp_path / "a.txt").write_text("old")
    with (tmp_path / "a.txt").open() as reader:
        put_over(directory, write_temporary(directory, b"a.txt", TOKEN, b"new", None), b"a.txt")
        assert reader.read() == "old"
    assert (tmp_path / "a.txt").read_text() == "new"


def test_a_leftover_under_the_hidden_name_is_not_written_through(tmp_path: Path, directory: int) -> None:
    """Not even if it is a link to elsewhere."""
    (tmp_path / "elsewhere").write_text("mine")
    (tmp_path / f".a.txt.{TOKEN}.wtmp").symlink_to("elsewhere")
    write_temporary(directory, b"a.txt", TOKEN, b"ours", None)
    assert (tmp_path / "elsewhere").read_text() == "mine"


def test_a_link_is_followed_only_where_it_stays_inside(tmp_path: Path) -> None:
    """Before the directory is opened; once it is, nobody can lead it elsewhere."""
    (tmp_path / "w/real").mkdir(parents=True)
    (tmp_path / "w/inside").symlink_to("real")
    (tmp_path / "w/outside").symlink_to("..")
    with opened_directory(tmp_path / "w", b"inside") as fd:
        assert os.path.samestat(os.fstat(fd), (tmp_path / "w/real").stat())
    with pytest.raises(OSError, match="link leads out"), opened_directory(tmp_path / "w", b"outside"):
        pass
