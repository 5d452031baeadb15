"""`what=signal` on functions of known reliability, and tiny but real trainings."""

import csv
import json
import sqlite3
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from statistics import variance
from typing import Any

import numpy as np
import pytest

from fpnbench.cli.checks import _networks, signal
from fpnbench.graph.canonical import key
from fpnbench.graph.protocols import EvaluationError
from fpnbench.report.statistics import Estimate
from fpnbench.search.searcher import uniform_choices
from fpnbench.search.toy import ToyEvaluator

Cli = Callable[..., Any]
CHECK = ("mode=check", "what=signal")
TOY = (*CHECK, "evaluator=toy", "space=nasfpn", "signal.resamples=50")


def table(path: Path) -> list[dict[str, str]]:
    with path.open() as file:
        return list(csv.DictReader(file))


@pytest.mark.parametrize(("noise", "held"), [(0.02, True), (0.5, False)])
def test_the_icc_is_the_share_that_noise_leaves(conf, noise: float, held: bool) -> None:
    cfg = conf(*TOY, f"evaluator.noise={noise}", "signal.networks=100")
    found = signal.run(cfg)
    true = signal.run(conf(*TOY, "signal.networks=100")).rows
    between = variance(row["ap"] for row in true[::3])
    share = Estimate(**found.about["figures"]["ap"]["icc"])
    if held:
        assert share.low < between / (between + noise**2) < share.high
    (bar,) = found.bars
    assert (bar.held, share.low >= 0.5) == (held, held)
    # The toy's loss is 1 - AP and it tells no AP50.
    assert found.about["figures"]["loss"]["mean_ap"]["value"] == pytest.approx(1)
    assert "ap50" not in found.about["figures"]
    assert set(found.about["figures"]["macs"]) == {
        *("ap", "ap_better_half", "mean_ap", "explained")
    }


def test_the_network_that_an_icc_hangs_on_is_named(conf) -> None:
    left = signal.leave_out(["a", "b", "c"], np.array([[0, 1], [1, 0], [10, 10]]))
    assert left[0] == (pytest.approx(-1), "c")
    assert left[1] == (pytest.approx(90 / 90.5), "b")
    found = signal.run(conf(*TOY, "evaluator.noise=0.1", "signal.networks=12"))
    ends = found.about["icc_without"]
    keys = {row["key"] for row in found.rows}
    share = found.about["figures"]["ap"]
    assert ends[0][0] < share["icc"]["value"] < ends[1][0]
    assert {key for _, key in ends} <= keys
    drawn = share["icc_drawn"]
    assert drawn["value"] == pytest.approx(share["icc"]["value"])
    assert drawn["low"] < drawn["value"] < drawn["high"]
    (bar,) = found.bars
    assert f"one left out {ends[0][0]:.2f} (without {ends[0][1]})" in bar.measured


def test_networks_are_the_different_ones_of_random_search(conf, make_space) -> None:
    found = signal.run(conf(*TOY, "seed=5", "signal.networks=6", "signal.seeds=[3,7]"))
    assert [row["seed"] for row in found.rows] == [3, 7] * 6
    space = make_space("nasfpn")
    for row in found.rows:
        choices = uniform_choices(space.decisions, 5, row["number"])
        assert row["choices"] == " ".join(map(str, choices))
        assert row["key"] == key(space.decode(choices))
    assert len({row["key"] for row in found.rows}) == 6
    two = conf(*TOY, "space=handcrafted", "space.pyramids=[fpn,panet,no_fusion]")
    two.signal.networks = 3
    assert len({row["key"] for row in signal.run(two).rows}) == 3


def test_scores_are_shared_with_random_search_and_a_second_check_trains_nothing(
    cli: Cli, tiny: tuple[str, ...], tmp_path: Path
) -> None:
    common = (*tiny, "evaluator.epochs=1", "space=nasfpn")
    first = cli(*common, "searcher=random", "budget.trials=2", "out=search")
    assert first.code == 0, first.err
    check = (*CHECK, "signal.networks=3", "signal.resamples=20")
    for out in ("one", "two"):
        done = cli(*common, *check, "signal.seeds=[0,1]", f"out={out}")
        assert done.code in (0, 1), done.err
    with sqlite3.connect(tmp_path / "runs" / "scores.sqlite") as file:
        stored = file.execute("select key, seed from scores").fetchall()
    file.close()
    rows = table(tmp_path / "one" / "check.csv")
    assert sorted(stored) == sorted((r["key"], int(r["seed"])) for r in rows)
    assert rows == table(tmp_path / "two" / "check.csv")
    for trial, row in zip(table(tmp_path / "search" / "trials.csv"), rows[::2]):  # noqa: B905
        for name in ("key", "choices", "ap", "ap50", "loss", "macs", "params"):
            assert trial[name] == row[name]
    told: dict[str, Any] = json.loads((tmp_path / "one" / "check.json").read_text())
    assert told["about"]["benchmark"].startswith("digits-")
    assert (told["about"]["epochs"], len(told["rows"])) == (1, 6)
    # Two seeds leave none that could choose the better half.
    assert told["about"]["figures"]["ap"]["tau_better_half"]["value"] is None


@pytest.mark.parametrize(
    ("cell", "repeats", "depth"),
    [
        ("no_fusion", 1, 1),
        ("fpn_vanilla", 1, 5),
        # O7' behind O7, then every level one more: O3' is the seventh less one.
        ("fpn_vanilla", 2, 6),
        ("siso", 1, 2),  # its 1x1 has no norm and is no projection
        ("panet", 1, 8),  # T6, T5, T4, O3, then O4 to O7
    ],
)
def test_depth_counts_the_convolutions_of_the_longest_way(
    cell, repeats, depth, make_cell
) -> None:
    assert _networks.depth(make_cell(cell, repeats=repeats)) == depth


def test_a_network_that_cannot_be_trained_is_left_out(conf, monkeypatch, capsys):
    cfg = conf(*TOY, "signal.networks=5")
    bad = signal.run(cfg).rows[3]["key"]

    def scored(self, genotype, epochs, seed, good=ToyEvaluator.__call__):
        if key(genotype) == bad:
            raise EvaluationError("the loss is nan")
        return replace(good(self, genotype, epochs, seed), ap50=0.5)

    monkeypatch.setattr(ToyEvaluator, "__call__", scored)
    found = signal.run(cfg)
    assert f"network {bad} is left out: the loss is nan" in capsys.readouterr().out
    assert found.about["networks"] == 4
    assert bad not in {row["key"] for row in found.rows}


@pytest.mark.parametrize(
    ("args", "told"),
    [
        (("signal.seeds=[0]",), "signal.seeds=[0]: it must be a list of 2 different"),
        (("signal.seeds=[1,1]",), "signal.seeds=[1, 1]: it must be a list of 2"),
        (("signal.seeds=abc",), "signal.seeds=abc: it must be a list of 2"),
        (("signal.networks=2",), "it must be a whole number from 3 on"),
        (
            ("space=handcrafted", "space.pyramids=[fpn,panet]", "signal.networks=3"),
            "signal.networks=3: 300 draws of the space handcrafted hold 2 different",
        ),
    ],
)
def test_mistakes_are_one_line(cli: Cli, args: tuple[str, ...], told: str) -> None:
    done = cli(*TOY, *args)
    assert done.code == 2
    assert told in done.err
    assert done.err.count("\n") == 1
