"""What needs no server: URLs, and hearing at once that it is away."""

import pytest

from pipeline.queue import postgres
from pipeline.queue.database import shown
from pipeline.queue.postgres import Fuse, parse


@pytest.mark.parametrize("scheme", ["postgres", "postgresql", "postgresql+psycopg"])
def test_the_schemes_that_people_write_mean_psycopg(scheme: str) -> None:
    url = parse(f"{scheme}://me:p%40ss@host:5433/queue?sslmode=require")
    assert (url.drivername, url.password, url.port) == ("postgresql+psycopg", "p@ss", 5433)
    assert url.query["sslmode"] == "require"


@pytest.mark.parametrize(
    ("url", "said"),
    [
        ("postgres://me:secret@host/queue", "postgresql://me:***@host/queue"),
        ("postgresql://host/queue?user=me&password=secret", "postgresql://host/queue?user=me"),
        ("postgresql:///queue?host=/run/pg", "postgresql:///queue?host=%2Frun%2Fpg"),
        ("sqlite:////var/queue.db", "sqlite:////var/queue.db"),
    ],
)
def test_a_url_is_shown_without_its_password(url: str, said: str) -> None:
    assert shown(url) == said


def test_those_who_wait_for_a_server_that_is_away_hear_of_it_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """A timeout each would stop the relay for so long that its stages take it for dead."""
    fuse, tried = Fuse(), []

    def connect() -> None:
        tried.append(1)
        raise OSError("away")

    for _ in range(3):
        with pytest.raises(OSError, match="away"):
            fuse.connect(connect)
    assert len(tried) == 1
    monkeypatch.setattr(postgres.time, "monotonic", lambda: float("inf"))
    assert fuse.connect(lambda: "connected") == "connected"
