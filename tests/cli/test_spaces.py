"""`mode=spaces`, and the number of different networks in it."""

import csv
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

Cli = Callable[..., Any]
# 2 levels, 1 + 2 cells: 4 608 vectors, 656 networks by VF2 (tests/graph).
SMALL = (
    *("mode=space", "space=nasfpn", "space.levels=[4,5]", "out=run"),
    *("space.backbone_levels=[4,5]", "space.intermediates=1"),
    "space.intermediate_levels=[4,5]",
)


def test_all_spaces_are_counted_beside_table_2(cli: Cli, tmp_path: Path) -> None:
    done = cli("mode=spaces", "mode.draws=4", "out=run")
    assert done.code == 0, done.err
    with (tmp_path / "run" / "spaces.csv").open() as file:
        rows = {row["space"]: row for row in csv.DictReader(file)}
    told = json.loads((tmp_path / "run" / "spaces.json").read_text())
    assert [row["space"] for row in told["spaces"]] == sorted(rows)
    fits = "agrees under a reconstructed convention"
    for name, short, paper, verdict in (
        ("nasfpnlite_s", "2.0049e+22", "2e+22", fits),
        ("no_expand", "2.36775e+27", "2.4e+27", fits),
        ("mnasfpn", "9.55471e+34", "1e+31", "not reproduced"),
        ("connsearch", "7.4336e+46", "3e+42", "not reproduced"),
        ("nasfpn", "2.47211e+17", "", ""),
    ):
        row = rows[name]
        assert (row["cardinality_short"], row["paper_cardinality"]) == (short, paper)
        assert row["agrees"] == verdict
        assert f"{int(row['cardinality']):,}" in done.out
        low, high = float(row["networks_low"]), float(row["networks_high"])
        assert 0 < low < float(row["networks"]) < high
        assert float(row["networks"]) < int(row["cardinality"])
    assert rows["nasfpn"]["cardinality"] == "247210809753600000"


def test_a_space_that_cannot_count_vectors_has_empty_cells(
    cli: Cli, tmp_path: Path
) -> None:
    assert cli("mode=space", "space=handcrafted", "out=run").code == 0
    told = json.loads((tmp_path / "run" / "space.json").read_text())
    assert told["networks"] is told["networks_low"] is told["networks_high"] is None


def test_networks_of_a_small_space_are_estimated_and_counted(
    cli: Cli, tmp_path: Path
) -> None:
    file = tmp_path / "run" / "space.json"
    assert cli(*SMALL, "mode.draws=1500").code == 0
    told = json.loads(file.read_text())
    assert told["networks_low"] < 656 < told["networks_high"]
    assert told["networks_high"] < 1.2 * told["networks_low"]
    assert cli(*SMALL, "mode.draws=5000").code == 0
    told = json.loads(file.read_text())
    assert told["networks_low"] == told["networks"] == told["networks_high"] == 656
    assert told["draws"] == 4608


@pytest.mark.parametrize("draws", ["1", "abc"])
def test_too_few_draws_are_refused(cli: Cli, draws: str) -> None:
    done = cli(*SMALL, f"mode.draws={draws}")
    assert done.code == 2
    assert f"mode.draws={draws}: it must be a whole number from 2 on" in done.err
