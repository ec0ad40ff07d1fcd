"""Every route asked in every way that the OpenAPI page allows or forbids, with keys and without.

python -m tests.fuzz --cases 20000 --seed 1
"""

from __future__ import annotations

import argparse
import itertools
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path

from api.keys import file
from api.keys.key import Scope, new_key
from tests.acceptance.harness import Service, tone
from tests.fuzz.asking import Outcome, ask

EXAMPLES = 60  # a route and phase: a round ends within minutes, and the next one has another seed


def main() -> int:
    """Ask round after round until there were so many cases; print what was wrong."""
    parser = argparse.ArgumentParser(prog="python -m tests.fuzz")
    parser.add_argument("--cases", type=int, default=20_000)
    parser.add_argument("--seed", type=int, default=1)
    wanted = parser.parse_args()
    began, cases, wrong = time.monotonic(), 0, 0
    with tempfile.TemporaryDirectory() as name, _services(Path(name)) as services:
        for seed, (service, key) in zip(itertools.count(wanted.seed), itertools.cycle(services)):
            flags = ("--seed", str(seed), "--max-examples", str(EXAMPLES))
            outcome = ask(service.url, Path(name, f"{seed}.json"), *flags, key=key)
            _tell(seed, outcome, guarded=key is not None)
            cases, wrong = cases + outcome.cases, wrong + len(outcome.failures)
            if cases >= wanted.cases or not outcome.cases:
                break
        wrong += sum(_died(service) for service, _ in services)
    print(f"{cases} cases in {time.monotonic() - began:.0f} s, {wrong} kinds of failure")
    return 1 if wrong or cases < wanted.cases else 0


@contextmanager
def _services(folder: Path) -> Iterator[list[tuple[Service, str | None]]]:
    """Run a service that asks for keys, with a good one, and a service that does not."""
    key, secret = new_key("fuzz", Scope, datetime.now(UTC))
    keys = folder / "keys.json"
    file.create(keys)
    file.change(keys, lambda _known: (key,))
    guarded = Service(folder / "guarded", "--engine", "fake", "--api_keys_file", str(keys))
    services = [(guarded, secret), (Service(folder / "open", "--engine", "fake"), None)]
    try:
        for service, shown in services:
            tone(service.workdir / "talks/a.wav")
            service.headers |= {"X-API-Key": shown} if shown else {}
            service.start().done("talks")
        yield services
    finally:
        for service, _ in services:
            if service.process:
                service.stop()


def _tell(seed: int, outcome: Outcome, *, guarded: bool) -> None:
    kind = "with keys" if guarded else "without keys"
    print(f"seed {seed}, {kind}: {outcome.cases} cases on {outcome.routes} routes", flush=True)
    if outcome.failures:
        print(outcome.said, outcome.failures, sep="\n", flush=True)


def _died(service: Service) -> bool:
    """Tell whether a service has ended, or its log shows a defect."""
    ended = service.process is None or service.process.poll() is not None
    defect = "Traceback" in service.log.read_text(errors="replace")
    if ended or defect:
        print(service.log.read_text(errors="replace")[-5000:])
    return ended or defect


sys.exit(main())
