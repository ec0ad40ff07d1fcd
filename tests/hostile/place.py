"""A workdir with links of every kind, and what the contract says of a name in it, found by another way than ours."""

from __future__ import annotations

import json
import os
import re
from pathlib import Path

from fastapi.testclient import TestClient

from api.app import create_app
from api.service import Core
from pipeline.errors import BadPathError, NotFoundError
from pipeline.settings import Settings
from tests.hostile.forge.waves import wav

BYTE = re.compile(rb"\\x([0-9a-f]{2})")


class Place:
    """A workdir with links of every kind, what nobody may reach beside it, and the core's doors to it."""

    def __init__(self, folder: Path) -> None:
        self.root = folder / "workdir"
        self.withheld = folder / "withheld"
        for base in (self.root, self.withheld):
            (base / "talks/deep").mkdir(parents=True)
            (base / "talks/deep/a.wav").write_bytes(wav())
        (self.withheld / "secret.wav").write_bytes(wav())
        for name in ("caf\u00e9", "cafe\u0301", "-rf", "%2e%2e", "new\nline", os.fsdecode(b"lat\xe9")):
            (self.root / name).mkdir()
        for name, target in {
            "inside": "talks",
            "leaves": str(self.withheld),
            "up": "../..",
            "loop": "loop",
            "nothing": "nowhere",
            "talks/up": "../../withheld/talks",
            "talks/leaves.wav": "../../withheld/secret.wav",
            "talks/inside.wav": "deep/a.wav",
        }.items():
            (self.root / name).symlink_to(target)
        self.core = Core(Settings(workdir=self.root, quiet_seconds=0.0))
        self.client = TestClient(create_app(self.core, root_path="/"), raise_server_exceptions=False)

    def post(self, dirname: str) -> tuple[int, str]:
        """Ask over HTTP, in JSON of ASCII alone, so that lone surrogates travel too; return status and task."""
        answer = self.client.post("/transcription", content=json.dumps({"dirname": dirname}))
        return int(answer.status_code), answer.json().get("task_id", "")

    def submit(self, dirname: str) -> tuple[int, str]:
        """Ask as the route does, without HTTP around it."""
        try:
            return 200, self.core.submit(dirname, {}).id
        except BadPathError:
            return 400, ""
        except NotFoundError:
            return 404, ""

    def is_inside(self, path: bytes) -> bool:
        root, real = os.fsencode(self.root.resolve()), os.path.realpath(os.fsencode(self.root) + b"/" + path)
        return real == root or real.startswith(root + b"/")

    def may_answer(self, dirname: str) -> set[int]:
        """Return what the contract allows for a dirname, by another way than the product's."""
        try:
            raw = os.fsencode(dirname)
        except UnicodeEncodeError:
            return {400}
        shown = BYTE.sub(lambda found: bytes([int(found[1], 16)]), raw)
        return self._may_answer(raw) | (self._may_answer(shown) if shown != raw else set())

    def _may_answer(self, raw: bytes) -> set[int]:
        if not raw or raw.startswith(b"/") or b"\0" in raw or b".." in raw.split(b"/"):
            return {400}
        if not self.is_inside(raw):
            return {400, 404}  # 404: what it leads to is not there either
        path = Path(os.fsdecode(os.fsencode(self.root) + b"/" + raw))
        if not os.path.lexists(path) or not path.exists():
            return {404, 400}  # 400: a name that no file system could hold
        return {200} if path.is_dir() or path.suffix == ".wav" else {400}
