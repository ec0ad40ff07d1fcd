"""The systems under test: each with its settings, and how much of the work it is given."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Literal

GREEDY_OPENAI = {"beam_size": None, "best_of": None}  # transcribe()'s own defaults; it falls back to sampling
CLI_OPENAI = {"beam_size": 5, "best_of": 5}  # the command line's
GREEDY_CPP = {"greedy": {"best_of": 5}}  # its defaults
BEAM_CPP = {"beam_search": {"beam_size": 5, "patience": -1.0}}

Workload = Literal["long", "short", "hour", "alone"]


@dataclass(frozen=True, slots=True, kw_only=True)
class System:
    """One system with one setting.

    A contender runs in every round; others, which were never the fastest of their kind, in the first only. A slow
    one (real-time factor under 15 on two cores) gets the workloads' samples. `make bench-full` treats all alike.
    """

    name: str
    runner: Literal["ours", "engine", "openai", "ctranslate", "cpp"]
    beam: int
    settings: dict[str, Any] = field(default_factory=dict)
    workloads: tuple[Workload, ...] = ("long", "short")
    contender: bool = False
    slow: bool = False
    extra: bool = False  # in `make bench-full` only

    @property
    def is_ours(self) -> bool:
        """Whether this is the project itself."""
        return self.runner in ("ours", "engine")


def _ours(beam: int, flags: list[str], *workloads: Workload) -> System:
    return System(
        name="ours, greedy" if beam == 1 else f"ours, beam {beam}",
        runner="ours",
        beam=beam,
        settings={"flags": flags},
        workloads=workloads,
        contender=True,
    )


def _faster(kind: str, beam: int, batch: int, *workloads: Workload, **other: Any) -> System:
    """Return faster-whisper with a batch size, 0 for sequential; `options` among the others are transcribe()'s."""
    options = other.pop("options", {})
    way = f"batched {batch}" if batch else "sequential"
    return System(
        name=", ".join(["faster-whisper", way, kind, f"beam {beam}", *options]),
        runner="ctranslate",
        beam=beam,
        settings={"compute_type": kind, "batch": batch, "options": {"beam_size": beam} | options},
        workloads=workloads,
        **other,
    )


def _alone(
    name: str, runner: Literal["engine", "openai", "ctranslate"], beam: int, **settings: Any
) -> System:
    return System(
        name=f"{name}, beam {beam}",
        runner=runner,
        beam=beam,
        settings={"beam_size": beam, "batch": 16} | settings,
        workloads=("alone",),
        contender=runner == "engine" or settings.get("compute_type") == "int8",
    )


SYSTEMS = (
    _ours(1, ["--beam_size", "None"], "long", "short"),
    _ours(5, [], "long", "short", "hour"),
    _faster("int8", 1, 8, "long", "short", contender=True),
    _faster("int8", 5, 8, "long", "short", "hour", contender=True),
    _faster("int8", 1, 16, "long", contender=True),
    _faster("int8", 5, 16, "long", contender=True),
    _faster("float32", 1, 8, "long"),
    _faster("float32", 5, 8, "long"),
    _faster("int8", 1, 0, "long", "short", contender=True),
    _faster("int8", 5, 0, "long", "short", slow=True),
    _faster("float32", 1, 0, "long", slow=True),
    _faster("float32", 5, 0, "long", slow=True),
    _faster("int8", 5, 8, "long", extra=True, options={"without_timestamps": False}),
    System(
        name="openai-whisper, greedy", runner="openai", beam=1, settings={"options": GREEDY_OPENAI}, slow=True
    ),
    System(
        name="openai-whisper, its command line's defaults",
        runner="openai",
        beam=5,
        settings={"options": CLI_OPENAI},
        slow=True,
    ),
    System(
        name="whisper.cpp, greedy",
        runner="cpp",
        beam=1,
        settings={"strategy": 0, "options": GREEDY_CPP},
        slow=True,
    ),
    System(
        name="whisper.cpp, beam 5",
        runner="cpp",
        beam=5,
        settings={"strategy": 1, "options": BEAM_CPP},
        slow=True,
    ),
    _alone("our engine", "engine", 1),
    _alone("our engine", "engine", 5),
    _alone("CTranslate2 int8", "ctranslate", 1, compute_type="int8"),
    _alone("CTranslate2 int8", "ctranslate", 5, compute_type="int8"),
    _alone("CTranslate2 float32", "ctranslate", 1, compute_type="float32"),
    _alone("CTranslate2 float32", "ctranslate", 5, compute_type="float32"),
    _alone("openai-whisper decode()", "openai", 1),
    _alone("openai-whisper decode()", "openai", 5, batch=1),  # its beam search takes no more at once
)
