"""Our decoder against whisper.decode: the same tokens, whatever else is in the batch."""

from __future__ import annotations

import copy
from dataclasses import replace

import numpy as np
import pytest
import torch
from whisper.decoding import ApplyTimestampRules, DecodingOptions, DecodingResult, DecodingTask
from whisper.model import Whisper
from whisper.tokenizer import get_tokenizer

from pipeline.options import Options
from pipeline.stage.transcribe.attention import attend_all
from pipeline.stage.transcribe.cache import ROOM, Cache
from pipeline.stage.transcribe.decoder import BLOCK, Decoder
from pipeline.stage.transcribe.decoding import Batch, Decoded, detect, tokenizer_for
from pipeline.stage.transcribe.encoder import Encoder
from pipeline.stage.transcribe.engine import Request
from pipeline.stage.transcribe.linear import Plain
from pipeline.stage.transcribe.precision import apply
from pipeline.stage.transcribe.rules import Rules
from pipeline.stage.transcribe.running import FEW, Running
from pipeline.stage.transcribe.said import Said
from pipeline.stage.transcribe.search import best, top
from tests.integration.transcribe.small import GREEDY, SEARCHES, SMALL, requests, seats


class Encoded(DecodingTask):
    """whisper's decoding of features."""

    def _get_audio_features(self, mel: torch.Tensor) -> torch.Tensor:
        return mel


def batch_of(model: Whisper, decoder: Decoder, features: torch.Tensor, rows: list[Request]) -> Batch:
    tokenizers = [tokenizer_for(model, row.language, row.options.task) for row in rows]
    return Batch(decoder, features, rows, tokenizers)


@torch.inference_mode()
def ours(
    model: Whisper, decoder: Decoder, features: torch.Tensor, rows: list[Request], late: int = 0
) -> list[Decoded]:
    """Return what a batch makes of these windows, the last ones joining `late` steps after the first."""
    first = len(rows) - 2 if late else len(rows)
    batch, decoded = batch_of(model, decoder, features[:first], rows[:first]), {}
    for step in range(100):
        if late and step == late:
            batch.join(batch_of(model, decoder, features[first:], rows[first:]), 7)
        decoded |= {id(request): each for request, each in batch.leave()}
        if len(batch):
            batch.step()
    return [decoded[id(row)] for row in rows]


def whispers(model: Whisper, features: torch.Tensor, request: Request) -> DecodingResult:
    options = request.options
    search = {"beam_size": options.beam_size, "patience": options.patience}
    if request.temperature:
        search = {"best_of": options.best_of}
    task = Encoded(
        model,
        DecodingOptions(
            task=options.task, language=request.language, temperature=request.temperature,
            length_penalty=options.length_penalty, suppress_tokens=options.suppress_tokens,
            prompt=list(request.prompt), fp16=False, **search,
        ),
    )  # fmt: skip
    torch.manual_seed(request.seed)
    return task.run(features[None])[0]


@pytest.mark.parametrize("search", SEARCHES)
def test_each_window_of_a_batch_is_what_whisper_makes_of_it_alone(
    model: Whisper, decoder: Decoder, features: torch.Tensor, search: str
) -> None:
    """Tokens, probabilities and compression, with languages, tasks and prompts mixed."""
    rows = requests(*SEARCHES[search])
    expected = [whispers(model, *pair) for pair in zip(features, rows, strict=True)]
    decoded = ours(model, decoder, features, rows)

    assert [tuple(each.tokens) for each in expected] == [each.tokens for each in decoded]
    for name in ("avg_logprob", "no_speech_prob", "compression_ratio"):
        figures = [getattr(each, name) for each in expected]
        assert figures == pytest.approx([getattr(each, name) for each in decoded], abs=1e-4)


