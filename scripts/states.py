"""Print docs/states.md, drawn from TRANSITIONS: `python scripts/states.py > docs/states.md`."""

from __future__ import annotations

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))

from pipeline.tasks import ENDED, FAILURES, OPEN, SUCCEEDED, TRANSITIONS, WAITING, FileState

HEAD = """# The states of a file

Drawn from `TRANSITIONS` in `pipeline/tasks.py` by `scripts/states.py`; a test compares the two. The queue refuses
every other change: its UPDATEs match only rows in a state from which the arrow starts.

Left out of the picture: every state but `superseded` may become `superseded` (a newer row of the same path took its
place), and every open one also `cancelled` and `skipped`.
"""

ENTRIES = (FileState.SETTLING, FileState.QUEUED, FileState.FAILED, FileState.SKIPPED)
ALWAYS = {FileState.SUPERSEDED}
LET_GO = {FileState.SUPERSEDED, FileState.CANCELLED, FileState.SKIPPED}


def diagram() -> list[str]:
    """Return the lines of the mermaid diagram."""
    arrows = [f"    [*] --> {state}" for state in ENTRIES]
    for before, after in TRANSITIONS.items():
        hidden = LET_GO if before in OPEN else ALWAYS
        arrows += [f"    {before} --> {state}" for state in FileState if state in after - hidden]
    return ["```mermaid", "stateDiagram-v2", *arrows, "```"]


def groups() -> list[str]:
    """Return a line for each group of states that the code names."""
    named = {"waiting": WAITING, "open": OPEN, "ended": ENDED, "succeeded": SUCCEEDED, "failures": FAILURES}
    return [
        f"- {name}: {', '.join(f'`{state}`' for state in FileState if state in group)}"
        for name, group in named.items()
    ]


if __name__ == "__main__":
    print("\n".join([HEAD, *diagram(), "", *groups()]))
