"""Who computes: what is installed is found, held against the CPU, and taken or refused in one line."""

import importlib.util
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from conftest import one_line_error, write_red_or_blue

from batchgender.classify.pipeline import load_classifier
from batchgender.errors import UserError
from batchgender.model.execution_providers import choose_provider
from batchgender.model.open_model import open_model
from batchgender.model.session import installed, open_on_provider

Cli = Callable[..., Any]
needs_openvino = pytest.mark.skipif(not importlib.util.find_spec("openvino"), reason="the extra openvino is not here")


def test_the_cpu_is_always_there_and_auto_takes_what_is(red_or_blue: Path, photos: Path) -> None:
    assert "cpu" in installed()
    by_cpu, by_auto = (load_classifier(red_or_blue, provider=name).classify(photos) for name in ("cpu", "auto"))
    for one, other in zip(by_cpu, by_auto, strict=True):
        assert (one.path, one.prediction) == (other.path, other.prediction)
        assert one.probabilities == pytest.approx(other.probabilities, abs=0.02)


@pytest.mark.parametrize("provider", ["cuda", "tensorrt", "coreml", "directml"])
def test_a_provider_that_is_not_installed_is_one_line(
    provider: str, cli: Cli, red_or_blue: Path, photos: Path, tmp_path: Path
) -> None:
    if provider in installed():
        pytest.skip(f"{provider} is installed here")
    result = cli("classify", photos, "--model", red_or_blue, "--out", tmp_path / "r.csv", "--provider", provider)
    assert result.exit_code == 1
    line = one_line_error(result)
    assert f"provider {provider} is not installed" in line and "onnxruntime" in line
    assert not list(tmp_path.glob("r.*"))


@needs_openvino
def test_openvino_gives_the_same_rows(cli: Cli, red_or_blue: Path, photos: Path, tmp_path: Path) -> None:
    tables = []
    for provider in ("cpu", "openvino"):
        out = tmp_path / f"{provider}.csv"
        result = cli("classify", photos, "--model", red_or_blue, "--out", out, "--provider", provider)
        assert result.exit_code == 0, result.output
        tables.append(pd.read_csv(out))
    assert "computed by OpenVINO" in result.stderr
    assert list(tables[0].prediction) == list(tables[1].prediction)
    assert np.allclose(tables[0].p_female, tables[1].p_female, atol=0.02)


@needs_openvino
def test_a_provider_whose_answers_differ_is_refused_and_auto_goes_on(tmp_path: Path) -> None:
    # Among logits this large a step of bfloat16 is more than what two colours differ by.
    model = open_model(write_red_or_blue(tmp_path / "steep.onnx", green=1000.0))
    if "bfloat16" not in open_on_provider(model.session, model.file, "openvino", 1, 224).provider:
        pytest.skip("OpenVINO computes in float32 on this processor")
    with pytest.raises(UserError, match=r"differ from the CPU's by 0\.\d+, more than 0.02"):
        choose_provider(model, "openvino", 1, print)
    said: list[str] = []
    assert choose_provider(model, "auto", 1, said.append) is model
    assert len(said) == 1 and said[0].startswith("left out: provider openvino")


def test_a_run_is_resumed_by_the_provider_that_began_it_alone(
    cli: Cli, red_or_blue: Path, photos: Path, tmp_path: Path
) -> None:
    out = tmp_path / "r.csv"
    arguments = ("classify", photos, "--model", red_or_blue, "--out", out)
    assert cli(*arguments).exit_code == 0
    whole = out.read_bytes()
    # As a kill leaves it: half the rows, and what they were made with.
    lines = whole.splitlines(keepends=True)
    out.unlink()
    (tmp_path / "r.csv.part").write_bytes(b"".join(lines[:40]))
    (tmp_path / "r.csv.part.json").write_text('{"provider": "another"}')
    assert "was begun with another" in one_line_error(cli(*arguments, "--resume"))