@pytest.mark.parametrize("search", SEARCHES)
@pytest.mark.parametrize("precision", ["float32", "bfloat16", "int8"])
def test_a_window_that_joins_a_running_batch_changes_nothing(
    model: Whisper, features: torch.Tensor, search: str, precision: str
) -> None:
    """Neither for itself nor for those that run: to the last bit, in each kind of arithmetic."""
    chosen, rows = copy.deepcopy(model), requests(*SEARCHES[search])
    decoder = Decoder(chosen.decoder, apply(precision, chosen))
    heard = features.to(chosen.decoder.token_embedding.weight.dtype)
    together = ours(model, decoder, heard, rows)

    assert together == ours(model, decoder, heard, rows, late=3)
    assert together == ours(model, decoder, heard, rows, late=9)
    assert together[2:3] == ours(model, decoder, heard[2:3], rows[2:3])


def test_the_windows_of_these_tests_end_at_different_lengths(
    model: Whisper, decoder: Decoder, features: torch.Tensor
) -> None:
    """Else they would show little."""
    for search in ("greedy", "beam", "sampled"):
        lengths = {len(each.tokens) for each in ours(model, decoder, features, requests(*SEARCHES[search]))}
        assert len(lengths) >= 3


@pytest.mark.parametrize("search", ["greedy", "beam", "sampled"])
def test_company_and_order_change_nothing(
    model: Whisper, decoder: Decoder, features: torch.Tensor, search: str
) -> None:
    """A window's tokens are the same alone, among others, and in any place."""
    rows = requests(*SEARCHES[search])
    together = [each.tokens for each in ours(model, decoder, features, rows)]
    order = [4, 2, 6, 0, 3, 5, 1]
    shuffled = ours(model, decoder, features[order], [rows[at] for at in order])
    some = ours(model, decoder, features[[5, 1]], [rows[5], rows[1]])

    assert [together[at] for at in order] == [each.tokens for each in shuffled]
    assert [together[5], together[1]] == [each.tokens for each in some]


@torch.inference_mode()
def test_searches_of_every_kind_may_come_together(
    model: Whisper, decoder: Decoder, features: torch.Tensor
) -> None:
    """Rows are parted by what they need, and each is answered with its own."""
    rows = [requests(*search)[at] for at, search in enumerate(SEARCHES.values())]
    expected = [tuple(whispers(model, *pair).tokens) for pair in zip(features, rows, strict=True)]
    running = Running(decoder, len(rows))
    running.join(seats(model, rows), features)
    decoded = {}
    while running:
        decoded |= {id(seat.request): each.tokens for seat, each in running.step()}

    assert expected == [decoded[id(row)] for row in rows]


