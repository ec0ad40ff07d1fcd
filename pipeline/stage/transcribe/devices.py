"""Which CUDA devices there are, asked in a process of its own: `python -m pipeline.stage.transcribe.devices`."""

from __future__ import annotations

import json
import subprocess
import sys

from pipeline.errors import GpuUnavailableError


def cuda_devices(cwd: str) -> list[str]:
    """Return cuda:0, cuda:1, …; raises GpuUnavailableError with torch's own reason when there are none."""
    command = [sys.executable, "-m", "pipeline.stage.transcribe.devices"]
    answer = subprocess.run(command, cwd=cwd, capture_output=True, text=True, check=False)  # noqa: S603 - our own
    if answer.returncode:
        raise GpuUnavailableError(answer.stderr.strip().splitlines()[-1] if answer.stderr.strip() else "")
    devices: list[str] = json.loads(answer.stdout)
    return devices


def main() -> None:
    """Print the devices as JSON, or say on stderr why there are none."""
    import torch

    try:
        torch.cuda.init()
        sys.stdout.write(json.dumps([f"cuda:{number}" for number in range(torch.cuda.device_count())]))
    except (RuntimeError, AssertionError) as error:
        sys.exit(" ".join(str(error).split()))


if __name__ == "__main__":
    main()
