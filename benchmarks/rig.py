"""Runs one system on one workload, and returns what is to be kept of it."""

from __future__ import annotations

import json
import os
import sys
from dataclasses import asdict
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from benchmarks import score, workloads
from benchmarks.measure import Cost, run
from benchmarks.ours import service
from benchmarks.workloads import Item, Workload
from pipeline.stage.decode.ffmpeg import ffmpeg_binary

if TYPE_CHECKING:
    import argparse

    from benchmarks.prepare import Prepared
    from benchmarks.systems import System

HERE = Path(__file__).parent
WORK = HERE.parent / "build" / "benchmarks"
SAMPLE_MINUTES = 5.0
SAMPLE_PIECES = 40
HOUR_MINUTES = 60.0
WINDOW_S = 30.0


class Rig:
    """The audio, the weights and the processes of one benchmark."""

    def __init__(self, prepared: Prepared, chosen: argparse.Namespace) -> None:
        self._prepared = prepared
        self._chosen = chosen
        self._corpus = workloads.recordings(chosen.corpus)
        WORK.mkdir(parents=True, exist_ok=True)

    def run(self, system: System, name: str) -> dict[str, Any]:
        """Return costs, scores and whatever the system said of its parts."""
        if name == "alone":
            return self._alone(system)
        workload = self.workload(name, sample=system.slow and not self._chosen.full)
        cost, texts = self._transcribed(system, workload)
        return self._kept(workload, cost, texts)

    @cache  # noqa: B019 - there is one rig
    def workload(self, name: str, *, sample: bool = False) -> Workload:
        """Return a workload, or the part of it that slow systems get."""
        if name == "long":
            minutes = self._chosen.minutes
            return workloads.long(self._corpus, min(minutes, SAMPLE_MINUTES) if sample else minutes)
        if name == "short":
            count = self._chosen.pieces
            return workloads.short(
                self._corpus, min(count, SAMPLE_PIECES) if sample else count, WORK / "short"
            )
        return workloads.hour(self._corpus, HOUR_MINUTES, WORK / "hour.wav")

    def described(self) -> dict[str, Any]:
        """Return what the audio is."""
        chosen = [name for name in self._chosen.workload.split(",") if name in ("long", "short")]
        every = [(name, sample) for name in chosen for sample in (False, True)]
        return {
            f"{name}{' sample' if sample else ''}": {
                "files": len(self.workload(name, sample=sample).items),
                "seconds": round(self.workload(name, sample=sample).seconds, 1),
            }
            for name, sample in every
        }

    def _transcribed(self, system: System, workload: Workload) -> tuple[Cost, dict[str, str]]:
        if system.runner == "ours":
            return service.measure(
                workload.items,
                workload.language,
                self._warm_up(),
                self._chosen.threads,
                system.settings["flags"],
            )
        files = [[str(item.path), workload.language] for item in workload.items]
        cost, answer = self._ordered(system, {"files": files})
        return cost, answer["texts"]

    def _alone(self, system: System) -> dict[str, Any]:
        pcm = workloads.windows(self._corpus, self._chosen.windows, WORK / "windows.npy")
        cost, answer = self._ordered(system, {"windows": str(pcm)})
        own = {key: answer[key] for key in ("mel", "encode", "decode", "tokens") if key in answer}
        return {"audio_s": self._chosen.windows * WINDOW_S, "scores": {}} | asdict(cost) | own

    def _ordered(self, system: System, work: dict[str, Any]) -> tuple[Cost, dict[str, Any]]:
        order = WORK / "order.json"
        common = {"threads": self._chosen.threads, "settings": system.settings, "ffmpeg": ffmpeg_binary()}
        warm_up = [str(self._warm_up().path), None]
        order.write_text(json.dumps(common | self._weights(system) | {"warm_up": warm_up} | work))
        environment = os.environ | {"OMP_NUM_THREADS": str(self._chosen.threads)}
        if system.is_ours:
            environment["PYTHONPATH"] = str(HERE.parent)
        else:
            environment["PATH"] = f"{self._prepared.python.parent}{os.pathsep}{os.environ['PATH']}"
        return run([*self._command(system), str(order)], environment, WORK / "log.txt")

    def _command(self, system: System) -> list[str]:
        if system.runner == "engine":
            return [sys.executable, str(HERE / "ours" / "alone.py")]
        return [str(self._prepared.python), str(HERE / "peers" / f"{system.runner}.py")]

    def _weights(self, system: System) -> dict[str, str]:
        forms = {
            "openai": self._prepared.openai,
            "ctranslate": self._prepared.ctranslate,
            "cpp": self._prepared.ggml,
            "engine": self._prepared.openai,
        }
        return {"model": str(forms[system.runner]), "cache": str(self._prepared.cache)}

    def _warm_up(self) -> Item:
        shortest = min(self._corpus, key=lambda each: each.seconds if each.text or not each.language else 1e9)
        return Item(shortest.path, shortest.seconds)

    @staticmethod
    def _kept(workload: Workload, cost: Cost, texts: dict[str, str]) -> dict[str, Any]:
        kept: dict[str, Any] = {"audio_s": workload.seconds, "files": len(workload.items)}
        return kept | asdict(cost) | {"scores": score.scores(workload.items, texts)}
