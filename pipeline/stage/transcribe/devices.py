"""Which CUDA devices there are, asked in a process of its own: `python -m pipeline.stage.transcribe.devices`."""

from __future__ import annotations

import json
import sys

import torch


def main() -> None:
    """Print the devices (cuda:0, cuda:1, …) as JSON; exit with torch's own reason when there are none."""
    try:
        torch.cuda.init()  # type: ignore[no-untyped-call]
        sys.stdout.write(json.dumps([f"cuda:{number}" for number in range(torch.cuda.device_count())]))
    except (RuntimeError, AssertionError) as error:
        sys.exit(" ".join(str(error).split()))


if __name__ == "__main__":
    main()
