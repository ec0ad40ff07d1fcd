#!/opt/whisper/venv/bin/python
"""Exit 0 when the API of this container answers /healthz, on whichever --port it was told."""

import os
import sys
import urllib.request
from pathlib import Path


def port(arguments: list[str]) -> str:
    """Return the port among the program's arguments, else of its environment."""
    for argument, following in zip(arguments, [*arguments[1:], ""], strict=True):
        if argument == "--port":
            return following
        if argument.startswith("--port="):
            return argument.removeprefix("--port=")
    return os.environ.get("WHISPER_PORT", "8000")


url = f"http://127.0.0.1:{port(Path('/proc/1/cmdline').read_text().split(chr(0)))}/healthz"
try:
    urllib.request.urlopen(url, timeout=8).close()
except OSError as error:
    sys.exit(f"{url}: {error}")
