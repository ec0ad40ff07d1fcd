"""The engine with whisper's own code and random weights: what it promises does not depend on what was learned."""

from __future__ import annotations

import gc
import weakref
from collections.abc import Callable, Iterator
from dataclasses import asdict, replace
from pathlib import Path

import numpy as np
import pytest
import torch
import whisper as openai_whisper
from whisper.model import Whisper

from pipeline.errors import BadOptionsError, ModelUnavailableError
from pipeline.options import Options
from pipeline.stage.transcribe.engine import OutOfMemory, Reply, Request
from pipeline.stage.transcribe.weights import Checkpoint
from pipeline.stage.transcribe.whisper import WhisperEngine, _rows, load
from tests.engine import transcribe

GREEDY = Options(beam_size=None)


def ignore(_what: str, _fraction: float | None) -> None:
    pass


@pytest.fixture(scope="session")
def checkpoint(tiny_model: Whisper, tmp_path_factory: pytest.TempPathFactory) -> Checkpoint:
    """Save the random model as a checkpoint file."""
    path = tmp_path_factory.mktemp("weights") / "tiny.pt"
    torch.save({"dims": asdict(tiny_model.dims), "model_state_dict": tiny_model.state_dict()}, path)
    return Checkpoint(path, str(path), "0" * 64)


@pytest.fixture(params=[1, 2], ids=["one core", "two cores"])
def engine(checkpoint: Checkpoint, request: pytest.FixtureRequest) -> Iterator[WhisperEngine]:
    """Load the engine: windows are encoded before they join, on two cores beside those that are decoded."""
    yield load(checkpoint, "cpu", "float32", request.param, ignore)
    torch.set_num_threads(1)


@pytest.fixture(scope="session")
def noises() -> list[np.ndarray]:
    """Windows of 3, 11 and 30 s."""
    random = np.random.default_rng(1)
    return [random.normal(0, 0.1, seconds * 16_000).astype(np.float32) for seconds in (3, 11, 30)]


def request(pcm: np.ndarray, options: Options = GREEDY, **changes: object) -> Request:
    return replace(Request(pcm=pcm, options=options, language="fr", temperature=0.0), **changes)


def heard(reply: Reply) -> list[tuple[int, ...]]:
    return [segment.tokens for segment in reply.segments]


@pytest.mark.parametrize(
    ("options", "temperature"),
    [
        (GREEDY, 0.0),
        (Options(beam_size=2, patience=2.0, length_penalty=0.5), 0.0),
        (Options(best_of=2), 0.4),
        (replace(GREEDY, task="translate", suppress_tokens=""), 0.0),
    ],
    ids=["greedy", "beam", "sampled", "translate"],
)
def test_a_window_is_what_whisper_makes_of_it(
    engine: WhisperEngine, tiny_model: Whisper, noises: list[np.ndarray], options: Options, temperature: float
) -> None:
    """Same tokens, times and figures as whisper.transcribe, with every decoding option."""
    torch.manual_seed(7)
    expected = openai_whisper.transcribe(
        tiny_model, noises[2], language="fr", task=options.task, temperature=temperature, fp16=False,
        beam_size=options.beam_size, best_of=options.best_of, patience=options.patience,
        length_penalty=options.length_penalty, suppress_tokens=options.suppress_tokens,
        no_speech_threshold=None,
    )["segments"]  # fmt: skip
    first = [segment for segment in expected if segment["seek"] == 0]
    (reply,) = transcribe(engine, [request(noises[2], options, temperature=temperature, seed=7)])

    for segment, ours in zip(first, reply.segments, strict=True):
        assert tuple(segment["tokens"]) in (
            ours.tokens,
            (),
        )  # whisper.transcribe empties segments of no length
        assert (segment["start"], segment["end"]) == pytest.approx((ours.start, ours.end))
    assert first[0]["avg_logprob"] == pytest.approx(reply.avg_logprob, abs=1e-3)


def test_rows_may_differ_in_every_option(engine: WhisperEngine, noises: list[np.ndarray]) -> None:
    """Each row's reply is the one it gets alone."""
    rows = [
        request(noises[0]),
        request(noises[1], language="en"),
        request(noises[2], prompt=engine.prompt("Les étoiles", "fr")),
        request(noises[0], temperature=0.6, seed=3),
        request(noises[1], Options(beam_size=2)),
    ]

    together = transcribe(engine, rows)
    alone = [transcribe(engine, [row])[0] for row in rows]

    assert [heard(reply) for reply in alone] == [heard(reply) for reply in together]


def test_words_are_those_of_a_window_alone(engine: WhisperEngine, noises: list[np.ndarray]) -> None:
    """Windows that end together, or leave others behind, keep the sound that their words are timed by."""
    options = replace(GREEDY, word_timestamps=True)
    prompts = [tuple(range(1000, 1030)), (), (7,) * 5]  # a long one leaves less room: that window ends first
    rows = [request(pcm, options, prompt=prompt) for pcm, prompt in zip(noises, prompts, strict=True)]
    rows[1:1] = [request(noises[1], temperature=0.0), request(noises[2], options)]

    together = transcribe(engine, rows)
    alone = [transcribe(engine, [row])[0] for row in rows]

    assert [[each.words for each in reply.segments] for reply in together] == [
        [each.words for each in reply.segments] for reply in alone
    ]
    assert sum(len(each.words or ()) for reply in together for each in reply.segments) > 10


