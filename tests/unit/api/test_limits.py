"""How many requests are too many, as it is told and counted."""

from __future__ import annotations

import asyncio

import pytest

from api.limits import Rate, Turns, parse_rate
from api.problems import TooManyError
from pipeline.errors import BadOptionsError, UnavailableError


@pytest.mark.parametrize("text", ["100/minute", "5 per second", "10000/hour", "600/5 minutes"])
def test_a_rate_is_a_number_and_a_time(text: str) -> None:
    """As the library limits writes it."""
    assert parse_rate(text).amount > 0


@pytest.mark.parametrize("text", ["", "many", "100", "100/fortnight", "0/minute", "-1/minute", "1.5/second"])
def test_what_is_no_rate_is_refused_at_start(text: str) -> None:
    """With an example of one."""
    with pytest.raises(BadOptionsError, match="100/minute"):
        parse_rate(text)


def test_each_client_has_a_rate_of_its_own() -> None:
    """One that asks too much takes nothing from the others, and is told how long to wait."""

    async def ask() -> int:
        rate = Rate("2/hour")
        for client in ("a", "a", "b"):
            await rate.count(client)
        with pytest.raises(TooManyError) as refused:
            await rate.count("a")
        await rate.count("b")
        return refused.value.retry_after

    assert 3500 < asyncio.run(ask()) <= 3600


def test_only_so_many_are_let_in_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """The next one waits, and is refused only where no place comes free in time."""

    async def ask() -> list[str]:
        turns, said = Turns(1), []

        async def send(name: str) -> None:
            async with turns.taken():
                said.append(name)
                await asyncio.sleep(0)

        async with turns.taken():
            waiting = asyncio.create_task(send("waited"))
            await asyncio.sleep(0)
            assert said == []
        await waiting
        monkeypatch.setattr("api.limits.TURN_S", 0.01)
        async with turns.taken():
            with pytest.raises(UnavailableError, match="max_uploads"):
                await send("refused")
        return said

    assert asyncio.run(ask()) == ["waited"]
