"""The words of the status report."""

import string
from dataclasses import fields

import pytest

from pipeline.errors import MediaError
from pipeline.relay.wording import ENGLISH, FRENCH, Wording, wording_for
from pipeline.tasks import FileState


def codes(error: type[MediaError]) -> set[str]:
    ours = [each for each in error.__subclasses__() if each.__module__ == MediaError.__module__]
    return {error.code}.union(*map(codes, ours))


def test_every_failure_of_a_file_has_french_words() -> None:
    """A new error needs a sentence here as well."""
    assert codes(MediaError) <= set(FRENCH.reasons)


@pytest.mark.parametrize("words", [ENGLISH, FRENCH])
def test_every_state_that_shows_has_words(words: Wording) -> None:
    """All but superseded, which is never told."""
    assert set(words.states) == set(FileState) - {FileState.SUPERSEDED}


def test_both_languages_have_the_same_blanks() -> None:
    """What one sentence fills in, the other does."""
    for each in fields(Wording):
        english, french = getattr(ENGLISH, each.name), getattr(FRENCH, each.name)
        if isinstance(english, str):
            assert len(list(string.Formatter().parse(english))) == len(list(string.Formatter().parse(french)))


@pytest.mark.parametrize(
    ("locale", "words"),
    [("fr_FR.UTF-8", FRENCH), ("FR", FRENCH), ("en_GB", ENGLISH), ("C", ENGLISH), ("", ENGLISH)],
)
def test_the_locale_chooses(locale: str, words: Wording) -> None:
    """French under a French one, else English."""
    assert wording_for(locale) is words
