"""Linear maps as the device computes them best: plain, packed once for oneDNN, or in int8.

Packed or in int8, what a row becomes depends on that row alone, whatever else is in the batch: oneDNN sums packed
weights in one order for every number of rows, and int8 scales each row by itself. Plain products promise nothing.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable
from typing import Protocol

import torch
from torch.nn.functional import gelu, linear

LIKELY_ROWS = 16  # a packed layout fits any number of rows
MIDDLE = 128  # what 0 becomes in unsigned bytes
LARGEST = 127.0
_mkldnn = torch.ops.mkldnn
# deprecated, but what would replace it rounds in three passes where this one takes one
warnings.filterwarnings("ignore", "torch.quantize_per_tensor", UserWarning)


class Linear(Protocol):
    """A linear map (..., inputs) -> (..., outputs)."""

    def __call__(self, inputs: torch.Tensor) -> torch.Tensor:
        """Return the outputs, float32 or in the type of the weights."""
        ...

    def gelu(self, inputs: torch.Tensor) -> torch.Tensor:
        """Return the outputs after GELU."""
        ...


class Plain:
    """As torch computes it."""

    def __init__(self, weight: torch.Tensor, bias: torch.Tensor | None) -> None:
        self._weight, self._bias = weight, bias

    def __call__(self, inputs: torch.Tensor) -> torch.Tensor:
        """Return the outputs in the type of the weights."""
        return linear(inputs.to(self._weight.dtype), self._weight, self._bias)

    def gelu(self, inputs: torch.Tensor) -> torch.Tensor:
        """Return the outputs after GELU."""
        return gelu(self(inputs))


class Packed:
    """Weights in oneDNN's own layout: few rows take half the time, as torch would pack them in every call."""

    def __init__(self, weight: torch.Tensor, bias: torch.Tensor | None) -> None:
        self._weight = _mkldnn._reorder_linear_weight(weight, LIKELY_ROWS)  # noqa: SLF001 - has no public name
        self._bias, self._dtype = bias, weight.dtype

    def __call__(self, inputs: torch.Tensor) -> torch.Tensor:
        """Return the outputs in the type of the weights."""
        return self._mapped(inputs, "none")

    def gelu(self, inputs: torch.Tensor) -> torch.Tensor:
        """Return the outputs after GELU, computed inside the product."""
        return self._mapped(inputs, "gelu")

    def _mapped(self, inputs: torch.Tensor, then: str) -> torch.Tensor:
        rows = inputs.to(self._dtype).view(-1, inputs.shape[-1])
        company = rows.expand(2, -1) if len(rows) == 1 else rows  # one row alone would be summed otherwise
        outputs: torch.Tensor = _mkldnn._linear_pointwise(  # noqa: SLF001 - likewise
            company, self._weight, self._bias, then, [], "none"
        )
        return outputs[: len(rows)].view(*inputs.shape[:-1], -1)


class Quantized:
    """Weights in int8 with a scale for each output, inputs in int8 with a scale for each row."""

    def __init__(self, weight: torch.Tensor, bias: torch.Tensor | None) -> None:
        exact = weight.float()
        self._scales = exact.abs().amax(1).clamp_(min=1e-12) / LARGEST
        whole = (exact / self._scales[:, None]).round_().to(torch.int8)
        self._weight = torch.ops.onednn.qlinear_prepack(whole, [LIKELY_ROWS, weight.shape[1]])
        self._zeros = torch.zeros(len(weight), dtype=torch.int32)
        self._bias = torch.zeros(len(weight)) if bias is None else bias.float()

    def __call__(self, inputs: torch.Tensor) -> torch.Tensor:
        """Return float32 outputs."""
        rows = inputs.reshape(-1, inputs.shape[-1]).float()
        scales = torch.maximum(rows.amax(-1, keepdim=True), -rows.amin(-1, keepdim=True))
        scales = scales.clamp_(min=1e-12).div_(LARGEST)
        outputs: torch.Tensor = torch.ops.onednn.qlinear_pointwise(
            _whole(rows * scales.reciprocal()), 1.0, MIDDLE, self._weight, self._scales, self._zeros,
            None, 1.0, 0, torch.float32, "none", [], "",
        )  # fmt: skip
        return torch.addcmul(self._bias, outputs, scales, out=outputs).view(*inputs.shape[:-1], -1)

    def gelu(self, inputs: torch.Tensor) -> torch.Tensor:
        """Return the outputs after GELU."""
        return gelu(self(inputs))


def _whole(rows: torch.Tensor) -> torch.Tensor:
    """Return rows rounded, plus MIDDLE, as bytes; torch's quantised tensor is one only by name, and not copied."""
    quantised = torch.quantize_per_tensor(rows, 1.0, MIDDLE, torch.quint8)
    whole = torch.empty(0, dtype=torch.uint8)
    return whole.set_(quantised.untyped_storage(), 0, rows.shape, rows.stride())


Make = Callable[[torch.Tensor, torch.Tensor | None], Linear]  # of weight and bias
