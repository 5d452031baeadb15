"""`what=orders` on networks of a given worth, and tiny but real trainings."""

import json
import sqlite3
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from fpnbench.cli.checks import orders
from fpnbench.graph.canonical import canonical, digest
from fpnbench.graph.protocols import EvaluationError
from fpnbench.search.toy import ToyEvaluator

Cli = Callable[..., Any]
CHECK = ("mode=check", "what=orders")
TOY = (*CHECK, "evaluator=toy", "orders.resamples=100")
# Worth that agrees with every pair of the suite, the last the best.
WORTH = [
    *("siso_merging", "miso_merging", "simo_merging", "no_fusion"),
    *("nasfpn_fig7b", "nasfpn_fig7c", "nasfpn_fig7d"),
    *("fully_connected", "fpn_stacked", "fpn_merging", "nasfpn"),
    *("nasfpn_fig7e", "bifpn", "panet", "bifpn_weighted"),
]


@pytest.fixture(scope="module")
def keys() -> dict[str, str]:
    return {}


@pytest.fixture
def worth(make_cell, conf, monkeypatch, keys) -> Callable[..., None]:
    """Make the toy evaluator score the pyramids by their place in a list."""
    for name, repeats in conf(*CHECK).orders.suite.items() if not keys else ():
        whole = make_cell(name, repeats=repeats)
        keys[digest(whole)] = name
        if 3 in whole.levels:  # as the test reads it that reads P3 and P4 alone
            keys[digest(canonical(whole.restrict((3, 4))))] = name
    plain = ToyEvaluator.__call__

    def give(order: list[str], aps: Callable[[int, int], float | None]) -> None:
        def score(self, genotype, epochs, seed):
            place = order.index(keys[digest(genotype)])
            if (ap := aps(place, seed)) is None:
                raise EvaluationError("the loss is nan")
            values = {"ap": ap, "ap50": 1 - ap, "loss": 0.5}
            return replace(plain(self, genotype, epochs, seed), **values)

        monkeypatch.setattr(ToyEvaluator, "__call__", score)

    return give


def by_place(place: int, seed: int) -> float:
    return place / 100 + seed / 1000


def test_a_proxy_that_orders_as_published_holds(conf, worth) -> None:
    worth(WORTH, by_place)
    found = orders.run(conf(*TOY))
    assert [bar.held for bar in found.bars] == [True, True]
    assert found.bars[0].measured.startswith("23 of 23 (100%), 0 undecided; Wilson")
    about = found.about
    assert about["left_out"] == []
    ap, ap50, loss, macs = (
        about["pairs"][name] for name in ("ap", "ap50", "loss", "macs")
    )
    assert (ap["alike"], ap50["alike"], macs["pairs"]) == (23, 0, 23)
    # All losses are equal: every pair is undecided.
    assert (loss["alike"], loss["undecided"]) == (11.5, 23)
    assert ap["families"] == {"A": [6, 6], "B": [9, 9], "C": [2, 2], "D+E": [6, 6]}
    # The toy counts the pyramid's MACs alone: 13 pairs and two ties.
    assert macs["alike"] == 14
    # fully_connected > fpn_stacked and nasfpn > nasfpn_fig7e are the other way here.
    assert about["soft"]["ap"]["alike"] == 3
    assert about["without_single_level"]["ap"]["pairs"] == 23 - 4
    verdicts = {(v["better"], v["worse"]): v for v in about["verdicts"]}
    assert len(verdicts) == 28
    one = verdicts["bifpn_weighted", "fpn_stacked"]
    assert one["difference"] == pytest.approx(0.06)
    assert one["error"] == pytest.approx(0)
    assert (one["gap"], one["family"], one["soft"], one["credit"]) == (
        *(2.1, "A", False, 1),
    )
    assert json.dumps(found.about).count("NaN") == 0


def test_a_proxy_that_orders_the_other_way_fails(conf, worth) -> None:
    worth(WORTH[::-1], by_place)
    found = orders.run(conf(*TOY, "orders.seeds=[1]"))
    assert [bar.held for bar in found.bars] == [False, False]
    assert found.bars[0].measured.startswith("0 of 23 (0%)")
    assert found.about["verdicts"][0]["error"] is None
    assert [row["seed"] for row in found.rows] == [1] * 15


