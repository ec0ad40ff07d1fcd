"""A stage like any other that writes down how the core answers its results: run with the supervisor's own flags."""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path
from typing import Any

from pipeline.relay.messages import Message, ResultAck
from pipeline.stage.supervise import supervisor

ANSWERS = Path(os.environ["TORTURE_ANSWERS"])  # one line of JSON each: [epoch, token, file id, outcome]


class Witness(supervisor.Supervisor):
    """The supervisor, overheard."""

    def __init__(self, *how: Any, **more: Any) -> None:
        super().__init__(*how, **more)
        ANSWERS.with_suffix(".worker").write_text(self._uplink._hello.worker)

    def _from_core(self, message: Message, now: float) -> None:
        if isinstance(message, ResultAck):
            with ANSWERS.open("a") as file:
                file.write(
                    json.dumps([message.epoch, message.token, message.file_id, message.outcome]) + "\n"
                )
        super()._from_core(message, now)


if __name__ == "__main__":
    supervisor.Supervisor = Witness  # type: ignore[misc]
    sys.exit(supervisor.main())
