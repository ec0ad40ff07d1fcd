"""Names of outputs, and how the transcript of a source is found again."""

import os
from collections.abc import Callable
from itertools import islice
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.outputs import (
    NAME_MAX,
    bases,
    is_current,
    output_name,
    recorded_names,
    sha256_of,
    temporary_name,
    written_for,
)
from pipeline.provenance import Duration, ModelRecord, Provenance, json_document, source_record
from pipeline.tasks import Fingerprint, display

SEEN = Fingerprint(10, 1_700_000_000_000_000_000)
Write = Callable[..., Provenance]


@pytest.fixture
def write(tmp_path: Path) -> Write:
    """Write a JSON of a source under any name: `write(b"talk.mp3", b"talk.json")`."""

    def write_one(source: bytes, name: bytes, **outputs: str) -> Provenance:
        provenance = Provenance(
            version="1.0",
            source=source_record(display(source), SEEN, "a" * 64),
            model=ModelRecord(name="base", sha256="b" * 64),
            options={"language": None},
            language="fr",
            duration=Duration(declared=9.0, decoded=8.0),
            outputs=outputs,
        )
        Path(os.fsdecode(os.fsencode(tmp_path) + b"/" + name)).write_bytes(json_document([], provenance))
        return provenance

    return write_one


def test_an_output_is_named_as_whisper_names_it_then_longer() -> None:
    """Stem, full name, full name and a number."""
    names = [output_name(base, "srt") for base in islice(bases(b"talk.mp3"), 4)]
    assert names == [b"talk.srt", b"talk.mp3.srt", b"talk.mp3.2.srt", b"talk.mp3.3.srt"]


@given(st.binary(min_size=1, max_size=255).filter(lambda name: not set(name) & set(b"/\0")))
def test_every_name_fits_the_file_system(source: bytes) -> None:
    """Whatever the source is called, outputs and their temporary files can be created."""
    for base in islice(bases(source), 3):
        name = output_name(base, "json")
        assert len(name) <= NAME_MAX
        assert name.endswith(b".json")
        assert len(temporary_name(name, "0" * 16)) <= NAME_MAX


def test_a_shortened_name_stays_distinct_and_whole_characters() -> None:
    """Two long names that differ at the end alone get two outputs."""
    long = "é".encode() * 126
    one, two = output_name(long + b"1", "json"), output_name(long + b"2", "json")
    assert one != two
    assert len(one) <= NAME_MAX
    one.decode()


def test_nothing_written_is_none(tmp_path: Path) -> None:
    """Neither in an empty directory nor in one that is not there."""
    assert written_for(tmp_path, None, b"talk.mp3") is None
    assert written_for(tmp_path, None, b"gone/talk.mp3") is None


