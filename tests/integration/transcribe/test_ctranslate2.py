from __future__ import annotations

import numpy as np
import pytest
import torch
from whisper.model import ModelDimensions, Whisper

from pipeline.stage.transcribe import ctranslate2


def test_every_weight_comes_back_under_whispers_name(model_bin: bytes, tiny_model: Whisper) -> None:
    """What CTranslate2 fused and renamed is split and named as openai-whisper has it, value for value."""
    variables = ctranslate2.read(model_bin)
    weights = {
        name: torch.from_numpy(np.array(array)) for name, array in ctranslate2.state_dict(variables).items()
    }

    expected = {name: value.half() for name, value in tiny_model.state_dict().items()}

    assert sorted(expected) == sorted(weights)
    assert all(torch.equal(expected[name], weights[name]) for name in expected)


def test_dimensions_are_read_off_the_shapes(model_bin: bytes, tiny_model: Whisper) -> None:
    """They are whisper's ModelDimensions."""
    assert tiny_model.dims == ModelDimensions(**ctranslate2.dimensions(ctranslate2.read(model_bin)))


def test_a_key_with_a_bias_is_refused(model_bin: bytes) -> None:
    """Whisper has no place for one, so such a model is another one."""
    variables = ctranslate2.read(model_bin)
    name = "encoder/layer_0/self_attention/linear_0/bias"
    variables[name] = np.ones_like(variables[name])

    with pytest.raises(ctranslate2.FormatError, match="the key has a bias"):
        ctranslate2.state_dict(variables)


@pytest.mark.parametrize(
    ("name", "array", "message"),
    [
        ("decoder/layer_0/ffn/linear_0/weight", np.zeros((4, 4), np.int8), "quantised"),
        ("decoder/layer_0/ffn/linear_9/weight", np.zeros((4, 4), np.float16), "unknown variable"),
    ],
)
def test_what_does_not_map_one_to_one_is_refused(name: str, array: np.ndarray, message: str) -> None:
    """Quantised weights and unknown variables are an error, not a guess."""
    with pytest.raises(ctranslate2.FormatError, match=message):
        ctranslate2.state_dict({name: array})


def test_another_format_version_is_refused(model_bin: bytes) -> None:
    """Only the layout that was checked is read."""
    with pytest.raises(ctranslate2.FormatError, match="binary version 7"):
        ctranslate2.read(b"\x07" + model_bin[1:])
