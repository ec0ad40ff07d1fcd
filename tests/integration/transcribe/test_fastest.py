from __future__ import annotations

import copy
import json
from typing import TYPE_CHECKING

import pytest

from pipeline.stage.transcribe import fastest

if TYPE_CHECKING:
    from pathlib import Path

    from whisper.model import Whisper


def quiet(_what: str, _fraction: float | None) -> None:
    pass


@pytest.fixture(autouse=True)
def bfloat16_in_hardware(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fastest, "_multiplies_bfloat16", lambda: True)


@pytest.mark.parametrize(
    ("bfloat16", "int8", "expected"),
    [(0.3, 0.29, "bfloat16"), (0.3, 0.2, "int8"), (0.9, 0.7, "int8"), (0.95, 0.9, "float32")],
)
def test_coarser_numbers_must_save_a_fifth(bfloat16: float, int8: float, expected: str) -> None:
    """A little faster is not worth another text."""
    assert fastest.choose({"float32": 1.0, "bfloat16": bfloat16, "int8": int8}) == expected


def test_a_machine_is_measured_once(tiny_model: Whisper, tmp_path: Path) -> None:
    """What was measured decides for good, whatever another measurement would say."""
    first = fastest.meant("auto", tiny_model, tmp_path, quiet)
    path = tmp_path / "processors.json"
    ((subject, seconds),) = json.loads(path.read_text()).items()
    assert fastest.choose(seconds) == first

    for name in fastest.CANDIDATES:
        told = dict.fromkeys(fastest.CANDIDATES, 1.0) | {"float32": 3.0, name: 0.1}
        path.write_text(json.dumps({subject: told}))
        assert fastest.meant("auto", tiny_model, tmp_path, quiet) == name


def test_another_width_is_another_measurement(tiny_model: Whisper, tmp_path: Path) -> None:
    """Others' measurements stay."""
    path = tmp_path / "processors.json"
    path.write_text(json.dumps({"another": dict.fromkeys(fastest.CANDIDATES, 1.0)}))

    fastest.meant("auto", tiny_model, tmp_path, quiet)

    assert set(json.loads(path.read_text())) > {"another"}


def test_a_damaged_memory_is_measured_anew(tiny_model: Whisper, tmp_path: Path) -> None:
    """It must not keep a service from starting."""
    (tmp_path / "processors.json").write_text('{"half')

    fastest.meant("auto", tiny_model, tmp_path, quiet)

    assert json.loads((tmp_path / "processors.json").read_text())


def test_features_decide_where_nothing_can_be_remembered(tiny_model: Whisper, tmp_path: Path) -> None:
    """Two starts must not choose differently."""
    (tmp_path / "file").touch()

    assert fastest.meant("auto", tiny_model, tmp_path / "file", quiet) == "bfloat16"


def test_a_processor_without_bfloat16_computes_in_float32(
    tiny_model: Whisper, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The others would be converted."""
    monkeypatch.setattr(fastest, "_multiplies_bfloat16", lambda: False)

    assert fastest.meant("auto", tiny_model, tmp_path, quiet) == "float32"
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("named", "expected"), [("auto", "float16"), ("int8", "float16"), ("bfloat16", "bfloat16")]
)
def test_elsewhere_than_on_a_cpu_there_is_no_int8(
    tiny_model: Whisper, tmp_path: Path, named: str, expected: str
) -> None:
    """Its products are oneDNN's; and nothing is measured."""
    elsewhere = copy.deepcopy(tiny_model).to("meta")

    assert fastest.meant(named, elsewhere, tmp_path, quiet) == expected
    assert not list(tmp_path.iterdir())