@torch.inference_mode()
def test_windows_begin_a_few_at_a_time(
    model: Whisper, decoder: Decoder, features: torch.Tensor, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What they heard lies in memory twice until they have joined: of sixteen windows half a gigabyte."""
    begun, listen = [], decoder.listen
    monkeypatch.setattr(
        decoder, "listen", lambda heard, *more: begun.append(len(heard)) or listen(heard, *more)
    )
    Running(decoder, 7).join(seats(model, requests(GREEDY, 0.0)), features)

    assert begun == [FEW, 7 - FEW]


@torch.inference_mode()
def test_where_one_of_many_windows_cannot_begin_none_joins(
    model: Whisper, decoder: Decoder, features: torch.Tensor
) -> None:
    """Those that ran go on, the others can be tried again."""
    rows = requests(GREEDY, 0.0)
    expected = [each.tokens for each in ours(model, decoder, features, rows)]
    unsayable = replace(rows[6], prompt=(1 << 30,))
    running = Running(decoder, 7)
    running.join(seats(model, rows[:1]), features[:1])
    with pytest.raises(IndexError):
        running.join(seats(model, [*rows[1:6], unsayable]), features[1:])
    running.join(seats(model, rows[1:]), features[1:])
    decoded = {}
    while running:
        decoded |= {id(seat.request): each.tokens for seat, each in running.step()}

    assert [decoded[id(row)] for row in rows] == expected


@torch.inference_mode()
def test_least_patience_waits_for_one_hypothesis(
    model: Whisper, decoder: Decoder, features: torch.Tensor
) -> None:
    """Less would end every window at once; whisper refuses it."""
    plain, hasty = (Options(beam_size=1, patience=patience) for patience in (None, 0.01))

    assert [each.tokens for each in ours(model, decoder, features, requests(hasty, 0.0))] == [
        each.tokens for each in ours(model, decoder, features, requests(plain, 0.0))
    ]


def test_a_window_that_has_ended_costs_nothing(
    model: Whisper, decoder: Decoder, features: torch.Tensor, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It leaves the batch at its own end."""
    batches: list[int] = []
    logits = Decoder.logits
    monkeypatch.setattr(
        Decoder, "logits", lambda self, hidden: batches.append(len(hidden)) or logits(self, hidden)
    )
    decoded = ours(model, decoder, features, requests(*SEARCHES["greedy"]))
    longest = [16, 16, 16, 16, 14, 16, 14]  # half the context; a long prompt leaves less
    steps = [min(len(each.tokens) + 1, most) for each, most in zip(decoded, longest, strict=True)]

    assert batches == [7, *(sum(length > step for length in steps) for step in range(1, max(steps)))]


def grow(cache: Cache, sources: torch.Tensor) -> None:
    cache.follow(sources)
    cache.settle()
    cache.extend()


def test_beams_of_a_window_share_what_was_heard(decoder: Decoder, features: torch.Tensor) -> None:
    """Its keys and values are there once, and the prompt's too."""
    cache = decoder.listen(features, 1500, 3)
    cache.begun([3] * 7)
    grow(cache, torch.zeros(7, 5, dtype=torch.long))

    assert cache.heard_keys.shape[1] == 7
    assert torch.all(cache.past[..., 3 + 5 :] == float("-inf"))
    assert cache.past[0, 2, : 3 + 5].tolist() == [0, 0, 0, *[float("-inf")] * 2, 0, *[float("-inf")] * 2]


def test_languages_are_whispers(model: Whisper, decoder: Decoder, features: torch.Tensor) -> None:
    """Detected for all windows at once."""
    _, probabilities = model.detect_language(features)

    with torch.inference_mode():
        detected = detect(decoder, features, tokenizer_for(model, None, "transcribe"))
    assert [max(row, key=row.get) for row in probabilities] == detected


def test_features_are_whispers(model: Whisper) -> None:
    """Attention in tiles sums what the fused kernel sums."""
    mels = torch.randn(2, 80, 3000, generator=torch.Generator().manual_seed(1))
    with torch.inference_mode():
        expected = model.encoder(mels)
        encoded = torch.stack(Encoder(copy.deepcopy(model.encoder), Plain)(mels, [1500, 1500]))

    assert torch.allclose(expected, encoded, atol=1e-3)


def test_windows_of_unlike_length_share_a_batch(
    model: Whisper, decoder: Decoder, features: torch.Tensor
) -> None:
    """Each hears its own sound to the end and nothing after it."""
    heard = [
        each[:length] for each, length in zip(features, (750, 1500, 800, 1100, 751, 1499, 900), strict=True)
    ]
    rows = requests(*SEARCHES["beam"])

    expected = [tuple(whispers(model, *pair).tokens) for pair in zip(heard, rows, strict=True)]

    assert expected == [each.tokens for each in ours(model, decoder, heard, rows)]


@pytest.mark.parametrize("precision", ["float32", "bfloat16", "int8"])
def test_company_changes_nothing_in_the_encoder(model: Whisper, precision: str) -> None:
    """A core for each window or all cores for one: the same to the last bit, and torch's threads stay as they were."""
    chosen = copy.deepcopy(model)
    torch.set_num_threads(2)
    encoder = Encoder(chosen.encoder, apply(precision, chosen))
    mels, contexts = torch.randn(3, 80, 3000, generator=torch.Generator().manual_seed(1)), [1500, 750, 1100]
    with torch.inference_mode():
        together = encoder(mels, contexts)
        alone = [encoder(each[None], [context])[0] for each, context in zip(mels, contexts, strict=True)]

    assert [len(each) for each in together] == contexts
    assert all(torch.equal(*pair) for pair in zip(together, alone, strict=True))
    assert torch.get_num_threads() == 2
    torch.set_num_threads(1)


def test_whole_tiles_and_the_rest_are_attended_to() -> None:
    """Lengths that tiles do not divide included."""
    query, key, value = torch.randn(3, 2, 2, 730, 64, generator=torch.Generator().manual_seed(2))
    expected = torch.nn.functional.scaled_dot_product_attention(query, key, value, scale=1.0)

    assert torch.allclose(expected, attend_all(query, key, value), atol=1e-4)


def test_what_no_hypothesis_remembers_is_cleared_away(decoder: Decoder, features: torch.Tensor) -> None:
    """So five beams that all grew from one need little more room than one."""
    cache = decoder.listen(features, 1500, 3)
    cache.begun([3] * 7)
    grow(cache, torch.zeros(7, 5, dtype=torch.long))
    for _ in range(40):
        grow(cache, torch.full((7, 5), 2))

    assert max(cache.used) < 3 + 40 + ROOM + 5
    assert torch.all((cache.past == 0).sum(-1) == 3 + 40 + 1)


def test_a_probability_does_not_depend_on_cores_and_company() -> None:
    """A long sum with one result is shared by the threads there are, and rounded by how many they are."""
    for seed in range(60):
        row = 3 * torch.randn(1, 203 * BLOCK, generator=torch.Generator().manual_seed(seed))
        found = []
        for cores in (1, 2):
            torch.set_num_threads(cores)
            found += [best(row, 1)[0], best(row.repeat(2, 1), 1)[0][:1]]
        torch.set_num_threads(1)
        assert all(torch.equal(found[0], other) for other in found[1:])


@pytest.mark.parametrize("count", [1, 6])
def test_top_finds_what_topk_finds(count: int) -> None:
    """Also where many of the largest lie in one block, or only a few are possible."""
    values = torch.randn(4, 3, 40 * BLOCK, generator=torch.Generator().manual_seed(7))
    values[1, :, BLOCK : BLOCK + 6] += 10
    values[2, :, 9:] = float("-inf")
    expected = values.topk(count)
    best, tokens = top(values, count)

    assert torch.equal(expected.values, best)
    assert torch.equal(expected.indices, tokens)


def history(tokens: torch.Tensor) -> Said:
    """Return what windows of one hypothesis each have said: (windows, tokens)."""
    said, itself = Said(tokens[:, :1]), torch.zeros(len(tokens), 1, dtype=torch.long)
    for column in tokens[:, 1:].T:
        said.settle()
        said.go_on(itself, column[:, None])
    return said


def test_rules_are_whispers_own() -> None:
    """On random logits after random beginnings, valid ones and others."""
    tokenizer = get_tokenizer(multilingual=True, num_languages=99, language="fr", task="transcribe")
    begin, lot = tokenizer.timestamp_begin, np.random.default_rng(11)
    rules = Rules(tokenizer, "", SMALL.n_vocab, torch.device("cpu"))
    theirs = ApplyTimestampRules(tokenizer, 0, 50)
    for length in (1, 2, 3, 7):
        said = torch.from_numpy(np.where(
            lot.random((40, length)) < 0.5,
            np.sort(lot.integers(begin, begin + 1501, (40, length))),
            lot.integers(0, 50_000, (40, length)),
        ))  # fmt: skip
        said[:, 0] = begin  # as the first rule has it
        logits = torch.from_numpy(lot.normal(0, 4, (40, 51_968)).astype(np.float32))
        logits[::2, begin:] -= 8
        expected = logits[:, : SMALL.n_vocab].clone()
        theirs.apply(expected, said)
        rules.go_on(logits[:, None], history(said))

        assert torch.equal(expected, logits[:, : SMALL.n_vocab])
        assert torch.all(logits[:, SMALL.n_vocab :] == float("-inf"))
