"""A checkpoint file -> openai-whisper's model."""

from __future__ import annotations

import pickle
from typing import TYPE_CHECKING

import torch
import whisper
from whisper.model import ModelDimensions, Whisper

from pipeline.errors import ModelUnavailableError
from pipeline.stage.transcribe.sources import official

if TYPE_CHECKING:
    from pipeline.stage.transcribe.weights import Checkpoint


def read(checkpoint: Checkpoint) -> Whisper:
    """Return the model; raises ModelUnavailableError when the file is no openai-whisper checkpoint."""
    try:
        content = torch.load(checkpoint.path, map_location="cpu", weights_only=True, mmap=True)
        model = Whisper(ModelDimensions(**content["dims"]))
        model.load_state_dict(content["model_state_dict"])
    except (OSError, RuntimeError, pickle.UnpicklingError, KeyError, TypeError) as error:
        raise ModelUnavailableError(
            f"{checkpoint.path} is no checkpoint of openai-whisper ({error})"
        ) from error
    if heads := _alignment_heads(checkpoint):
        model.set_alignment_heads(heads)
    return model


def _alignment_heads(checkpoint: Checkpoint) -> bytes | None:
    """Return the heads that word timestamps read; a path to one of whisper's own files has its model's."""
    heads: dict[str, bytes] = whisper._ALIGNMENT_HEADS  # noqa: SLF001 - published nowhere else
    named = (name for name in heads if checkpoint.sha256 == official(name).sha256)
    return heads.get(checkpoint.name) or heads.get(next(named, ""))
