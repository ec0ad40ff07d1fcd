"""A transcript's JSON tells whose it is, cheaply, and whether somebody edited it."""

import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from pipeline.provenance import (
    Duration,
    ModelRecord,
    Provenance,
    is_sealed,
    json_document,
    parse_provenance,
    read_provenance,
    source_record,
)
from pipeline.tasks import Fingerprint

SEGMENTS = [{"id": 0, "start": 0.0, "end": 1.5, "text": ' Déjà "vu", {"provenance": {}}', "tokens": (1, 2)}]


@pytest.fixture
def directory(tmp_path: Path) -> Iterator[int]:
    fd = os.open(tmp_path, os.O_RDONLY)
    yield fd
    os.close(fd)


def made(**changed: Any) -> Provenance:
    values: dict[str, Any] = {
        "version": "1.0",
        "source": source_record("talk.mp3", Fingerprint(10, 1_700_000_000_123_456_789), "a" * 64),
        "model": ModelRecord(name="base", sha256="b" * 64),
        "options": {"initial_prompt": '"provenance": {"x"}', "temperature": 0.0},
        "language": "fr",
        "duration": Duration(declared=None, decoded=1.5),
        "outputs": {"talk.txt": "c" * 64},
    }
    return Provenance(**values | changed)


def test_the_document_has_whispers_keys_and_provenance() -> None:
    """text, segments and language first, in UTF-8 that is not escaped."""
    raw = json_document(SEGMENTS, made())
    document = json.loads(raw)
    assert list(document) == ["text", "segments", "language", "provenance"]
    assert document["text"] == SEGMENTS[0]["text"]
    assert document["language"] == "fr"
    assert "Déjà".encode() in raw
    assert document["provenance"]["source"]["mtime"] == "2023-11-14T22:13:20.123Z"


def test_what_is_no_number_becomes_null() -> None:
    """NaN is no JSON; programs that read the file would stop at it."""
    raw = json_document([{"text": "", "avg_logprob": float("nan")}], made())
    assert json.loads(raw)["segments"][0]["avg_logprob"] is None


def test_the_same_transcript_gives_the_same_bytes() -> None:
    """Nothing of the moment (a date, a host) goes in."""
    assert json_document(SEGMENTS, made()) == json_document(SEGMENTS, made())


@pytest.mark.parametrize(
    "edit", [(b"vu", b"lu"), (b'"fr"', b'"en"'), (b"talk.txt", b"talk.TXT"), (b"}}", b"}} ")]
)
def test_any_edit_breaks_the_seal(edit: tuple[bytes, bytes]) -> None:
    """One changed byte anywhere shows."""
    raw = json_document(SEGMENTS, made())
    assert is_sealed(raw)
    assert not is_sealed(raw.replace(*edit))


def test_what_we_never_wrote_is_not_sealed() -> None:
    """Nor is a short file an error."""
    assert not any(map(is_sealed, (b"", b"{}", b"x" * 66, b"0" * 67)))


def test_provenance_is_found_though_the_speech_spells_it(directory: int, tmp_path: Path) -> None:
    """Text and options are strings: they cannot pass for the key."""
    (tmp_path / "talk.json").write_bytes(json_document(SEGMENTS, made()))
    found = read_provenance(b"talk.json", directory)
    assert found
    assert found.source.name == "talk.mp3"
    assert found.options["initial_prompt"] == '"provenance": {"x"}'


def test_a_cut_file_is_not_ours() -> None:
    """The provenance comes last: a torn JSON can claim nothing."""
    raw = json_document(SEGMENTS, made())
    assert all(parse_provenance(raw[:length]) is None for length in range(len(raw) - 3))


def test_an_edited_file_is_still_known(directory: int, tmp_path: Path) -> None:
    """An editor may indent it and sort its keys."""
    document = json.loads(json_document(SEGMENTS * 30_000, made()))
    (tmp_path / "talk.json").write_text(json.dumps(document, indent=4, sort_keys=True))
    found = read_provenance(b"talk.json", directory)
    assert found
    assert found.source.sha256 == "a" * 64


def test_a_huge_foreign_file_is_read_in_part(directory: int, tmp_path: Path) -> None:
    """Of 200 GB of zeros only little is read."""
    with (tmp_path / "talk.json").open("wb") as file:
        file.truncate(200 * 2**30)
    assert read_provenance(b"talk.json", directory) is None


@pytest.mark.parametrize(
    "raw",
    [
        b"", b"{}", b"[]", b"null", b'{"text": "a"', b'{"provenance": {}}', b'{"provenance": {"program": 5}}',
        b'{"provenance": {"a": ' + b"[" * 60_000, b'{"provenance": {"n": ' + b"9" * 60_000 + b"}}", b"\xff\xfe",
    ],
    ids=range(10),
)  # fmt: skip
def test_foreign_or_broken_json_is_not_ours(raw: bytes, directory: int, tmp_path: Path) -> None:
    """Whatever lies there under that name."""
    (tmp_path / "talk.json").write_bytes(raw)
    assert read_provenance(b"talk.json", directory) is None


def test_anothers_provenance_is_not_ours() -> None:
    """Other programs may use the word."""
    assert parse_provenance(json_document(SEGMENTS, made(program="other"))) is None


def test_only_a_regular_file_is_read(directory: int, tmp_path: Path) -> None:
    """A FIFO does not block, a link is not followed, a folder is no file."""
    os.mkfifo(tmp_path / "fifo.json")
    (tmp_path / "link.json").symlink_to("/etc/passwd")
    (tmp_path / "folder.json").mkdir()
    for name in (b"fifo.json", b"link.json", b"folder.json"):
        with pytest.raises(OSError):  # noqa: PT011 - each its own
            read_provenance(name, directory)
