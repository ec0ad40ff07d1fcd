"""Secrets that can be told from anything else, and looked up without telling how much of them is right."""

from datetime import UTC, datetime
from hmac import compare_digest

import pytest

from api.keys import key
from api.keys.key import Key, Scope, is_whole, matching, new_key

NOW = datetime(2026, 1, 31, 8, tzinfo=UTC)


def make(name: str) -> tuple[Key, str]:
    return new_key(name, {Scope.READ}, NOW)


def test_a_secret_is_256_random_bits_behind_a_prefix() -> None:
    """So that a plain hash of it suffices, and scanners know it where it does not belong."""
    secrets = {make("a")[1] for _ in range(100)}
    assert len(secrets) == 100
    assert all(secret.startswith("wt_") and len(secret) == 3 + 64 + 8 for secret in secrets)


def test_a_secret_cut_or_mistyped_is_not_whole() -> None:
    """Its last eight digits are a checksum of the others."""
    secret = make("a")[1]
    wrong = secret[:10] + ("0" if secret[10] != "0" else "1") + secret[11:]
    assert [is_whole(each) for each in (secret, secret[:-1], wrong, secret.upper(), "", "sk-anything")] == [
        True,
        *[False] * 5,
    ]


def test_nothing_of_the_secret_is_kept() -> None:
    """Only a hash of it."""
    found, secret = make("a")
    assert secret[3:40] not in repr(found)


def test_a_secret_leads_to_its_key_and_to_no_other() -> None:
    """Whichever of them it is; a wrong one to none."""
    made = [make(name) for name in "abc"]
    keys = [found for found, _ in made]
    assert [matching(keys, secret) for _, secret in made] == keys
    assert matching(keys, make("d")[1]) is None
    assert matching(keys, "") is None


def test_every_key_is_compared_in_constant_time_whichever_fits(monkeypatch: pytest.MonkeyPatch) -> None:
    """The first that fits does not end the search, and each comparison is hmac's own."""
    made = [make(name) for name in "abc"]
    compared: list[str] = []

    def compare(known: str, shown: str) -> bool:
        compared.append(known)
        return compare_digest(known, shown)

    monkeypatch.setattr(key.hmac, "compare_digest", compare)
    assert matching([found for found, _ in made], made[0][1]) == made[0][0]
    assert compared == [found.sha256 for found, _ in made]
