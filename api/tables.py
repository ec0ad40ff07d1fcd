"""Tables on standard output: fitted to a terminal, one line a row where another program reads them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rich.console import Console
from rich.table import Table

from pipeline.logs import one_line

if TYPE_CHECKING:
    from collections.abc import Sequence

PIPED_WIDTH = 10_000  # columns


def print_table(*head: str, rows: Sequence[tuple[str, ...]]) -> None:
    """Print rows under their heads; names may hold [brackets], :colons: and newlines."""
    table = Table(*head, box=None)
    for row in rows:
        table.add_row(*map(one_line, row))
    console = Console(markup=False, highlight=False, emoji=False)
    if not console.is_terminal:
        console.width = PIPED_WIDTH
    console.print(table)
