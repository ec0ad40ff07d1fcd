"""A multipart body is taken in as it arrives, however it is cut into pieces."""

from __future__ import annotations

import pytest

from api.multipart import MAX_FIELD_BYTES, Multipart
from api.problems import TooLargeError
from pipeline.errors import UsageError

TYPE = 'multipart/form-data; boundary="edge"'
BODY = (
    b'--edge\r\nContent-Disposition: form-data; name="dirname"\r\n\r\ntalks\r\n'
    b'--edge\r\nContent-Disposition: form-data; name="files"; filename="tape/a b.mp3"\r\n'
    b"Content-Type: audio/mpeg\r\n\r\nso\r\n--edgy und\r\n"
    b'--edge\r\nContent-Disposition: form-data; name="language"\r\n\r\nfran\xc3\xa7ais\r\n--edge--\r\n'
)  # fmt: skip


class Tray:
    """Keeps what it is given."""

    def __init__(self) -> None:
        self.files: list[tuple[bytes, bytearray]] = []
        self.ended = 0

    def begin(self, filename: bytes) -> None:
        self.files.append((filename, bytearray()))

    def write(self, data: bytes) -> None:
        self.files[-1][1].extend(data)

    def end(self) -> None:
        self.ended += 1


def part(name: str, content: bytes, filename: str = "") -> bytes:
    extra = f'; filename="{filename}"' if filename else ""
    head = f'--edge\r\nContent-Disposition: form-data; name="{name}"{extra}\r\n\r\n'
    return head.encode() + content + b"\r\n"


@pytest.mark.parametrize("size", [1, 2, 3, 7, 64, 10_000])
def test_fields_are_kept_and_files_handed_on(size: int) -> None:
    """A boundary that is cut in two is still one, and what only looks like one is content."""
    tray = Tray()
    form = Multipart(TYPE, tray, files="files")
    for at in range(0, len(BODY), size):
        form.feed(BODY[at : at + size])
    form.close()
    assert form.fields == [("dirname", "talks"), ("language", "français")]
    assert tray.files == [(b"tape/a b.mp3", bytearray(b"so\r\n--edgy und"))]
    assert tray.ended == 1


def test_a_name_that_dotnet_encodes_is_the_one_it_spells_out() -> None:
    """`filename` as in mail, which is no recording's; `filename*` says what it is called."""
    head = "--edge\r\nContent-Disposition: form-data; name=files; "
    names = "filename=\"=?utf-8?B?w6kubXAz?=\"; filename*=utf-8''%C3%A9%20.mp3"
    tray = Tray()
    Multipart(TYPE, tray, files="files").feed(f"{head}{names}\r\n\r\nsound\r\n--edge--\r\n".encode())
    assert tray.files == [("é .mp3".encode(), bytearray(b"sound"))]


def test_a_body_without_its_last_boundary_is_not_whole() -> None:
    """A client that died must not be taken for one that sent less."""
    form = Multipart(TYPE, Tray(), files="files")
    form.feed(BODY[:-9])
    with pytest.raises(UsageError, match="last boundary"):
        form.close()


@pytest.mark.parametrize(
    "content_type",
    [
        "",
        "application/json",
        "multipart/form-data",
        "multipart/form-data; boundary=",
        "text/plain; boundary=x",
    ],
)
def test_what_is_no_multipart_form_is_refused(content_type: str) -> None:
    """Before anything of it is read."""
    with pytest.raises(UsageError, match="multipart/form-data"):
        Multipart(content_type, Tray(), files="files")


@pytest.mark.parametrize(
    "body",
    [
        b"no boundary at all",
        b"--edge\r\n\r\nno headers\r\n--edge--\r\n",
        b"--edge\r\nContent-Disposition: form-data\r\n\r\nno name\r\n--edge--\r\n",
        b"--edge\r\n" + b"X: y\r\n" * 100 + b"\r\nx\r\n--edge--\r\n",
        b"--edge\r\nX: " + b"y" * 100_000,
        part("dirname", b"\xff") + b"--edge--\r\n",
        part("file", b"sound", "a.mp3"),
    ],
)
def test_a_malformed_body_is_the_clients_error(body: bytes) -> None:
    """It says what is wrong with it."""
    form = Multipart(TYPE, Tray(), files="files")
    with pytest.raises(UsageError):
        form.feed(body)


@pytest.mark.parametrize("body", [part("prompt", b"x" * MAX_FIELD_BYTES), part("a", b"") * 10_000])
def test_fields_take_bounded_memory(body: bytes) -> None:
    """One large field, or very many small ones."""
    form = Multipart(TYPE, Tray(), files="files")
    with pytest.raises(TooLargeError):
        form.feed(body)
