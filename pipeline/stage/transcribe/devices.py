"""CUDA devices: which there are, asked by `python -m pipeline.stage.transcribe.devices`, and how one is taken."""

from __future__ import annotations

import json
import sys

import torch


def settle_on(device: torch.device) -> None:
    """Make a GPU the one that this process means, and have it compute what it is told to."""
    if device.type != "cuda":
        return
    if device.index is not None:
        torch.cuda.set_device(device)  # else graphs and streams would be the first GPU's
    torch.backends.cudnn.allow_tf32 = False  # float32 is no 19 bits: torch's own default for convolutions
    # cuDNN's attention makes a plan for every new shape, and ours are many; flash and memory-efficient ones do not
    torch.backends.cuda.enable_cudnn_sdp(enabled=False)


def main() -> None:
    """Print the devices (cuda:0, cuda:1, …) as JSON; exit with torch's own reason when there are none."""
    try:
        torch.cuda.init()  # type: ignore[no-untyped-call]
        sys.stdout.write(json.dumps([f"cuda:{number}" for number in range(torch.cuda.device_count())]))
    except (RuntimeError, AssertionError) as error:
        sys.exit(" ".join(str(error).split()))


if __name__ == "__main__":
    main()
