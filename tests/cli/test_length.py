"""`what=length` on networks of a given worth, and tiny but real trainings."""

import json
import sqlite3
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from scipy import stats

from fpnbench.cli.checks import length
from fpnbench.graph.canonical import key
from fpnbench.graph.protocols import EvaluationError
from fpnbench.graph.score import Score
from fpnbench.report.statistics import Estimate
from fpnbench.search.toy import ToyEvaluator

CHECK = ("mode=check", "what=length", "space=nasfpn", "length.resamples=50")
TOY = (*CHECK, "evaluator=toy", "evaluator.epochs=5", "length.cells=null")
SCORE = Score(0.5, None, None, None, None, 1.0, 7_000, 1, None, 2.0, 9, 0.1)


@pytest.fixture
def worth(monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    """Make the toy evaluator score the n-th network that it meets as one says."""
    keys: dict[str, int] = {}

    def give(aps: Callable[[int, int, int], float | None]) -> None:
        def score(self, genotype, epochs, seed):
            place = keys.setdefault(key(genotype), len(keys))
            if (ap := aps(place, epochs, seed)) is None:
                raise EvaluationError("the loss is nan")
            macs = 1_000 * (place // 2)  # pairs of equal MACs
            return replace(SCORE, ap=ap, loss=1 - ap, macs=macs)

        monkeypatch.setattr(ToyEvaluator, "__call__", score)

    return give


def test_a_length_that_ranks_as_the_longest_holds_and_one_that_ranks_like_macs_fails(
    conf, worth
) -> None:
    # The longest: 0, 1, 2, ...; 10 epochs likewise; 5 epochs: every two are turned.
    def aps(place: int, epochs: int, seed: int) -> float:
        return (place ^ 1 if epochs == 5 else place) / 20 + seed / 1000

    worth(aps)
    found = length.run(conf(*TOY, "length.factors=[2,4,1]", "length.seeds=[0,1]"))
    told = found.about["figures"]["all"]
    long = list(range(12))
    turned = stats.kendalltau([place ^ 1 for place in long], long).statistic
    cheap = stats.kendalltau([place // 2 for place in long], long).statistic
    assert told["5"]["ap"]["value"] == pytest.approx(turned)
    assert told["10"]["ap"]["value"] == pytest.approx(1)
    assert told["10"]["loss"]["value"] == pytest.approx(1)
    assert told["macs"]["macs"]["value"] == pytest.approx(cheap)
    assert "ap50" not in told["5"]
    # .82 is above the bar of .4 at both ends, and below the .95 of MACs.
    assert [bar.held for bar in found.bars] == [False, True]
    assert told["5"]["ap"]["low"] > 0.4
    assert found.about["shortest"] == 10
    assert (found.about["lengths"], found.about["epochs"]) == ([5, 10, 20], 5)
    assert [row["epochs"] for row in found.rows[:6]] == [5, 5, 10, 10, 20, 20]
    assert len(found.rows) == 12 * 3 * 2


@pytest.mark.parametrize(
    ("tau", "macs", "held"),
    [
        (Estimate(0.7, 0.41, 0.9), 0.6, True),
        (Estimate(0.7, 0.40, 0.9), 0.6, False),
        (Estimate(0.7, 0.41, 0.9), 0.7, False),
        (Estimate(0.7, 0.41, 0.9), float("nan"), True),  # of equal MACs: no order
        (Estimate(float("nan"), float("nan"), float("nan")), 0.1, False),
    ],
)
def test_both_ends_of_the_bar_are_needed(tau, macs, held) -> None:
    baseline = {"macs": Estimate(macs, 0.0, 1.0)}
    (bar,) = length.hold({"6": {"ap": tau}, "macs": baseline}, 12, 0.4)
    assert bar.held == held


def test_cells_and_networks_are_told_apart_and_what_fails_is_left_out(
    conf, worth, capsys
) -> None:
    worth(lambda place, epochs, _: None if (place, epochs) == (3, 20) else place / 20)
    cfg = conf(*TOY, "length.networks=4", "length.factors=[1,4]")
    cfg.length.cells = {"panet": 1, "bifpn": 2, "no_fusion": 1}
    found = length.run(cfg)
    out = capsys.readouterr().out
    assert "is left out: seed 0: the loss is nan" in out
    assert "bifpn, seed 0: AP 0.2500, 2 s" in out
    assert found.about["networks"] == 6
    assert set(found.about["figures"]) == {"all", "nasfpn", "cells"}
    parts = [row["part"] for row in found.rows]
    assert parts == ["nasfpn"] * 6 + ["cells"] * 6


def test_a_check_with_a_further_length_trains_that_alone(
    conf, tiny: tuple[str, ...], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    small = ("evaluator.epochs=1", "evaluator.threads=1", "length.networks=1")
    cfg = conf(*tiny, *CHECK, *small, "length.factors=[1,2]")
    cfg.length.cells = {"no_fusion": 1, "panet": 1}
    first = length.run(cfg)
    trained: list[int] = []

    def refuse(setting: Any, genotype: Any, epochs: int, seed: int) -> None:
        trained.append(epochs)
        raise EvaluationError("trained again")

    monkeypatch.setattr("fpnbench.train.proxy.train_and_score", refuse)
    assert length.run(cfg).rows == first.rows
    assert trained == []
    with sqlite3.connect("runs/scores.sqlite") as file:
        stored = file.execute("select key, seed, epochs from scores").fetchall()
    file.close()
    rows = [(row["key"], row["seed"], row["epochs"]) for row in first.rows]
    assert sorted(stored) == sorted(rows)
    assert json.dumps(first.about).count("NaN") == 0
    cfg.length.factors = [1, 2, 3]
    with pytest.raises(Exception, match="0 networks could be scored"):
        length.run(cfg)
    assert trained == [3, 3, 3]


@pytest.mark.parametrize(
    ("args", "told"),
    [
        (("length.factors=[1]",), "length.factors=[1]: it must be a list of 2 diff"),
        (("length.factors=[0,1]",), "length.factors=[0, 1]: times the epochs, from 1"),
        (("length.seeds=null",), "length.seeds=null: it must be a list of 1 different"),
        (("length.cells=[panet]",), "it must be a mapping of text to whole numbers"),
        (("length.cells={panet:0}",), "length.cells={'panet': 0}: copies are from 1"),
        (("length.networks=0",), "what=length ranks: 0 networks could be scored"),
    ],
)
def test_mistakes_are_one_line(
    cli: Callable[..., Any], args: tuple[str, ...], told: str
) -> None:
    done = cli(*TOY, *args)
    assert done.code == 2
    assert told in done.err
    assert done.err.count("\n") == 1
