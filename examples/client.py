"""A client in a hundred lines: submit or upload, follow until all is done, fetch the transcripts.

    python examples/client.py submit talks                  a directory of the service's workdir
    python examples/client.py upload talks monday.mp3       files from here, as a new directory there

Transcripts are written beside one another in ./transcripts. Take of it what you need; it needs httpx2 only.
"""

from __future__ import annotations

import argparse
import json
import time
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

import httpx2

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

HEARTBEAT_S = 15.0  # the service's; a stream that is silent for three of them is dead
RETRY_S = 3.0
PATIENCE_S = 300.0  # so long may the service be away, as while it is restarted


class Client:
    """One service. `key` is needed where it asks for one."""

    def __init__(self, url: str, key: str | None = None) -> None:
        headers = {"Authorization": f"Bearer {key}"} if key else {}
        self._http = httpx2.Client(base_url=url, headers=headers, timeout=3 * HEARTBEAT_S)

    def submit(self, dirname: str, **options: Any) -> str:
        """Ask for transcripts of a directory of the workdir; return the task's id."""
        return str(
            checked(self._http.post("/transcription", json={"dirname": dirname, **options}))["task_id"]
        )

    def upload(self, dirname: str, paths: Sequence[Path], **options: str) -> str:
        """Send files into a new directory of the workdir; return the task's id."""
        with ExitStack() as opened:
            files = [("files", (path.name, opened.enter_context(path.open("rb")))) for path in paths]
            form = {"dirname": dirname, **options}
            answer = self._http.post("/transcription/upload", data=form, files=files, timeout=None)
        return str(checked(answer)["task_id"])

    def follow(self, task_id: str) -> Iterator[tuple[str, Any]]:
        """Yield (event, data) until the task has ended, each once: a lost stream is resumed where it broke off."""
        last, ended, heard_at = None, False, time.monotonic()
        while not ended:
            try:
                for fields in self._stream(task_id, last):
                    heard_at, last = time.monotonic(), fields.get("id", last)
                    if "event" in fields:
                        event, data = fields["event"], json.loads(fields["data"])
                        ended = event == "summary" and data["task_status"] not in ("pending", "running")
                        yield event, data
            except httpx2.TransportError:
                ended = False
                if time.monotonic() > heard_at + PATIENCE_S:
                    raise
            if not ended:
                time.sleep(RETRY_S)

    def _stream(self, task_id: str, last: str | None) -> Iterator[dict[str, str]]:
        """Yield the fields of events after the last one, as long as this connection holds."""
        asked: dict[str, Any] = {
            "params": {"task_id": task_id},
            "headers": {"Last-Event-ID": last} if last else {},
        }
        with self._http.stream("GET", "/monitoring/events", **asked) as stream:
            if stream.status_code == httpx2.codes.OK:
                yield from parsed(stream.iter_lines())
                return
            if stream.is_error:
                stream.read()
                checked(stream)
        # 204: it has ended, and all was told
        state = checked(self._http.get(f"/monitoring/{task_id}", params={"limit": 1}))
        yield {"event": "summary", "data": json.dumps(state)}

    def transcripts(self, task_id: str, format: str = "txt") -> Iterator[tuple[str, str]]:  # noqa: A002 - as the API
        """Yield (path of the recording, transcript) of all files that are done."""
        query: dict[str, Any] = {"files": "done", "limit": 1000}
        while True:
            page = checked(self._http.get(f"/monitoring/{task_id}", params=query))
            for path in [each["path"] for each in page["files"]]:
                url = f"/transcription/{task_id}/files/{quote(path)}"
                answer = self._http.get(url, params={"format": format})
                yield path, answer.raise_for_status().text
            if page["next_cursor"] is None:
                return
            query["cursor"] = page["next_cursor"]


def checked(answer: httpx2.Response) -> Any:
    """Return the JSON of an answer; a refusal says in its `detail` what happened and what to do."""
    if answer.is_error:
        raise SystemExit(f"{answer.status_code}: {answer.json()['detail']}")
    return answer.json()


def parsed(lines: Iterator[str]) -> Iterator[dict[str, str]]:
    """Yield the fields of each server-sent event; comments (heartbeats) as an empty one."""
    fields: dict[str, str] = {}
    for line in lines:
        name, _, value = line.partition(": ")
        if line:
            fields |= {name: value} if name else {}
        else:
            yield fields
            fields = {}


def main() -> None:
    """Do what the command line says."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--url", default="http://127.0.0.1:8000")
    parser.add_argument("--key")
    parser.add_argument("--format", default="txt", choices=["txt", "srt", "vtt", "tsv", "json"])
    parser.add_argument("what", choices=["submit", "upload"])
    parser.add_argument("dirname")
    parser.add_argument("paths", nargs="*", type=Path)
    chosen = parser.parse_args()
    client = Client(chosen.url, chosen.key)
    upload = chosen.what == "upload"
    task_id = client.upload(chosen.dirname, chosen.paths) if upload else client.submit(chosen.dirname)
    for event, data in client.follow(task_id):
        if event == "summary":
            print(f"{data['task_status']} {data['progress']:.0%}")
        elif event in ("file", "progress"):
            print(f"  {data['path']}: {data['status']}")
    for path, text in client.transcripts(task_id, chosen.format):
        target = Path("transcripts") / f"{path}.{chosen.format}"
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_text(text, encoding="utf-8")
        print(target)


if __name__ == "__main__":
    main()
