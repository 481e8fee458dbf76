"""`tools/network_grid.py`: networks trained alike, timed, and laid out, with the frontier of time and accuracy."""

from dataclasses import replace
from pathlib import Path

import network_grid
import pytest
from click.testing import CliRunner
from network_grid import frontier, main, multiply_adds_of, network_of, networks, read_rows

from batchgender.photos.decode import decode
from batchgender.training.networks.registry import build


def test_the_grid_has_the_narrow_alexnet_as_it_is_named_in_train() -> None:
    assert (4, 2, 96) in networks(130_000_000)
    ours, named = network_of(4, 2, 96, 2), build("alexnet_narrow", 2)
    shapes = [[tuple(weight.shape) for weight in network.parameters()] for network in (ours, named)]
    assert shapes[0] == shapes[1]
    assert all(multiply_adds_of(network_of(*each, 2), each[2]) <= 130_000_000 for each in networks(130_000_000))


def test_a_grid_is_trained_and_written_and_goes_on_where_it_stopped(
    portraits: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # The cheapest network.
    monkeypatch.setattr(network_grid, "_SIZES", (80,))
    monkeypatch.setattr(network_grid, "_WIDTHS", (2,))
    line = [str(portraits), str(tmp_path / "grid"), "--epochs", "1", "--limit", "40"]
    result = CliRunner().invoke(main, line)
    assert result.exit_code == 0, result.output
    rows = read_rows(tmp_path / "grid" / "grid.csv")
    assert [row.eighths for row in rows] == [2] and all(row.ms > 0 and row.multiply_adds <= 4e7 for row in rows)
    assert (tmp_path / "grid" / "grid.md").read_text().count("\n") == 2 + len(rows)
    assert decode((tmp_path / "grid" / "grid.png").read_bytes()).std() > 5
    again = CliRunner().invoke(main, line)
    assert again.exit_code == 0 and "epoch" not in again.output
    # Timed again, and nothing else.
    assert [replace(row, ms=rows[0].ms) for row in read_rows(tmp_path / "grid" / "grid.csv")] == rows
    odd = CliRunner().invoke(main, [*line[:-1], "1"])
    assert odd.exit_code == 1 and "no network has 0 to 1 million multiply-adds" in odd.output
    (tmp_path / "grid" / "grid.csv").write_text("other,columns\n1,2\n")
    odd = CliRunner().invoke(main, line)
    assert odd.exit_code == 1 and "holds other columns than a grid" in odd.output
    fast, slow = replace(rows[0], ms=1.0, val_accuracy=0.9), replace(rows[0], ms=2.0, val_accuracy=0.95)
    worse = replace(rows[0], ms=2.5, val_accuracy=0.94)
    assert frontier([worse, slow, fast]) == [fast, slow]
