"""What a window began to say it says, where there is speech."""

import pytest
import torch
from whisper.tokenizer import get_tokenizer

from pipeline.stage.transcribe.rules import Rules
from pipeline.stage.transcribe.said import Said

TOKENIZER = get_tokenizer(multilingual=True)
WORD, START = 1000, TOKENIZER.timestamp_begin
AT_10 = START + 500


def may_end(tokens: list[int], until: float) -> bool:
    """Tell whether a window with speech up to `until` may end after these tokens."""
    rules = Rules(TOKENIZER, "", 51865, torch.device("cpu"))
    said = Said(torch.tensor([tokens[:1]]))
    for token in tokens[1:]:
        said.go_on(torch.zeros(1, 1, dtype=torch.long), torch.tensor([[token]]))
    logits = torch.zeros(1, 1, 51968)
    rules.say_what_began(logits, said, torch.tensor([rules.stamp(until)]))
    return bool(logits[0, 0, rules.end] > float("-inf"))


@pytest.mark.parametrize(
    ("tokens", "until", "expected"),
    [
        ([START, WORD, AT_10, AT_10], 12.0, False),  # whisper would hear the rest in the next window
        ([START, WORD, AT_10, AT_10], 10.0, True),  # there is no rest
        ([START, WORD, AT_10, AT_10], 0.0, True),  # exact mode
        ([START, WORD, AT_10], 12.0, True),  # the model hears nothing after it
        ([START, WORD, AT_10, AT_10, WORD], 12.0, True),
        ([START], 12.0, True),  # nobody spoke
    ],
)
def test_a_window_does_not_end_with_a_segment_left_empty(
    tokens: list[int], until: float, expected: bool
) -> None:
    """Only where there is speech after its timestamp."""
    assert may_end(tokens, until) is expected