@pytest.mark.parametrize("gone", [[0], [1, 3], [4]], ids=["the first", "two", "the last of its kind"])
def test_dropped_windows_change_nothing_for_the_others(
    engine: WhisperEngine, noises: list[np.ndarray], gone: list[int]
) -> None:
    """Whatever their places in the batch, also where no window of their kind is left."""
    rows = [request(pcm, options) for options in (GREEDY, Options(beam_size=2)) for pcm in noises[:2]]
    rows.append(request(noises[2], temperature=0.6, seed=3))
    expected = {id(row): heard(transcribe(engine, [row])[0]) for row in rows}

    engine.admit(rows)
    engine.drop([rows[at] for at in gone])
    replies = {}
    while engine.running:
        replies |= {id(row): heard(reply) for row, reply in engine.advance()}

    assert replies == {id(row): expected[id(row)] for at, row in enumerate(rows) if at not in gone}
    assert engine.running == 0


def test_no_bit_depends_on_cores_and_company(checkpoint: Checkpoint, noises: list[np.ndarray]) -> None:
    """Nor on which windows are still there when a window ends."""
    found = []
    for cores in (1, 2):
        made = load(checkpoint, "cpu", "bfloat16", cores, ignore)
        rows = [request(pcm, options) for pcm in noises for options in (GREEDY, Options(beam_size=2))]
        found += [transcribe(made, rows), [transcribe(made, [row])[0] for row in rows]]
        made.close()
    torch.set_num_threads(1)

    assert found[1:] == [found[0]] * 3


def test_a_sample_depends_on_its_seed_only(engine: WhisperEngine, noises: list[np.ndarray]) -> None:
    """The same seed gives the same words, another one others."""
    one, other, again = (
        transcribe(engine, [request(noises[0], temperature=1.0, seed=seed)])[0].tokens for seed in (1, 2, 1)
    )

    assert one == again
    assert one != other


def test_an_unnamed_language_is_detected(
    engine: WhisperEngine, tiny_model: Whisper, noises: list[np.ndarray]
) -> None:
    """On the window as whisper would see it; a named one is kept."""
    mel = openai_whisper.log_mel_spectrogram(openai_whisper.pad_or_trim(noises[2]))
    _, probabilities = tiny_model.detect_language(mel)

    replies = transcribe(engine, [request(noises[2], language=None), request(noises[0], language="en")])

    assert [max(probabilities, key=probabilities.get), "en"] == [reply.language for reply in replies]


def test_others_may_join_before_a_window_ends(engine: WhisperEngine, noises: list[np.ndarray]) -> None:
    """After some steps the engine returns, by then it has told which language it heard."""
    window = request(noises[2], language=None)
    engine.admit([window])

    assert engine.advance() == []

    ((told, language),) = engine.detected()
    assert (told is window, engine.running, engine.detected()) == (True, 1, [])
    while not (ended := engine.advance()):
        pass
    assert language == ended[0][1].language


