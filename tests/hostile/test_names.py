"""Names as nobody would choose them: asked for over HTTP, and found on disk; none leads out of the workdir."""

from __future__ import annotations

import itertools
import os
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import hypothesis
import pytest
from hypothesis import strategies as st

from pipeline.ingest.ignore import is_ignored
from pipeline.ingest.scan import scan
from pipeline.options import Options
from pipeline.outputs import RESERVED
from pipeline.stage.decode.source import Source
from pipeline.tasks import display
from tests.hostile.doors import heard, media
from tests.hostile.forge.waves import wav
from tests.hostile.place import Place
from tests.hostile.swapper import as_it_is

FEW_FILES, ALL_FILES = 40, 5000

there = (
    "talks",
    "talks/deep",
    "talks/deep/a.wav",
    "caf\u00e9",
    "cafe\u0301",
    "lat\\xe9",
    "-rf",
    "%2e%2e",
    "new\nline",
)
links = ("inside", "leaves", "up", "loop", "nothing", "talks/leaves.wav", "talks/inside.wav", "talks/up")
tricks = (
    "..",
    ".",
    "",
    "~",
    "*",
    "%s%n",
    "{0}",
    "$HOME",
    "..\\..",
    "%00",
    "%2f",
    "..;",
    "...",
    "con",
    "\0",
    "a\0b",
)
far = (
    "secret.wav",
    "etc",
    "passwd",
    "proc",
    "self",
    "root",
    "x" * 255,
    "x" * 256,
    "\ud800",
    "\udce9",
    "\u202e",
)
part = st.sampled_from((*there, *links, *tricks, *far)) | st.text(max_size=8)
start = st.sampled_from(("", "", "", "/", "./", "../", "//", "file:", "/proc/self/root/"))
end = st.sampled_from(("", "/", "/."))


def _encoded(text: str) -> bytes:
    return text.encode("utf-8", "replace")


composed = st.builds(
    lambda *parts: f"{parts[0]}{'/'.join(parts[1])}{parts[2]}", start, st.lists(part, max_size=5), end
)
dirnames = composed | st.lists(st.sampled_from((*there, *links)), min_size=1, max_size=2).map("/".join)
odd_names = st.sampled_from(
    (
        b"-i",
        b"%03d",
        b"concat:a",
        b"a\nb",
        b"\xff\xfe",
        b"a\\xe9",
        b"caf\xe9",
        b"\xe2\x80\xae",
        b"a" * 251,
        b"...",
        b"~$a",
    )
)
any_names = st.binary(min_size=1, max_size=40) | st.text(min_size=1, max_size=60).map(_encoded)
file_names = (odd_names | any_names).map(lambda name: name.replace(b"/", b"_").replace(b"\0", b"_") + b".wav")


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Place]:
    made = Place(tmp_path_factory.mktemp("names"))
    yield made
    made.core.close()


def tried(count: int, seed: int, names: st.SearchStrategy[Any], holds: Callable[[Any], None]) -> None:
    """Try so many names."""
    every = hypothesis.HealthCheck
    limits = hypothesis.settings(
        max_examples=count, deadline=None, database=None, suppress_health_check=list(every)
    )
    hypothesis.seed(seed)(limits(hypothesis.given(names)(holds)))()


@pytest.mark.timeout(0)  # at length
@pytest.mark.parametrize(("door", "few", "all_there_are"), [("post", 80, 5000), ("submit", 150, 90_000)])
def test_no_dirname_leads_out_of_the_workdir(  # noqa: PLR0913, PLR0917 - fixtures
    place: Place,
    door: str,
    few: int,
    all_there_are: int,
    at_length: bool,
    seed: int,
    figure: Callable[[str], None],
) -> None:
    """Each is taken or refused as the contract says; what is taken lies inside, and so do all its files."""
    before, answers, ask = as_it_is(place.withheld), Counter[int](), getattr(place, door)

    def holds(dirname: str) -> None:
        status, task_id = ask(dirname)
        assert status in place.may_answer(dirname)
        answers[status] += 1
        if status == 200:
            task = place.core.store.task(task_id)
            assert task
            assert place.is_inside(task.dirname)
            for file in place.core.store.files(task.id).rows:
                assert place.is_inside(file.path) or (file.error and file.error.code == "outside_workdir")

    tried(all_there_are if at_length else few, seed, dirnames, holds)
    assert as_it_is(place.withheld) == before
    figure(f"{answers.total()} dirnames of seed {seed} by {door}: {dict(answers)}")


@pytest.mark.timeout(0)  # at length
def test_no_file_name_is_too_odd(
    place: Place, at_length: bool, seed: int, figure: Callable[[str], None]
) -> None:
    """Found, opened, asked for as it is shown, transcribed beside itself; erased, and nothing else is left or gone."""
    folder, numbers = place.root / "names", itertools.count()

    def holds(name: bytes) -> None:
        folder.mkdir()
        path = b"names/" + name
        sound = wav(next(numbers).to_bytes(4, "little"))
        Path(os.fsdecode(os.fsencode(folder) + b"/" + name)).write_bytes(sound)
        found = [each.path for each in scan(os.fsencode(place.root), b"names")]
        assert found == ([] if is_ignored(name) else [path])
        with Source(os.fsencode(place.root), path) as source:
            assert source.fingerprint.size == len(sound)
        if found:
            status, task_id = place.submit(display(path))
            assert status == 200
            place.core.cancel(task_id)
        there = as_it_is(place.root).keys()
        committer = place.core.committer
        outputs = committer.put(committer.prepare(media(path), heard(), Options())).outputs
        new = as_it_is(place.root).keys() - there
        assert (len(outputs), {each.parent for each in new}) == (5, {folder})
        assert not {os.fsencode(each.name) for each in new} & RESERVED
        assert sorted(display(b"names/" + os.fsencode(each.name)) for each in new) == sorted(outputs)
        assert len(committer.erase(path)) == 5
        assert as_it_is(place.root).keys() == there
        Path(os.fsdecode(os.fsencode(folder) + b"/" + name)).unlink()
        folder.rmdir()

    tried(ALL_FILES if at_length else FEW_FILES, seed, file_names, holds)
    figure(f"{next(numbers)} file names of seed {seed}")
