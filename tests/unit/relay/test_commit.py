"""Outputs are put in place whole, the JSON last, and nothing of anybody else's is touched."""

import hashlib
import json
import os
import stat
import subprocess
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from pipeline.errors import NotFoundError, OutputsUnwritableError
from pipeline.options import Options
from pipeline.outputs import written_for
from pipeline.relay.atomic import clean_temporaries, opened_directory
from pipeline.relay.commit import Committer, Put
from pipeline.relay.messages import Result, Segment, Window
from pipeline.tasks import FileState, Fingerprint, MediaFile

ALL = ("txt", "srt", "vtt", "tsv", "json")
NOBODY = 65534


@pytest.fixture
def root(tmp_path: Path) -> Path:
    (tmp_path / "in/a").mkdir(parents=True)
    return tmp_path / "in"


@pytest.fixture
def committer(root: Path) -> Committer:
    return Committer(root, None, "1.0")


Transcribe = Callable[..., Put]


@pytest.fixture
def transcribe(root: Path, committer: Committer) -> Transcribe:
    """Commit a transcript: `transcribe(b"a/talk.mp3", "text", output_format=("srt",))`."""

    def one(path: bytes = b"a/talk.mp3", text: str = " Bonjour.", **options: Any) -> Put:
        return commit(committer, root, path, text, **options)

    return one


def commit(committer: Committer, root: Path, path: bytes, text: str, **options: Any) -> Put:
    source = root / os.fsdecode(path)
    if not source.exists():
        source.write_bytes(b"sound")
    return committer.put(committer.prepare(media(path), heard(text), Options(**options)))


def media(path: bytes = b"a/talk.mp3", **values: Any) -> MediaFile:
    given = {"state": FileState.COMMITTING, "fingerprint": Fingerprint(5, 6), "options": {}, "text_key": ""}
    return MediaFile(id=1, task_id="t", path=path, **given | values)


def heard(text: str = " Bonjour.", **values: Any) -> Result:
    words = ({"word": text, "start": 0.0, "end": 1.5, "probability": 0.5},)
    segment = Segment(start=0.0, end=1.5, text=text, tokens=(1, 2), seek=7, words=words)
    given: dict[str, Any] = {
        "windows": (Window(start=0, end=1, next_start=1, segments=(segment,), warnings=("odd",)),),
        "language": "fr",
        "duration": 1.5,
        "decoded": 1.4,
        "size": 5,
        "mtime_ns": 6,
        "sha256": "a" * 64,
        "model": "base",
        "model_sha256": "b" * 64,
        "warnings": ("truncated", "odd"),
    }
    return Result(epoch=1, token=1, file_id=1, **given | values)


def listing(folder: Path) -> set[str]:
    return {each.name for each in folder.iterdir()}


# ---- what is written ----


def test_all_formats_lie_beside_the_source(root: Path, transcribe: Transcribe) -> None:
    """Named as the whisper CLI names them; nothing temporary remains."""
    put = transcribe()
    assert put.outputs == tuple(f"a/talk.{each}" for each in ALL)
    assert listing(root / "a") == {"talk.mp3", *(f"talk.{each}" for each in ALL)}
    assert (root / "a/talk.txt").read_text() == "Bonjour.\n"


def test_the_json_tells_where_it_comes_from(root: Path, transcribe: Transcribe) -> None:
    """Source, model, options, durations, warnings each once, and the hashes of the other outputs."""
    put = transcribe(beam_size=3)
    document = json.loads((root / "a/talk.json").read_bytes())
    made = document["provenance"]
    segment = document["segments"][0]
    assert list(segment) == [
        "id", "seek", "start", "end", "text", "tokens", "temperature", "avg_logprob", "compression_ratio",
        "no_speech_prob", "words",
    ]  # fmt: skip
    assert made["source"] | {"mtime": ""} == {
        "name": "talk.mp3", "size": 5, "mtime_ns": 6, "mtime": "", "sha256": "a" * 64
    }  # fmt: skip
    assert (made["model"], made["version"]) == ({"name": "base", "sha256": "b" * 64}, "1.0")
    assert made["options"]["beam_size"] == 3
    assert made["duration"] == {"declared": 1.5, "decoded": 1.4}
    assert put.warnings == tuple(made["warnings"]) == ("truncated", "odd")
    assert set(made["outputs"]) == {"talk.txt", "talk.srt", "talk.vtt", "talk.tsv"}