def test_a_share_that_macs_have_too_is_not_enough(conf, worth) -> None:
    worth(WORTH, by_place)
    cfg = conf(*TOY, "orders.seeds=[0]", "orders.least_share=0.5")
    cost = sorted(orders.run(cfg).rows, key=lambda row: row["macs"])
    by_cost = [row["cell"] for row in cost]
    # Of the two ties the first is won here, the second lost: as many as by MACs.
    tied = [by_cost.index(name) for name in ("nasfpn_fig7b", "nasfpn_fig7c")]
    by_cost[min(tied)], by_cost[max(tied)] = "nasfpn_fig7b", "nasfpn_fig7c"
    tied = [by_cost.index(name) for name in ("fpn_merging", "no_fusion")]
    by_cost[min(tied)], by_cost[max(tied)] = "fpn_merging", "no_fusion"
    worth(by_cost, by_place)
    bars = orders.run(cfg).bars
    assert [bar.measured[:8] for bar in bars] == ["14 of 23"] * 2
    assert [bar.held for bar in bars] == [True, False]


def test_members_that_cannot_be_scored_are_named_and_the_rest_goes_on(
    conf, worth, capsys
) -> None:
    nan = WORTH.index("bifpn")
    worth(WORTH, lambda place, seed: None if place == nan else by_place(place, seed))
    found = orders.run(conf(*TOY, "evaluator.levels=[3,4]"))
    out = " ".join(capsys.readouterr().out.split())
    for name in ("siso_merging", "miso_merging"):
        assert f"{name} is left out: the detector reads levels [3, 4]" in out
    assert "bifpn is left out: seed 0: the loss is nan" in out
    assert found.about["left_out"] == ["siso_merging", "miso_merging", "bifpn"]
    assert found.about["pairs"]["ap"]["pairs"] == 23 - 4 - 1
    assert "5 left out" in found.bars[0].measured
    assert found.about["planned"] == 23
    assert len(found.rows) == 12 * 3


def test_real_scores_are_found_again(
    conf, tiny: tuple[str, ...], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "300")
    cfg = conf(*tiny, *CHECK, "evaluator.epochs=1", "evaluator.threads=1")
    cfg.orders.suite = {"siso_merging": 1, "no_fusion": 1, "panet": 2}
    cfg.orders.families = {
        "X": {"pairs": {"panet > no_fusion": 9, "panet > siso_merging": 1.5}}
    }
    cfg.orders.seeds = [0]
    orders.run(cfg)
    cfg.orders.seeds = [0, 1]
    found = orders.run(cfg)
    with sqlite3.connect("runs/scores.sqlite") as file:
        stored = file.execute("select key, seed from scores").fetchall()
    file.close()
    assert sorted(stored) == sorted((row["key"], row["seed"]) for row in found.rows)
    again = orders.run(cfg)
    assert again.rows == found.rows  # seconds, too: nothing was trained anew
    assert [row["repeats"] for row in found.rows] == [1, 1, 1, 1, 2, 2]
    assert found.about["benchmark"].startswith("digits-")
    assert (found.about["epochs"], found.about["levels"]) == (1, [3, 4, 5, 6])
    # PANet twice costs more than the others, with their heads, too.
    assert found.about["pairs"]["macs"]["families"] == {"X": [2, 2]}
    assert set(found.about["pairs"]) >= {"ap", "ap50", "ap_s", "loss", "macs"}


@pytest.mark.parametrize(
    ("args", "told"),
    [
        (("orders.seeds=[]",), "orders.seeds=[]: it must be a list of 1 different"),
        (("orders.seeds=[0,0]",), "orders.seeds=[0, 0]: it must be a list of 1"),
        (("orders.resamples=0",), "it must be a whole number from 1 on"),
        (("orders.suite.panet=0",), "orders.suite.panet=0: it must be copies, >= 1"),
        (("orders.suite=null",), "orders.suite=null: it must be a mapping of text to"),
        (("orders.suite.panet=x",), "it must be a mapping of text to whole numbers"),
        (("orders.single_level=null",), "orders.single_level=null: it must be a list"),
        (("orders.families=null",), "orders.families=null: it must be a mapping"),
        (("orders.families.A=null",), "orders.families.A=null: it must be a mapping"),
        (("orders.families.A.pairs=3",), "it must be a mapping with pairs"),
        (("+orders.suite.pagoda=1",), "cell=pagoda: there is no such cell"),
        (
            ("~orders.suite.panet",),
            "orders.families.A.pairs: 'panet > fpn_stacked: 1.79' is no 'better > wor",
        ),
        (("evaluator.levels=[9]",), "no pair is left of which both could be scored"),
    ],
)
def test_mistakes_are_one_line(cli: Cli, args: tuple[str, ...], told: str) -> None:
    done = cli(*TOY, *args)
    assert done.code == 2
    assert told in done.err
    assert done.err.count("\n") == 1
