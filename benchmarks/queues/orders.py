"""How one program is measured by another: it gets the name of a call on stdin and answers with seconds."""

from __future__ import annotations

import json
import sys
import time
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping


def serve(calls: Mapping[str, Callable[[], object]]) -> None:
    """Follow orders, {"do": a name, "times": how often}, until stdin ends; each is answered with the seconds taken."""
    print("ready", flush=True)
    for line in sys.stdin:
        order = json.loads(line)
        call = calls[order["do"]]
        print(json.dumps([_timed(call) for _ in range(order["times"])]), flush=True)


def _timed(call: Callable[[], object]) -> float:
    began = time.perf_counter()
    call()
    return time.perf_counter() - began
