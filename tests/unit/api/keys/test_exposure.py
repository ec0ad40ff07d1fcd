"""What is said where others can reach the API."""

import pytest

from api.keys.exposure import warning


@pytest.mark.parametrize("host", ["127.0.0.1", "127.3.2.1", "::1", "localhost"])
@pytest.mark.parametrize("keys", [True, False])
def test_nothing_is_said_where_only_this_machine_can(host: str, keys: bool) -> None:
    """With keys or without."""
    assert warning(host, keys=keys) is None


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "192.168.1.7", "whisper.example.org"])  # noqa: S104
def test_an_address_without_keys_is_warned_of_aloud(host: str) -> None:
    """With what to do."""
    said = warning(host, keys=False)
    assert "ANYBODY" in said
    assert "keys api add" in said


def test_keys_without_encryption_are_told_to_want_a_proxy() -> None:
    """They could be read on their way."""
    assert "TLS" in warning("0.0.0.0", keys=True)  # noqa: S104