def test_looking_for_nothing_is_cheap(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The directory and three names are tried, no more, in a scan of 100,000 files."""
    real, opened = os.open, []

    def counted(*args: object, **kwargs: object) -> int:
        opened.append(args[0])
        return real(*args, **kwargs)  # type: ignore[arg-type]

    monkeypatch.setattr(os, "open", counted)
    assert written_for(tmp_path, None, b"talk.mp3") is None
    assert len(opened) <= 4


def test_a_transcript_is_found_with_all_it_says(tmp_path: Path, write: Write) -> None:
    """Language, fingerprint, hash, outputs as paths relative to the workdir."""
    (tmp_path / "a").mkdir()
    write(b"talk.mp3", b"a/talk.json", **{"talk.txt": "c" * 64})
    found = written_for(tmp_path, None, b"a/talk.mp3")
    assert found
    assert (found.language, found.fingerprint, found.sha256, found.duration) == ("fr", SEEN, "a" * 64, 9.0)
    assert found.outputs == ("a/talk.txt", "a/talk.json")
    assert found.intact


def test_another_recordings_transcript_is_not_ours(tmp_path: Path, write: Write) -> None:
    """talk.json of talk.mp3 says nothing of talk.wav."""
    write(b"talk.mp3", b"talk.json")
    assert written_for(tmp_path, None, b"talk.wav") is None


def test_a_transcript_under_a_longer_name_is_found(tmp_path: Path, write: Write) -> None:
    """Past a foreign talk.json, past another's talk.wav.json, and when the first is gone again."""
    (tmp_path / "talk.json").write_text('{"name": "mine"}')
    (tmp_path / "talk.wav.json").write_text("{")
    write(b"talk.wav", b"talk.wav.2.json")
    assert written_for(tmp_path, None, b"talk.wav")
    (tmp_path / "talk.json").unlink()
    (tmp_path / "talk.wav.json").unlink()
    assert written_for(tmp_path, None, b"talk.wav")


def test_the_newest_of_several_counts(tmp_path: Path, write: Write) -> None:
    """An edited JSON was kept and its successor took the next name."""
    write(b"talk.mp3", b"talk.json")
    write(b"talk.mp3", b"talk.mp3.json")
    found = written_for(tmp_path, None, b"talk.mp3")
    assert found
    assert found.json.endswith(b"/talk.mp3.json")


def test_an_edited_transcript_is_there_but_not_intact(tmp_path: Path, write: Write) -> None:
    """Correcting a transcript by hand does not undo it."""
    write(b"talk.mp3", b"talk.json")
    raw = (tmp_path / "talk.json").read_bytes()
    (tmp_path / "talk.json").write_bytes(raw.replace(b'"text":""', b'"text":"better"'))
    found = written_for(tmp_path, None, b"talk.mp3")
    assert found
    assert not found.intact


def test_names_that_are_not_utf_8_are_found(tmp_path: Path, write: Write) -> None:
    """Nor names with a newline or a leading dash."""
    for source in (b"caf\xe9.mp3", b"-a\nb%.mp3"):
        write(source, os.path.splitext(source)[0] + b".json")  # noqa: PTH122 - bytes
        assert written_for(tmp_path, None, source)


def test_outputs_may_lie_in_a_tree_of_the_same_shape(tmp_path: Path, write: Write) -> None:
    """With an output directory, that is where they are looked for."""
    (tmp_path / "out/a").mkdir(parents=True)
    write(b"talk.mp3", b"out/a/talk.json")
    assert written_for(tmp_path / "in", tmp_path / "out", b"a/talk.mp3")


def test_a_transcript_behind_a_link_that_leaves_is_none(tmp_path: Path, write: Write) -> None:
    """It is not ours to read; one behind a link that stays inside is."""
    (tmp_path / "in/a").mkdir(parents=True)
    (tmp_path / "elsewhere").mkdir()
    write(b"talk.mp3", b"elsewhere/talk.json")
    write(b"talk.mp3", b"in/a/talk.json")
    (tmp_path / "in/out").symlink_to(tmp_path / "elsewhere")
    (tmp_path / "in/same").symlink_to("a")
    assert written_for(tmp_path / "in", None, b"out/talk.mp3") is None
    assert written_for(tmp_path / "in", None, b"same/talk.mp3")


def never() -> str:
    raise AssertionError("hashed in vain")


def test_a_transcript_is_current_by_size_and_mtime(tmp_path: Path, write: Write) -> None:
    """No hashing when they are equal, nor when the size alone tells."""
    write(b"talk.mp3", b"talk.json")
    found = written_for(tmp_path, None, b"talk.mp3")
    assert found
    assert is_current(found, SEEN, never)
    assert not is_current(found, Fingerprint(11, SEEN.mtime_ns), never)


def test_a_copied_source_is_current_by_its_hash(tmp_path: Path, write: Write) -> None:
    """A copy has another mtime and the same content."""
    write(b"talk.mp3", b"talk.json")
    found = written_for(tmp_path, None, b"talk.mp3")
    assert found
    later = Fingerprint(SEEN.size, SEEN.mtime_ns + 1)
    assert is_current(found, later, lambda: "a" * 64)
    assert not is_current(found, later, lambda: "f" * 64)


@pytest.fixture
def forged(write: Write) -> Provenance:
    outputs = {
        "../../etc/passwd": "0" * 64,
        "/etc/shadow": "0" * 64,
        "other.txt": "0" * 64,
        "talk.srt": "1" * 64,
    }
    return write(b"talk.mp3", b"talk.json", **outputs)


def test_a_json_cannot_name_files_that_are_not_its_outputs(forged: Provenance) -> None:
    """Only names that we would give are believed, whatever the file says."""
    assert recorded_names(b"talk.mp3", forged) == {b"talk.srt": "1" * 64}


def test_only_files_are_hashed(tmp_path: Path) -> None:
    """A FIFO under an output's name neither blocks nor passes for an empty file."""
    os.mkfifo(tmp_path / "talk.txt")
    fd = os.open(tmp_path, os.O_RDONLY)
    with pytest.raises(OSError, match=r"talk\.txt"):
        sha256_of(b"talk.txt", fd)
    assert sha256_of(b"talk.srt", fd) is None
    os.close(fd)