def test_preparing_touches_nothing(root: Path, committer: Committer) -> None:
    """The queue learns the hash before the first byte is written."""
    prepared = committer.prepare(media(), heard(), Options())
    assert len(prepared.sha256) == 64
    assert listing(root / "a") == set()


def test_the_json_is_written_whatever_formats_are_asked(transcribe: Transcribe) -> None:
    """The other formats can be made from it later."""
    assert transcribe(output_format=("srt",)).outputs == ("a/talk.srt", "a/talk.json")


@pytest.mark.parametrize(
    ("source", "output"), [(0o644, 0o644), (0o600, 0o600), (0o440, 0o640), (0o755, 0o644), (0o666, 0o666)]
)
def test_outputs_are_readable_by_whoever_may_read_the_source(
    source: int, output: int, root: Path, transcribe: Transcribe
) -> None:
    """Whatever the umask says; and the owner may always replace them."""
    (root / "a/talk.mp3").touch()
    (root / "a/talk.mp3").chmod(source)
    before = os.umask(0o077)
    transcribe()
    os.umask(before)
    assert {stat.S_IMODE((root / f"a/talk.{each}").stat().st_mode) for each in ALL} == {output}


@pytest.mark.skipif(os.geteuid() != 0, reason="only root may give files away")
def test_outputs_belong_to_the_owner_of_the_source(root: Path, transcribe: Transcribe) -> None:
    """A service that runs as root leaves nothing that only root may change."""
    (root / "a/talk.mp3").touch()
    os.chown(root / "a/talk.mp3", NOBODY, NOBODY)
    transcribe()
    found = (root / "a/talk.json").stat()
    assert (found.st_uid, found.st_gid) == (NOBODY, NOBODY)


