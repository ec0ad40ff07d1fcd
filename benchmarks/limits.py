"""Our parts beside the machine's limits: what each takes, and what it could take at best. Pure."""

from __future__ import annotations

from typing import Any

from benchmarks.arithmetic import BASE, decoder_bytes, decoder_operations, encoder_operations

HALF = 2  # bytes of a number
BEFORE = ("FFmpeg", "voice activity, windows")  # beside the engine, on any core
OVER = "of it neither engine, nor FFmpeg and voice activity on all cores"


def rows(content: dict[str, Any], beam: str, end_to_end_s: float | None) -> list[str]:
    """Return the rows of the table of parts: wall seconds where a part was alone on the machine."""
    facts, measured = content["parts"], content["parts"]["beams"][beam]
    minutes = facts["audio_s"] / 60
    taken = seconds(measured)
    engine = measured["engine"]["wall_s"]
    whole = end_to_end_s or sum(taken.values())
    best = at_best(content, beam)
    lines = [row(name, value, minutes, whole, best.get(name)) for name, value in taken.items()]
    lines.append(row("the engine alone", engine, minutes, whole, sum(best.values())))
    if end_to_end_s:
        before = sum(taken[name] for name in BEFORE) / content["threads"]
        lines.append(row("end to end", end_to_end_s, minutes, whole, None))
        over = end_to_end_s - engine - before
        lines.append(row(OVER, over, minutes, whole, None))
    return lines


def seconds(measured: dict[str, Any]) -> dict[str, float]:
    """Return the seconds of each part; CPU seconds for what runs on one core beside the engine."""
    mel = measured["mel"]["wall_s"]
    encoder = max(measured["encoder"]["wall_s"] - mel, 0.0)
    decoder = measured["decoder"]["wall_s"]
    return {
        "FFmpeg": measured["ffmpeg"]["cpu_s"],
        "voice activity, windows": measured["voice"]["cpu_s"],
        "mel": mel,
        "encoder": encoder,
        "decoder": decoder,
        "rest of the engine": max(measured["engine"]["wall_s"] - mel - encoder - decoder, 0.0),
    }


def at_best(content: dict[str, Any], beam: str) -> dict[str, float]:
    """Return the seconds that encoder and decoder cannot be faster than in bfloat16 on this machine."""
    facts, measured, limits = content["parts"], content["parts"]["beams"][beam], content["limits"]
    products, memory = limits["bfloat16"] * 1e9, limits["memory"] * 1e9
    weights, heard = decoder_bytes(BASE, HALF)
    read = measured["steps"] * weights + measured["row_steps"] * heard
    operations = measured["row_steps"] * int(beam) * decoder_operations(BASE)
    return {
        "encoder": facts["windows"] * encoder_operations(BASE) / products,
        "decoder": max(operations / products, read / memory),
    }


def row(name: str, taken: float, minutes: float, whole: float, best: float | None) -> str:
    """Return one row of the table."""
    limit = "" if best is None else f"{best / minutes:.3f}"
    distance = "" if not best else f"{taken / best:.1f}"
    return f"| {name} | {taken / minutes:.3f} | {taken / whole:.0%} | {limit} | {distance} |"
