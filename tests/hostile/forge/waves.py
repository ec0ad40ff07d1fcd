"""WAV files and their like, written by hand: headers that lie, numbers that are none, odd shapes."""

from __future__ import annotations

import math
import struct
from collections.abc import Iterator
from functools import partial

import numpy as np

from tests.hostile.forge.case import DONE, EITHER, Case, holding

RATE = 16_000
FLOAT, EXTENSIBLE = 3, 0xFFFE
MOST = 0xFFFF_FFFF
HOURS_1000 = 3_600_000


def chunk(kind: bytes, payload: bytes, size: int | None = None) -> bytes:
    """Return a RIFF chunk; `size` is what it says of itself if that is not true."""
    return kind + struct.pack("<I", len(payload) if size is None else size) + payload


def tone(seconds: float = 2.0, rate: int = RATE, channels: int = 1) -> bytes:
    """Return s16 samples."""
    wave = np.sin(np.arange(int(seconds * rate)) * 2 * math.pi * 300 / rate) * 9000
    return np.repeat(wave.astype("<i2"), channels).tobytes()


def wav(  # noqa: PLR0913 - each is a field that may lie
    pcm: bytes | None = None,
    *,
    tag: int = 1,
    channels: int = 1,
    rate: int = RATE,
    bits: int = 16,
    byte_rate: int | None = None,
    align: int | None = None,
    size: int | None = None,
    before: bytes = b"",
    extra: bytes = b"",
) -> bytes:
    """Return a WAV file with the truth in every field that is not given."""
    pcm = tone() if pcm is None else pcm
    true_align = channels * bits // 8 & 0xFFFF
    align = true_align if align is None else align
    byte_rate = rate * true_align & MOST if byte_rate is None else byte_rate
    form = chunk(b"fmt ", struct.pack("<HHIIHH", tag, channels, rate, byte_rate, align, bits) + extra)
    return chunk(b"RIFF", b"WAVE" + before + form + chunk(b"data", pcm, size))


def floats(*values: float, kind: str = "<f4") -> bytes:
    """Return a second of these values, over and over."""
    return np.resize(np.array(values, dtype=kind), RATE).tobytes()


def cases() -> Iterator[Case]:
    """Yield all of them."""
    yield from _lies()
    yield from _numbers()
    yield from _shapes()
    yield from _relatives()


def _lies() -> Iterator[Case]:
    for name, fields in {
        "size-0": {"size": 0},
        "size-most": {"size": MOST},
        "size-odd": {"size": 12_345},
        "channels-0": {"channels": 0},
        "channels-most": {"channels": 65_535},
        "rate-0": {"rate": 0},
        "rate-1": {"rate": 1},
        "rate-most": {"rate": MOST},
        "bits-0": {"bits": 0},
        "bits-most": {"bits": 65_535},
        "align-0": {"align": 0},
        "align-most": {"align": 65_535},
        "bytes-a-second-0": {"byte_rate": 0},
        "codec-unknown": {"tag": 0xDEAD},
        "codec-adpcm": {"tag": 2, "bits": 4, "align": 0},
        "codec-gsm": {"tag": 0x31, "align": 65},
        "codec-mp3": {"tag": 0x55},
        "extensible": {"tag": EXTENSIBLE, "extra": struct.pack("<HHI", 22, 16, MOST) + bytes(16)},
    }.items():
        yield holding(f"wave-{name}.wav", partial(wav, **fields), *EITHER)
    yield holding("claims-1000-hours.wav", partial(wav, byte_rate=1, size=HOURS_1000), DONE)
    yield holding("riff-size-0.wav", lambda: b"RIFF\0\0\0\0" + wav()[8:], DONE)
    yield holding("data-before-format.wav", chunk(b"RIFF", b"WAVE" + chunk(b"data", bytes(9000))), *EITHER)
    yield holding("chunks-in-chunks.wav", lambda: wav(before=nested(2000)), DONE)
    yield holding("chunk-size-most.wav", lambda: wav(before=chunk(b"LIST", b"INFO", MOST)), *EITHER)
    yield holding("rf64-2-to-60.wav", rf64, *EITHER)


