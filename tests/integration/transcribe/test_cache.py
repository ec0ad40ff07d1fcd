"""What windows said and heard: no sum depends on the company."""

import pytest
import torch

from pipeline.stage.transcribe.cache import Cache

HEADS, WIDTH, HYPOTHESES = 8, 64, 5


def recalled(beginnings: list[int], number_type: torch.dtype) -> torch.Tensor:
    """Return what the hypotheses of the first window find, each window having begun with so many tokens."""
    lot = [torch.Generator().manual_seed(window) for window in range(len(beginnings))]

    def vectors(count: int) -> torch.Tensor:
        made = [torch.randn(HEADS, count, WIDTH, generator=each).to(number_type) for each in lot]
        return torch.stack(made)

    sound = torch.zeros(1, HEADS, len(beginnings), WIDTH, dtype=number_type)
    cache = Cache([(sound, sound)], 1, [1] * len(beginnings), 1, max(beginnings))
    said = vectors(256)[:, :, : max(beginnings)]
    cache.recall(0, said, said, said)
    cache.begun(beginnings)
    cache.follow(torch.zeros(len(beginnings), HYPOTHESES, dtype=torch.long))
    cache.settle()
    cache.extend()
    new = vectors(HYPOTHESES)
    return cache.recall(0, vectors(HYPOTHESES) / WIDTH, new, new)[0]


@pytest.mark.parametrize("number_type", [torch.float32, torch.bfloat16], ids=str)
@pytest.mark.parametrize("length", [4, 70, 130, 180, 200])
def test_what_a_window_recalls_does_not_depend_on_longer_ones(length: int, number_type: torch.dtype) -> None:
    """To the last bit, though there is room for theirs too."""
    alone = recalled([length], number_type)
    for longest in (70, 130, 190, 228, 256):
        if longest > length:
            assert torch.equal(alone, recalled([length, longest], number_type))