def test_a_language_does_not_depend_on_windows_of_exact_mode(
    engine: WhisperEngine, noises: list[np.ndarray], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Those are detected on 30 s, the others on what the decoder is shown."""
    seen: list[torch.Tensor] = []
    monkeypatch.setattr(
        "pipeline.stage.transcribe.whisper.detect",
        lambda _decoder, features, _tokenizer: seen.extend(features) or ["fr"] * len(features),
    )
    batched = request(noises[0], language=None)
    exact = request(np.zeros(480_400, np.float32), language=None, frames=100, log_mel_max=0.0)

    transcribe(engine, [batched])
    transcribe(engine, [exact])
    transcribe(engine, [batched, exact])

    assert [len(each) for each in seen] == [1000, 1500, 1000, 1500]
    assert all(torch.equal(*pair) for pair in zip(seen[:2], seen[2:], strict=True))


def test_a_language_that_the_model_lacks_is_refused(engine: WhisperEngine, noises: list[np.ndarray]) -> None:
    """Cantonese came with large-v3."""
    with pytest.raises(BadOptionsError, match="yue"):
        transcribe(engine, [request(noises[0], language="yue")])


def test_a_window_is_encoded_once_for_all_temperatures(
    engine: WhisperEngine, noises: list[np.ndarray], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Falling back costs decoding only."""
    transcribe(engine, [request(noises[0])])
    monkeypatch.setattr(engine._encoding, "_encoder", lambda *_: pytest.fail("encoded again"))

    assert transcribe(engine, [request(noises[0], temperature=0.2)])[0].temperature == 0.2


def test_what_was_encoded_goes_with_its_samples(engine: WhisperEngine, noises: list[np.ndarray]) -> None:
    """Nothing is kept for windows that nobody holds any more."""
    pcm = noises[0].copy()
    gone = weakref.ref(pcm)
    transcribe(engine, [request(pcm)])
    del pcm
    gc.collect()

    assert gone() is None
    assert engine._encoding._kept == {}


def test_out_of_memory_has_a_name_of_its_own(
    engine: WhisperEngine, noises: list[np.ndarray], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whatever torch calls it; the engine can be used again at once."""
    with monkeypatch.context() as patch:
        patch.setattr(engine._encoding, "_encoder", lambda *_: torch.empty(1 << 60))
        with pytest.raises(OutOfMemory):
            transcribe(engine, [request(noises[0])])

    assert transcribe(engine, [request(noises[0])])[0].tokens


def test_the_loudest_value_may_not_fit_either(
    engine: WhisperEngine, noises: list[np.ndarray], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The first pass of exact mode is tried another time then."""
    monkeypatch.setattr("pipeline.stage.transcribe.mel.log10_mel", lambda *_: torch.empty(1 << 60))
    with pytest.raises(OutOfMemory):
        engine.log_mel_max(noises[0])


def test_nothing_runs_after_a_drop_that_failed(
    engine: WhisperEngine, noises: list[np.ndarray], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The batches may be half-way; the engine can be used again at once."""
    rows = [request(noises[0]), request(noises[1])]
    engine.admit(rows)
    with monkeypatch.context() as patch:
        patch.setattr(engine._running, "drop", lambda _: torch.empty(1 << 60))
        with pytest.raises(OutOfMemory):
            engine.drop(rows[:1])

    assert engine.running == 0
    assert transcribe(engine, rows[1:])[0].tokens


def test_a_prompt_is_encoded_as_whisper_does(engine: WhisperEngine) -> None:
    """One leading space, none behind."""
    assert engine.prompt(" Voilà  ", "fr") == engine.prompt("Voilà", "fr")


def test_the_model_leaves_when_the_engine_is_closed(engine: WhisperEngine) -> None:
    """Nothing else holds it."""
    model = weakref.ref(engine._whisper)

    engine.close()
    gc.collect()

    assert model() is None


@pytest.mark.parametrize("content", [b"", b"not a checkpoint"])
def test_a_file_that_is_no_checkpoint_is_refused(tmp_path: Path, content: bytes) -> None:
    """By name, and without running anything in it."""
    path = tmp_path / "own.pt"
    path.write_bytes(content)

    with pytest.raises(ModelUnavailableError, match=r"own\.pt"):
        load(Checkpoint(path, str(path), "0" * 64), "cpu", "auto", 1, ignore)


class Malicious:
    """Pickled, it would run code when loaded."""

    def __reduce__(self) -> tuple[Callable[[str], object], tuple[str]]:
        return Path.touch, (Path("ran"),)  # type: ignore[return-value]


def test_a_checkpoint_runs_no_code(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """weights_only: a pickle that calls something is refused, not run."""
    monkeypatch.chdir(tmp_path)
    path = tmp_path / "own.pt"
    torch.save({"dims": Malicious(), "model_state_dict": {}}, path)

    with pytest.raises(ModelUnavailableError):
        load(Checkpoint(path, str(path), "0" * 64), "cpu", "auto", 1, ignore)
    assert not Path("ran").exists()


def test_an_unknown_number_type_is_refused(checkpoint: Checkpoint) -> None:
    """With the ones there are."""
    with pytest.raises(BadOptionsError, match="bfloat16"):
        load(checkpoint, "cpu", "int4", 1, ignore)


def test_the_engine_has_the_threads_it_was_given(checkpoint: Checkpoint) -> None:
    """Importing Silero sets one; ours comes after."""
    load(checkpoint, "cpu", "auto", 2, ignore)
    assert torch.get_num_threads() == 2
    torch.set_num_threads(1)


def test_a_batch_of_a_large_model_is_smaller(engine: WhisperEngine, tiny_model: Whisper) -> None:
    """Its keys and values fill the same memory."""
    large = Whisper(replace(tiny_model.dims, n_text_layer=0, n_audio_layer=0))
    large.dims = replace(tiny_model.dims, n_text_layer=32, n_text_state=1280)

    assert engine.rows == 16
    assert _rows(large.bfloat16()) == 2


def test_the_fast_type_is_chosen_by_what_the_processor_can(
    checkpoint: Checkpoint, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Named ones are kept."""
    types = {}
    for features in ({"avx512_bf16": True}, {"avx512_bf16": False, "amx_bf16": False}):
        monkeypatch.setattr(torch.cpu, "get_capabilities", lambda features=features: features)
        for name in ("auto", "float32", "bfloat16"):
            loaded = load(checkpoint, "cpu", name, 1, ignore)
            types.setdefault(name, []).append(loaded._whisper.encoder.conv1.weight.dtype)

    assert types == {
        "auto": [torch.bfloat16, torch.float32],
        "float32": [torch.float32] * 2,
        "bfloat16": [torch.bfloat16] * 2,
    }


def test_weights_are_held_once(engine: WhisperEngine) -> None:
    """Whisper's own linear layers are let go once ours are made of them: half of a large model's memory."""
    layers = [module for module in engine._whisper.modules() if isinstance(module, torch.nn.Linear)]
    assert layers
    assert all(layer.weight is None for layer in layers)
