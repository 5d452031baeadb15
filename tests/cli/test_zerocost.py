"""Searches at zero cost; `check what=zerocost`, whose APs are those of what=signal."""

import csv
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from omegaconf import DictConfig
from scipy import stats

from fpnbench.cli.build import build_evaluator, build_space
from fpnbench.cli.checks import zerocost
from fpnbench.cli.checks._networks import draw
from fpnbench.graph.errors import UserError
from fpnbench.graph.protocols import EvaluationError
from fpnbench.graph.score import Score
from fpnbench.search.store import Place, ScoreStore
from fpnbench.train.zerocost import ZeroCost

NETWORKS = 6
CHECK = ("mode=check", "what=zerocost", "space=nasfpn", "signal.seeds=[0,1]")
Make = Callable[..., DictConfig]


@pytest.fixture
def make(
    conf: Callable[..., DictConfig], tiny: tuple[str, ...], tmp_path: Path
) -> Make:
    def made(*overrides: str) -> DictConfig:
        return conf(
            *tiny,
            *CHECK,
            f"evaluator.cache={tmp_path}/cache",
            "evaluator.threads=1",
            f"store={tmp_path}/scores.sqlite",
            f"signal.networks={NETWORKS}",
            "signal.resamples=20",
            "zerocost.scores=[naswot,grad_norm]",
            *overrides,
        )

    return made


def score(ap: float, macs: int) -> Score:
    return Score(ap, None, None, None, None, 1.0, macs, 7, None, 2.5, 1, 1.0)


def test_scores_are_compared_with_aps_of_the_store(make: Make, tmp_path: Path) -> None:
    """APs are made to follow naswot, and one network lacks a seed."""
    cfg = make()
    proxy: Any = build_evaluator(cfg)
    drawn = draw(build_space(cfg), proxy, cfg.seed, NETWORKS, "")
    found = {
        name: [ZeroCost(proxy, name, 32, 0)(one.genotype, 0, 0) for one in drawn]
        for name in ("naswot", "grad_norm")
    }
    store = ScoreStore(tmp_path / "scores.sqlite", {}, print)
    order = stats.rankdata([each.estimate for each in found["naswot"]])
    for place, network in enumerate(drawn):
        for seed in (0,) if place == NETWORKS - 1 else (0, 1):
            ap = order[place] / 100 + seed / 1000
            known = score(ap, found["naswot"][place].macs)
            store.add(Place(network.key, proxy.benchmark, seed, proxy.epochs), known)
    told = zerocost.run(cfg)
    assert told.about["networks"] == NETWORKS - 1
    rows = {row["number"]: row for row in told.rows}
    names = ["another AP", "macs", "params", "depth", "nodes", "naswot", "grad_norm"]
    assert list(rows) == names
    assert len(told.bars) == len(rows)

    def tau(x: Any, y: Any) -> float:
        return float(stats.kendalltau(list(x)[:-1], list(y)[:-1]).statistic)

    macs = [each.macs for each in found["naswot"]]
    norms = [each.estimate for each in found["grad_norm"]]
    assert rows["another AP"]["one_ap"] == pytest.approx(1)
    assert rows["another AP"]["seconds"] == 2.5
    for kind in ("mean_ap", "one_ap"):
        assert rows["naswot"][kind] == pytest.approx(1)
        assert rows["naswot"][f"{kind}_given_macs"] == pytest.approx(1)
        assert rows["macs"][kind] == pytest.approx(tau(macs, order))
        assert rows["macs"][f"{kind}_given_macs"] is None
        assert rows["grad_norm"][kind] == pytest.approx(tau(norms, order))
        xy, xz, yz = tau(norms, order), tau(norms, macs), tau(order, macs)
        partial = (xy - xz * yz) / ((1 - xz**2) * (1 - yz**2)) ** 0.5
        assert rows["grad_norm"][f"{kind}_given_macs"] == pytest.approx(partial)
    assert rows["naswot"]["mean_ap_low"] <= 1 <= rows["naswot"]["mean_ap_high"]
    # Nothing was trained; the zero-cost scores are kept for the next time.
    counts: dict[str, int] = {}
    for row in store:
        counts[row.place.benchmark] = counts.get(row.place.benchmark, 0) + 1
    assert sorted(counts.values()) == [NETWORKS - 1, NETWORKS - 1, 2 * NETWORKS - 1]


