"""The secret of callbacks: made once, for its user alone, or given; and what is signed with it."""

import base64
import stat
import time
from pathlib import Path

import pytest
from standardwebhooks import Webhook, WebhookVerificationError

from pipeline.errors import BadOptionsError, EnvironmentUnusableError
from pipeline.webhooks.secret import NAME, Signer, load_or_make

ONE, OTHER = (f"whsec_{base64.b64encode(bytes([number]) * 32).decode()}" for number in (1, 2))


def test_a_secret_is_made_once_and_for_its_user_alone(tmp_path: Path) -> None:
    """A second start has the same."""
    folder = tmp_path / "not" / "there"
    keys = load_or_make(None, folder)
    assert load_or_make(None, folder) == keys
    assert [each.name for each in folder.iterdir()] == [NAME]
    assert stat.S_IMODE((folder / NAME).stat().st_mode) == 0o600
    assert load_or_make(None, tmp_path) != keys


def test_a_folder_that_cannot_be_written_is_said_with_what_to_do(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(EnvironmentUnusableError, match="--callback_secret_file"):
        load_or_make(None, tmp_path / "file")


def test_a_secret_that_is_given_is_used_and_none_is_made(tmp_path: Path) -> None:
    given = tmp_path / "secret"
    given.write_text(f"{ONE}\n")
    assert load_or_make(given, tmp_path / "folder") == [ONE]
    assert not (tmp_path / "folder").exists()


@pytest.mark.parametrize(
    "text", ["", "secret", ONE[6:], "whsec_", "whsec_c2hvcnQ=", "whsec_!!!", f"{ONE}\nx", "é"]
)
def test_what_is_no_secret_is_refused_without_being_shown(tmp_path: Path, text: str) -> None:
    given = tmp_path / "secret"
    given.write_text(text)
    with pytest.raises(BadOptionsError) as caught:
        load_or_make(given, tmp_path)
    assert ONE not in str(caught.value)


def test_a_secret_file_that_is_not_there_is_said(tmp_path: Path) -> None:
    with pytest.raises(BadOptionsError, match="cannot be read"):
        load_or_make(tmp_path / "gone", tmp_path)


def test_the_library_of_the_receiver_accepts_each_of_the_secrets() -> None:
    """So that receivers can change from the old one to the new one."""
    body = '{"type":"task.completed","dirname":"déjà vu"}'.encode()
    headers = Signer([ONE, OTHER]).headers("msg_1", body, time.time())
    for secret in (ONE, OTHER):
        assert Webhook(secret).verify(body, headers)["type"] == "task.completed"
    with pytest.raises(WebhookVerificationError):
        Webhook(ONE).verify(body + b" ", headers)
    with pytest.raises(WebhookVerificationError):
        Webhook(ONE).verify(body, headers | {"webhook-id": "msg_2"})
    with pytest.raises(WebhookVerificationError):
        Webhook(f"whsec_{base64.b64encode(b'3' * 32).decode()}").verify(body, headers)


def test_an_old_attempt_is_not_accepted_again() -> None:
    headers = Signer([ONE]).headers("msg_1", b"{}", time.time() - 3600)
    with pytest.raises(WebhookVerificationError, match="too old"):
        Webhook(ONE).verify(b"{}", headers)