def _numbers() -> Iterator[Case]:
    inf = math.inf
    yield holding("not-a-number.wav", lambda: wav(floats(math.nan), tag=FLOAT, bits=32), DONE)
    yield holding("infinite.wav", lambda: wav(floats(inf, -inf, 0.5), tag=FLOAT, bits=32), DONE)
    yield holding("enormous.wav", lambda: wav(floats(3e38, -3e38, 1e-45), tag=FLOAT, bits=32), DONE)
    yield holding("enormous-64.wav", lambda: wav(floats(1e308, -inf, kind="<f8"), tag=FLOAT, bits=64), DONE)


def _shapes() -> Iterator[Case]:
    for rate in (8000, 11_025, 22_050, 44_100, 48_000, 96_000, 192_000):
        yield holding(f"{rate}-hertz.wav", partial(_shaped, rate, 1), DONE)
    for channels in (2, 6, 8, 9, 32, 64):
        yield holding(f"{channels}-channels.wav", partial(_shaped, RATE, channels), DONE)
    yield holding("one-sample.wav", partial(wav, b"\1\1"), DONE)
    yield holding("odd-byte.wav", lambda: wav(tone() + b"\1"), DONE)
    yield holding("no-samples.wav", partial(wav, b""), "corrupt")
    yield holding("silence.wav", partial(wav, bytes(3 * 2 * RATE)), DONE)


def _shaped(rate: int, channels: int) -> bytes:
    return wav(tone(1.0, rate, channels), rate=rate, channels=channels)


def _relatives() -> Iterator[Case]:
    sphere = (
        b"NIST_1A\n   1024\nsample_count -i 99999999999999\nsample_rate -i 0\nchannel_count -i 1\nend_head\n"
    )
    yield holding("lies.sph.wav", sphere.ljust(1024) + tone(), *EITHER)
    for name, (rate, channels) in {"zero": (0, 0), "most": (MOST, MOST)}.items():
        head = struct.pack(">4sIIIII", b".snd", 24, MOST, 3, rate, channels)
        yield holding(f"{name}.au", head + tone(), *EITHER)
    form = struct.pack(">hIh", 1, MOST, 16) + b"\x7f\xff" + b"\xff" * 8  # a rate that is not a number
    aiff = b"AIFFCOMM" + struct.pack(">I", len(form)) + form + b"SSND" + struct.pack(">I", MOST) + tone()
    yield holding("not-a-rate.aiff", b"FORM" + struct.pack(">I", len(aiff)) + aiff, *EITHER)
    form = struct.pack(">d4sIIIII", math.nan, b"lpcm", 0, 0, 0, MOST, MOST)
    caf = b"caff\0\1\0\0desc" + struct.pack(">q", len(form)) + form + b"data" + struct.pack(">q", -1) + tone()
    yield holding("not-a-rate.caf", caf, *EITHER)
    monkey = struct.pack("<4sHHIIIIIII16s", b"MAC ", 3990, 0, 52, 24, MOST, 44, 0, 0, 0, bytes(16))
    yield holding(
        "frames-most.ape", monkey + struct.pack("<HHIIIHHI", 2000, 0, MOST, 1, MOST, 16, 2, RATE), *EITHER
    )


def nested(depth: int) -> bytes:
    """Return lists in lists."""
    raw = b""
    for _ in range(depth):
        raw = chunk(b"LIST", b"INFO" + raw)
    return raw


def rf64() -> bytes:
    """Return a WAV whose 64-bit sizes are those of no disk."""
    lies = chunk(b"ds64", struct.pack("<QQQI", 1 << 60, 1 << 60, 1 << 60, 0))
    return b"RF64" + wav(before=lies, size=MOST)[4:]
