from __future__ import annotations

import hashlib
import multiprocessing
import os
from pathlib import Path

import pytest
from click.testing import CliRunner

from pipeline.errors import ModelUnavailableError
from pipeline.stage.transcribe import weights
from pipeline.stage.transcribe.sources import Official, Packaged, SourceError
from pipeline.stage.transcribe.weights import Checkpoint, ensure

GOOD = b"the weights"
DIGEST = hashlib.sha256(GOOD).hexdigest()


def ignore(_what: str, _fraction: float | None) -> None:
    pass


def unreachable(source: Official, _target: Path, _report: object) -> None:
    raise SourceError(f"download of {source.url} failed (no network)")


def convert(_source: Packaged, target: Path, _report: object) -> str:
    """Convert as sources.unpack does, but without a package index."""
    with (target.parent / "conversions").open("a") as log:
        log.write("x")
    target.write_bytes(GOOD)
    return DIGEST


@pytest.fixture
def offline(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whisper's host cannot be reached; `base.pt` would have GOOD's hash; a package index has `base`."""
    monkeypatch.setattr(weights, "official", lambda name: Official(f"https://host/{DIGEST}/{name}.pt"))
    monkeypatch.setattr(weights, "download", unreachable)
    monkeypatch.setattr(weights, "unpack", convert)


@pytest.mark.usefixtures("offline")
def test_whispers_own_file_in_the_cache_is_used_as_it_is(tmp_path: Path) -> None:
    """Nothing is fetched."""
    (tmp_path / "base.pt").write_bytes(GOOD)

    assert Checkpoint(tmp_path / "base.pt", "base", DIGEST) == ensure("base", tmp_path, ignore)


@pytest.mark.usefixtures("offline")
def test_the_next_source_is_tried_and_its_result_found_the_next_time(tmp_path: Path) -> None:
    """The download fails, the packages are converted once, under a name of their own."""
    expected = Checkpoint(tmp_path / "base.from-ctranslate2.pt", "base", DIGEST)

    assert [expected, expected] == [ensure("base", tmp_path, ignore) for _ in range(2)]
    assert (tmp_path / "conversions").read_text() == "x"


@pytest.mark.usefixtures("offline")
def test_a_damaged_conversion_is_made_again(tmp_path: Path) -> None:
    """Its hash is not the one it was written with."""
    ensure("base", tmp_path, ignore)
    (tmp_path / "base.from-ctranslate2.pt").write_bytes(b"thE weights")
    os.utime(tmp_path / "base.from-ctranslate2.pt", ns=(1, 1))

    assert ensure("base", tmp_path, ignore).path.read_bytes() == GOOD


@pytest.mark.usefixtures("offline")
def test_a_conversion_of_unknown_origin_is_not_used(tmp_path: Path) -> None:
    """Without the manifest's entry nobody knows what it should be."""
    (tmp_path / "base.from-ctranslate2.pt").write_bytes(b"something")

    assert ensure("base", tmp_path, ignore).path.read_bytes() == GOOD


@pytest.mark.usefixtures("offline")
def test_when_no_source_is_left_each_is_named_and_what_to_do(tmp_path: Path) -> None:
    """The damaged file, the download, the lack of a package, and how to bring the file here."""
    (tmp_path / "small.pt").write_bytes(b"damaged")

    with pytest.raises(ModelUnavailableError) as error:
        ensure("small", tmp_path, ignore)
    for part in ("small.pt is damaged", "no network", "no package", "fetch-model small", str(tmp_path)):
        assert part in str(error.value)


def _ensure(cache: Path) -> str:
    return ensure("base", cache, ignore).sha256


@pytest.mark.usefixtures("offline")
def test_two_processes_at_once_fetch_once(tmp_path: Path) -> None:
    """The second waits and finds what the first has fetched."""
    with multiprocessing.get_context("fork").Pool(2) as pool:
        assert pool.map(_ensure, [tmp_path] * 2) == [DIGEST] * 2
    assert (tmp_path / "conversions").read_text() == "x"


@pytest.mark.usefixtures("offline")
def test_what_a_killed_process_left_is_removed(tmp_path: Path) -> None:
    """Half a download does not fill the disk for ever; another model's is its own matter."""
    (tmp_path / ".base.pt.4711.part").write_bytes(b"half")
    (tmp_path / ".base.from-ctranslate2.pt.x.part").mkdir()
    (tmp_path / ".base.en.pt.4711.part").write_bytes(b"half")

    ensure("base", tmp_path, ignore)

    assert [path.name for path in tmp_path.glob("*.part")] == [".base.en.pt.4711.part"]


def test_a_path_is_hashed_and_remembered(tmp_path: Path) -> None:
    """Weights of the user's own are known by their hash as well."""
    own = tmp_path / "own.pt"
    own.write_bytes(b"fine-tuned")
    cache = tmp_path / "cache"
    cache.mkdir()

    expected = Checkpoint(own, str(own), hashlib.sha256(b"fine-tuned").hexdigest())
    assert expected == ensure(str(own), cache, ignore)
    assert str(own) in (cache / "verified.json").read_text()


def test_a_path_that_is_not_there_names_the_closest_model(tmp_path: Path) -> None:
    """A mistyped name is the likelier mistake."""
    with pytest.raises(ModelUnavailableError, match="large"):
        ensure("larg", tmp_path, ignore)


@pytest.mark.usefixtures("offline")
def test_the_command_prints_where_the_weights_are(tmp_path: Path) -> None:
    """And exits 0."""
    done = CliRunner().invoke(weights.main, ["base", "--cache", str(tmp_path)])

    assert done.exit_code == 0
    assert DIGEST in done.output


@pytest.mark.usefixtures("offline")
def test_the_command_exits_3_when_there_are_no_weights(tmp_path: Path) -> None:
    """The environment is not usable; the reasons are on stderr."""
    done = CliRunner().invoke(weights.main, ["small", "--cache", str(tmp_path)])

    assert done.exit_code == 3
    assert "no network" in done.stderr
