"""Which names are no work of ours: what is not media by its extension, and what is not finished or not meant."""

from __future__ import annotations

from fnmatch import fnmatchcase
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable

KEEP_OUT = b".nowhisper"
OUR_FOLDER = b".whisper"  # in the workdir: the queue, uploads on their way
FOLDER_OPTIONS = b"whisper.toml"

MEDIA = frozenset(
    b"3g2 3ga 3gp 3gpp aa3 aac ac3 ac4 adts adx aif aifc aiff alac amr amv ape apm aptx asf ast au avi awb caf"
    b" dff divx ds2 dsf dss dts dtshd dv eac3 f4a f4b f4v flac flv g722 g729 gsm gxf ircam ivf ifv kux lbc m1v m2a"
    b" m2t m2ts m2v m4a m4b m4p m4r m4v mka mkv mlp mmf mov mp1 mp2 mp3 mp4 mpa mpc mpe mpeg mpg mpga mpv mts"
    b" mxf nsv nut oga ogg ogm ogv oma omg opus qcp qt ra rka rm rmvb rso sbc sln snd sox spx swf tak tod tp ts"
    b" tta vob voc vox vro w64 wav wave weba webm wma wmv wtv wv xa xwma y4m".split()
)  # not dat, ram, mod: as often settings, a playlist, a tracker's music

_UNFINISHED = (b".part", b".partial", b".tmp", b".crdownload", b".download", b".filepart")
_NOT_MEANT = frozenset(
    {
        b"@eadir", b"#recycle", b"#snapshot", b"$recycle.bin", b"system volume information", b"lost+found",
        b"thumbs.db",
    }
)  # fmt: skip


def is_ignored(name: bytes) -> bool:
    """Tell whether a file or directory of this name is left alone, with all that is below it.

    Hidden names cover rsync's `.name.XXXXXX`, `.syncthing.*` and our own temporary files.
    """
    lower = name.lower()
    return name.startswith((b".", b"~$")) or lower.endswith(_UNFINISHED) or lower in _NOT_MEANT


def is_media(name: bytes) -> bool:
    """Tell whether the extension is one of audio or video (whether the content is, the stage finds out)."""
    stem, dot, extension = name.rpartition(b".")
    return bool(stem and dot) and extension.lower() in MEDIA


def is_selected(path: bytes, include: tuple[bytes, ...], exclude: tuple[bytes, ...]) -> bool:
    """Tell whether a path (relative to the directory asked for) passes the globs; they match it or its last part."""
    if any(_matches(path, glob) for glob in exclude):
        return False
    return not include or any(_matches(path, glob) for glob in include)


def as_globs(words: Iterable[str]) -> tuple[bytes, ...]:
    """Return globs as they are matched: names are bytes, and need not be UTF-8."""
    return tuple(each.encode("utf-8", "surrogateescape") for each in words)


def _matches(path: bytes, glob: bytes) -> bool:
    return fnmatchcase(path, glob) or fnmatchcase(path.rpartition(b"/")[2], glob)