def test_a_score_that_is_no_number_leaves_its_network_out(
    make: Make, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    cfg = make("zerocost.scores=[naswot]")
    proxy: Any = build_evaluator(cfg)
    store = ScoreStore(tmp_path / "scores.sqlite", {}, print)
    drawn = draw(build_space(cfg), proxy, cfg.seed, NETWORKS, "")
    for place, network in enumerate(drawn):
        for seed in (0, 1):
            known = score(place / 100, place)
            store.add(Place(network.key, proxy.benchmark, seed, proxy.epochs), known)

    def scored(*args: Any) -> Score:
        if args[2] == drawn[2].genotype:
            raise EvaluationError("naswot is -inf")
        return real(*args)

    real = zerocost.scored
    monkeypatch.setattr(zerocost, "scored", scored)
    counts = {row["number"]: row["networks"] for row in zerocost.run(cfg).rows}
    assert counts.pop("naswot") == NETWORKS - 1
    assert set(counts.values()) == {NETWORKS}


@pytest.mark.parametrize(
    ("overrides", "told"),
    [
        (["zerocost.scores=[snip]"], "zerocost.scores: snip is not one of synflow"),
        (["zerocost.scores=null"], "zerocost.scores=null: it must be a list of"),
        (["signal.seeds=0"], "signal.seeds=0: it must be a list of 1 different"),
        (["signal.seeds=[]"], r"signal.seeds=\[\]: it must be a list of 1"),
        (["store=null"], "store=null: what=zerocost finds trained APs in the store"),
        ([], f"for 0 of {NETWORKS} networks of nasfpn: mode=check what=signal"),
    ],
)
def test_what_is_missing_is_said(make: Make, overrides: list[str], told: str) -> None:
    with pytest.raises(UserError, match=told):
        zerocost.run(make(*overrides))


def test_trainings_are_needed(conf: Make) -> None:
    with pytest.raises(UserError, match="evaluator=proxy"):
        zerocost.run(conf(*CHECK, "evaluator=toy"))


def test_a_search_at_zero_cost_is_never_said_to_have_an_ap(
    cli: Callable[..., Any], tiny: tuple[str, ...], tmp_path: Path
) -> None:
    """Search, dry run, report, one trial, and what cannot be done with such a run."""
    wanted = ("evaluator=zerocost", "evaluator.score=naswot", "space=nasfpn", *tiny)
    done = cli(*wanted, "searcher=random", "budget.trials=2", "out=run")
    assert (done.code, done.err) == (0, "")
    assert "AP" not in done.out
    with (tmp_path / "run" / "trials.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert [row["ap"] for row in rows] == ["", ""]
    assert all(row["reward"] == row["estimate"] != "" for row in rows)
    summary = json.loads((tmp_path / "run" / "summary.json").read_text())
    assert summary["best"]["score"]["ap"] is None
    assert summary["benchmark"].startswith("digits-naswot-")

    dry = cli(*wanted, "searcher=random", "budget.trials=2", "dry_run=true")
    assert (dry.code, dry.err) == (0, "")
    assert "after 2 evaluations" in dry.out
    assert cli("mode=show", "runs=run", "out=shown").code == 0
    assert cli("mode=report", "runs=run", "out=report").code == 0
    report = (tmp_path / "report" / "report.md").read_text()
    assert "Nothing was trained: a reward is a zero-cost score" in report
    assert "## AP against cost" not in report

    finals = cli("mode=finalists", "runs=run", "top=1", "out=finals")
    assert finals.code == 2
    assert "this mode trains networks: evaluator=proxy is needed" in finals.err
    refused = cli(*wanted, "reward=ap", "budget.trials=1", "out=refused")
    assert refused.code == 2
    assert "AP is wanted, and this evaluator measures none" in refused.err
