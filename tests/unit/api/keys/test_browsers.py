"""Cookies stand for keys until they end."""

import pytest

from api.keys import browsers
from api.keys.browsers import LIFE_S, Browsers


def test_a_cookie_stands_for_the_key_that_was_shown() -> None:
    """And another one for none."""
    known = Browsers()
    cookie = known.admit("12345678", 0.0)
    assert known.key_id(cookie, 1.0) == "12345678"
    assert known.key_id("another", 1.0) is None


def test_it_ends_after_half_a_day() -> None:
    """To the second."""
    known = Browsers()
    cookie = known.admit("12345678", 100.0)
    assert known.key_id(cookie, 100.0 + LIFE_S - 1)
    assert known.key_id(cookie, 100.0 + LIFE_S) is None


def test_it_ends_when_its_browser_leaves() -> None:
    """A copy of it is worth nothing from then on."""
    known = Browsers()
    cookie = known.admit("12345678", 0.0)
    known.dismiss(cookie)
    known.dismiss(cookie)
    assert known.key_id(cookie, 1.0) is None


def test_one_key_cannot_fill_the_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    """The oldest goes."""
    monkeypatch.setattr(browsers, "MAX", 3)
    known = Browsers()
    cookies = [known.admit("12345678", 0.0) for _ in range(5)]
    assert [known.key_id(cookie, 1.0) is not None for cookie in cookies] == [False, False, True, True, True]