def test_each_byte_is_flushed_before_a_name_is_given(
    transcribe: Transcribe, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Five files, then four names, the directory, the JSON's name, the directory."""
    steps: list[str] = []
    for call in ("fsync", "link"):
        real = getattr(os, call)

        def noted(*args: Any, call: str = call, real: Any = real, **kwargs: Any) -> None:
            what = "folder" if call == "fsync" and stat.S_ISDIR(os.fstat(args[0]).st_mode) else call
            steps.append(what if what != "link" else os.fsdecode(args[1]))
            real(*args, **kwargs)

        monkeypatch.setattr(os, call, noted)
    transcribe()
    names = ["talk.txt", "talk.srt", "talk.vtt", "talk.tsv"]
    assert steps == ["fsync"] * 5 + names + ["folder", "talk.json", "folder"]


# ---- names that are taken ----


@pytest.mark.parametrize("format_", ALL)
def test_a_file_that_is_not_ours_is_kept(format_: str, root: Path, transcribe: Transcribe) -> None:
    """That output gets the full name and a warning that names what was in the way; the others are as always."""
    (root / f"a/talk.{format_}").write_text("mine")
    put = transcribe()
    assert (root / f"a/talk.{format_}").read_text() == "mine"
    assert put.outputs == tuple(f"a/talk{'.mp3' * (each == format_)}.{each}" for each in ALL)
    assert any(f"talk.{format_} " in warning for warning in put.warnings)
    assert written_for(root, None, b"a/talk.mp3")


def test_after_the_full_name_come_numbers(root: Path, transcribe: Transcribe) -> None:
    """However many are taken."""
    for name in ("talk.txt", "talk.mp3.txt", "talk.mp3.2.txt"):
        (root / "a" / name).write_text("mine")
    assert transcribe().outputs[0] == "a/talk.mp3.3.txt"


def test_an_edited_output_is_kept(root: Path, transcribe: Transcribe) -> None:
    """Corrections of hours are not lost when the recording is done again."""
    transcribe()
    (root / "a/talk.srt").write_text("corrected")
    put = transcribe(text=" Again.")
    assert (root / "a/talk.srt").read_text() == "corrected"
    assert "a/talk.mp3.srt" in put.outputs
    assert (root / "a/talk.txt").read_text() == "Again.\n"


def test_an_edited_json_is_kept_and_its_successor_found(root: Path, transcribe: Transcribe) -> None:
    """The new one takes the full name; the texts that nobody edited keep theirs."""
    transcribe()
    edited = (root / "a/talk.json").read_bytes().replace(b"Bonjour", b"Bonsoir")
    (root / "a/talk.json").write_bytes(edited)
    put = transcribe(text=" Again.")
    assert (root / "a/talk.json").read_bytes() == edited
    assert put.outputs == ("a/talk.txt", "a/talk.srt", "a/talk.vtt", "a/talk.tsv", "a/talk.mp3.json")
    found = written_for(root, None, b"a/talk.mp3")
    assert found
    assert found.intact


def test_unedited_outputs_are_replaced(root: Path, transcribe: Transcribe) -> None:
    """Done again, the new text stands under the same names and nothing else lies there."""
    transcribe()
    before = listing(root / "a")
    put = transcribe(text=" Again.")
    assert listing(root / "a") == before
    assert (root / "a/talk.txt").read_text() == "Again.\n"
    assert put.warnings == ("truncated", "odd")


def test_doing_the_same_again_changes_no_byte(root: Path, transcribe: Transcribe) -> None:
    """Not even where a name was taken the first time."""
    (root / "a/talk.txt").write_text("mine")
    first = transcribe()
    before = {each.name: each.read_bytes() for each in (root / "a").iterdir()}
    assert transcribe() == first
    assert {each.name: each.read_bytes() for each in (root / "a").iterdir()} == before


def test_the_first_recording_keeps_the_stem_for_good(root: Path, transcribe: Transcribe) -> None:
    """talk.wav uses none of talk.*, free or not, also when talk.mp3 is gone and only an srt was made of it."""
    transcribe(b"a/talk.mp3", output_format=("srt",))
    (root / "a/talk.mp3").unlink()
    put = transcribe(b"a/talk.wav")
    assert put.outputs == tuple(f"a/talk.wav.{each}" for each in ALL)
    assert any("talk.mp3" in warning for warning in put.warnings)
    assert listing(root / "a") == {"talk.srt", "talk.json", "talk.wav", *(f"talk.wav.{each}" for each in ALL)}


def test_the_name_of_the_status_report_is_never_taken(root: Path, transcribe: Transcribe) -> None:
    """A recording may be called transcription-status.mp3."""
    put = transcribe(b"a/transcription-status.mp3")
    assert put.outputs[0] == "a/transcription-status.mp3.txt"
    assert put.outputs[-1] == "a/transcription-status.mp3.json"
    assert written_for(root, None, b"a/transcription-status.mp3")


def test_a_format_not_asked_for_any_more_stays_true(root: Path, transcribe: Transcribe) -> None:
    """It is rendered along: it neither disappears nor tells the old text."""
    transcribe()
    put = transcribe(text=" Again.", output_format=("txt",))
    assert len(put.outputs) == 5
    assert "Again." in (root / "a/talk.srt").read_text()


@pytest.mark.parametrize("source", [b"a/caf\xe9.mp3", b"a/-rf\n%s.mp3", b"a/" + b"x" * 251 + b".mp3"])
def test_any_name_of_a_source_works(source: bytes, root: Path, transcribe: Transcribe) -> None:
    """Bytes that are not UTF-8, a newline, a dash, 255 bytes."""
    transcribe(source)
    assert written_for(root, None, source)
    assert len(listing(root / "a")) == 6


# ---- races and links ----


def test_a_file_that_appears_meanwhile_is_kept(root: Path, committer: Committer) -> None:
    """Between deciding the names and giving them; the next try takes another name."""
    prepared = committer.prepare(media(), heard(), Options())
    (root / "a/talk.vtt").write_text("mine")
    with pytest.raises(OutputsUnwritableError, match="kept"):
        committer.put(prepared)
    assert (root / "a/talk.vtt").read_text() == "mine"
    assert listing(root / "a") == {"talk.vtt"}
    put = committer.put(committer.prepare(media(), heard(), Options()))
    assert put.outputs == ("a/talk.txt", "a/talk.srt", "a/talk.mp3.vtt", "a/talk.tsv", "a/talk.json")


def test_an_output_edited_meanwhile_is_kept(root: Path, committer: Committer, transcribe: Transcribe) -> None:
    """It is looked at again just before it would be replaced."""
    transcribe()
    prepared = committer.prepare(media(), heard(" Again."), Options())
    (root / "a/talk.tsv").write_text("corrected")
    with pytest.raises(OutputsUnwritableError):
        committer.put(prepared)
    assert (root / "a/talk.tsv").read_text() == "corrected"


def test_without_hard_links_nothing_is_overwritten_either(
    root: Path, committer: Committer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """FAT and some network file systems have none."""

    def refuse(*_args: Any, **_kwargs: Any) -> None:
        raise PermissionError(1, "Operation not permitted")

    monkeypatch.setattr(os, "link", refuse)
    assert len(commit(committer, root, b"a/one.mp3", " One.").outputs) == 5
    prepared = committer.prepare(media(), heard(), Options())
    (root / "a/talk.txt").write_text("mine")
    with pytest.raises(OutputsUnwritableError):
        committer.put(prepared)
    assert (root / "a/talk.txt").read_text() == "mine"


def test_a_link_under_an_outputs_name_is_not_followed(
    root: Path, tmp_path: Path, transcribe: Transcribe
) -> None:
    """Dangling or not: the name counts as taken."""
    (tmp_path / "outside.txt").write_text("mine")
    (root / "a/talk.txt").symlink_to(tmp_path / "outside.txt")
    (root / "a/talk.srt").symlink_to(tmp_path / "nothing")
    put = transcribe()
    assert put.outputs[:2] == ("a/talk.mp3.txt", "a/talk.mp3.srt")
    assert (tmp_path / "outside.txt").read_text() == "mine"
    assert not (tmp_path / "nothing").exists()


def test_a_directory_that_became_a_link_is_not_left_through(
    root: Path, tmp_path: Path, committer: Committer
) -> None:
    """Swapped while the file was transcribed: nothing is written outside."""
    prepared = committer.prepare(media(), heard(), Options())
    (tmp_path / "outside").mkdir()
    (root / "a").rmdir()
    (root / "a").symlink_to(tmp_path / "outside")
    with pytest.raises(OutputsUnwritableError, match="link"):
        committer.put(prepared)
    assert listing(tmp_path / "outside") == set()


def test_a_link_that_stays_inside_is_followed(root: Path, committer: Committer) -> None:
    """People link folders together."""
    (root / "b").symlink_to("a")
    committer.put(committer.prepare(media(b"b/talk.mp3"), heard(), Options()))
    assert (root / "a/talk.json").exists()


def test_two_threads_do_not_fight(root: Path, committer: Committer) -> None:
    """Relay and ingest commit at the same time, here two recordings of one stem: each is whole, one keeps the stem."""
    failed: list[Exception] = []

    def work(path: bytes) -> None:
        for _ in range(5):
            try:
                commit(committer, root, path, f" {path.decode()}")
            except OutputsUnwritableError as error:
                failed.append(error)

    threads = [threading.Thread(target=work, args=(path,)) for path in (b"a/talk.mp3", b"a/talk.wav")]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(failed) < 5
    for path in (b"a/talk.mp3", b"a/talk.wav"):
        found = written_for(root, None, path)
        assert found
        assert found.intact
        for name, sha256 in found.provenance.outputs.items():
            assert committed_sha(root / "a" / name) == sha256


def committed_sha(file: Path) -> str:
    return hashlib.sha256(file.read_bytes()).hexdigest()


# ---- when it cannot be written ----


@contextmanager
def unprivileged() -> Iterator[None]:
    """Be somebody whom permissions bind."""
    if os.geteuid() != 0:
        yield
        return
    os.seteuid(NOBODY)
    try:
        yield
    finally:
        os.seteuid(0)


def test_no_permission_says_so_and_leaves_nothing(root: Path, committer: Committer) -> None:
    """The directory is named, and the words say what to do; it works once that is done."""
    prepared = committer.prepare(media(), heard(), Options())
    (root / "a/talk.mp3").touch()
    for folder in (root, *list(root.parents)[:3]):
        folder.chmod(folder.stat().st_mode | 0o755)
    (root / "a").chmod(0o555)
    with unprivileged(), pytest.raises(OutputsUnwritableError, match=r"^a: permission denied; give"):
        committer.put(prepared)
    assert listing(root / "a") == {"talk.mp3"}
    (root / "a").chmod(0o755)
    assert len(committer.put(prepared).outputs) == 5


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """Mount a file system of 32 KiB."""
    place = tmp_path / "small"
    place.mkdir()
    command = ["mount", "-t", "tmpfs", "-o", "size=32k", "none", str(place)]
    mounted = subprocess.run(command, capture_output=True, check=False)
    if mounted.returncode:
        pytest.skip("may not mount")
    yield place
    subprocess.run(["umount", str(place)], check=True)


def test_a_full_disk_leaves_nothing_and_heals(small_disk: Path) -> None:
    """The old outputs stand as they were; with space again the same commit succeeds."""
    committer = Committer(small_disk, None, "1.0")
    commit(committer, small_disk, b"talk.mp3", " Old.")
    before = {each.name: each.read_bytes() for each in small_disk.iterdir()}
    prepared = committer.prepare(media(b"talk.mp3"), heard(" New." * 1000), Options())
    with pytest.raises(OutputsUnwritableError, match="disk is full") as caught:
        committer.put(prepared)
    assert caught.value.errno == 28
    assert {each.name: each.read_bytes() for each in small_disk.iterdir()} == before
    subprocess.run(["mount", "-o", "remount,size=1m", str(small_disk)], check=True)
    committer.put(prepared)
    assert (small_disk / "talk.txt").read_text().startswith("New.")


def test_an_error_amid_the_names_leaves_no_stranger(
    root: Path, transcribe: Transcribe, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Half of the outputs have their names when the disk fails: the next try knows them for its own."""
    real, left = os.link, [2]

    def fail(*args: Any, **kwargs: Any) -> None:
        left[0] -= 1
        if left[0] < 0:
            raise OSError(5, "Input/output error")
        real(*args, **kwargs)

    monkeypatch.setattr(os, "link", fail)
    with pytest.raises(OutputsUnwritableError):
        transcribe()
    assert not any(name.startswith(".") for name in listing(root / "a"))
    monkeypatch.undo()
    assert transcribe(text=" Again.").outputs == tuple(f"a/talk.{each}" for each in ALL)


def test_old_temporaries_are_swept_and_young_ones_are_not(root: Path, transcribe: Transcribe) -> None:
    """Of a crash long ago; another's hidden file of a like name stays."""
    old = root / "a" / f".talk.txt.{'0' * 16}.wtmp"
    young = root / "a" / f".talk.srt.{'1' * 16}.wtmp"
    others = root / "a/.talk.wtmp"
    for each in (old, young, others):
        each.touch()
    os.utime(old, (0, 0))
    os.utime(others, (0, 0))
    transcribe()
    assert {old.name, young.name, others.name} & listing(root / "a") == {young.name, others.name}
    with opened_directory(root, b"a") as directory:
        clean_temporaries(directory, young.stat().st_mtime + 3600)
    assert not young.exists()


def test_directories_that_come_without_end_leave_no_more_than_a_thousand_in_memory(
    root: Path, committer: Committer, transcribe: Transcribe, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One that was forgotten is swept once more, which does no harm."""
    monkeypatch.setattr("pipeline.relay.commit.SWEPT", 2)
    for name in "abcde":
        (root / name).mkdir(exist_ok=True)
        transcribe(path=f"{name}/talk.mp3".encode())
    assert len(committer._swept) <= 2


# ---- an output directory ----


def test_outputs_go_to_a_tree_of_the_same_shape(root: Path, tmp_path: Path) -> None:
    """With the modes of the source's directories; the workdir is not touched."""
    (root / "a/b").mkdir(mode=0o750)
    (root / "a").chmod(0o755)
    committer = Committer(root, tmp_path / "out/deep", "1.0")
    before = os.umask(0o077)
    put = commit(committer, root, b"a/b/talk.mp3", " Bonjour.")
    os.umask(before)
    assert put.outputs[0] == "a/b/talk.txt"
    assert listing(tmp_path / "out/deep/a/b") == {f"talk.{each}" for each in ALL}
    assert stat.S_IMODE((tmp_path / "out/deep/a/b").stat().st_mode) == 0o750
    assert stat.S_IMODE((tmp_path / "out/deep/a").stat().st_mode) == 0o755
    assert listing(root / "a/b") == {"talk.mp3"}
    assert written_for(root, tmp_path / "out/deep", b"a/b/talk.mp3")


# ---- from what is there ----


def test_formats_and_widths_are_rendered_again(
    root: Path, committer: Committer, transcribe: Transcribe
) -> None:
    """From the JSON, which keeps the hashes of what lies beside it."""
    transcribe(text=" Bonjour à tous", output_format=("txt",))
    put = committer.render(b"a/talk.mp3", Options(output_format=("srt",), highlight_words=True, beam_size=1))
    assert put.outputs == ("a/talk.txt", "a/talk.srt", "a/talk.json")
    assert "<u>" in (root / "a/talk.srt").read_text()
    found = written_for(root, None, b"a/talk.mp3")
    assert found
    assert found.intact
    assert found.options["beam_size"] == 5
    assert found.options["highlight_words"]
    assert found.provenance.outputs["talk.srt"] == committed_sha(root / "a/talk.srt")


def test_rendering_again_repeats_no_warning(root: Path, committer: Committer, transcribe: Transcribe) -> None:
    """Nor loses one: the longer name still needs its explanation."""
    (root / "a/talk.txt").write_text("mine")
    put = transcribe()
    assert committer.render(b"a/talk.mp3", Options()) == put


def test_there_is_nothing_to_render_without_a_json(committer: Committer) -> None:
    """The caller transcribes it, then."""
    with pytest.raises(NotFoundError):
        committer.render(b"a/talk.mp3", Options())


def test_a_damaged_json_is_said_to_be(root: Path, committer: Committer, transcribe: Transcribe) -> None:
    """Its end is whole and tells whose it is; its beginning is not JSON."""
    transcribe()
    (root / "a/talk.json").write_bytes(b"{{" + (root / "a/talk.json").read_bytes())
    with pytest.raises(NotFoundError, match="cannot be used"):
        committer.render(b"a/talk.mp3", Options())


def test_a_recording_found_elsewhere_gets_copies(
    root: Path, committer: Committer, transcribe: Transcribe
) -> None:
    """Under its own name and in the same layout; each JSON tells its own source."""
    transcribe(text=" Bonjour", highlight_words=True, output_format=("vtt",))
    (root / "b").mkdir()
    put = committer.copy(media(sha256="a" * 64), b"b/lecture.wav", Fingerprint(5, 99))
    assert put.outputs == ("b/lecture.vtt", "b/lecture.json")
    assert (root / "b/lecture.vtt").read_bytes() == (root / "a/talk.vtt").read_bytes()
    found = written_for(root, None, b"b/lecture.wav")
    assert found
    assert (found.fingerprint, found.sha256) == (Fingerprint(5, 99), "a" * 64)


def test_another_version_is_not_copied(committer: Committer, transcribe: Transcribe) -> None:
    """The source was transcribed again since the queue noted its hash."""
    transcribe()
    with pytest.raises(NotFoundError):
        committer.copy(media(sha256="f" * 64), b"b.wav", Fingerprint(5, 6))


def test_forgetting_erases_what_is_ours_and_unedited(
    root: Path, committer: Committer, transcribe: Transcribe
) -> None:
    """Never the source, never an edited output, never a neighbour's."""
    transcribe()
    transcribe(b"a/other.mp3")
    (root / "a/talk.srt").write_text("corrected")
    erased = committer.erase(b"a/talk.mp3")
    assert set(erased) == {b"a/talk.txt", b"a/talk.vtt", b"a/talk.tsv", b"a/talk.json"}
    assert "talk.srt" in listing(root / "a")
    assert {"talk.mp3", "other.mp3", *(f"other.{each}" for each in ALL)} < listing(root / "a")
    assert committer.erase(b"a/talk.mp3") == []
    assert committer.erase(b"gone/talk.mp3") == []


def test_what_was_committed_is_there(committer: Committer) -> None:
    """The queue asks after a crash, by the hash it was told; another hash is not it."""
    prepared = committer.prepare(media(), heard(), Options())
    assert committer.is_there(media(output_sha256=prepared.sha256)) is None
    put = committer.put(prepared)
    assert committer.is_there(media(output_sha256=prepared.sha256)) == put
    assert committer.is_there(media(output_sha256="0" * 64)) is None
    assert committer.is_there(replace(media(), output_sha256=None)) is None


def test_whether_outputs_could_be_put_is_told_without_writing_any(
    committer: Committer, root: Path, tmp_path: Path
) -> None:
    """A place that is gone, or led to by a link out of the workdir, is none."""
    (tmp_path / "outside").mkdir()
    (root / "out").symlink_to(tmp_path / "outside")
    before = sorted(root.rglob("*"))
    assert committer.can_put(b"a/talk.mp3")
    assert not committer.can_put(b"gone/talk.mp3")
    assert not committer.can_put(b"out/talk.mp3")
    assert sorted(root.rglob("*")) == before
