# ruff: noqa: N803, N806
"""`what=zerocost`: how well scores without a training rank what the proxy ranks.

The networks are those of `what=signal`, and so are their APs, found in the score store:
nothing is trained here. Beside the zero-cost scores stand what is known of a network
for nothing (MACs, parameters, depth, nodes), which a score has to beat, and the AP of
another training of the same networks.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from math import isnan, nan
from statistics import median
from typing import Any, get_args

import numpy as np
from numpy.typing import NDArray
from omegaconf import DictConfig
from rich.console import Console
from rich.progress import track

from fpnbench.cli.build import build_evaluator, build_space
from fpnbench.cli.checks._networks import KNOWN, Drawn, draw, known
from fpnbench.cli.checks._shared import read_different
from fpnbench.cli.checks.noise import NOTHING
from fpnbench.cli.checks.signal import KEY, across_given, shown
from fpnbench.cli.store import open_store, scored
from fpnbench.graph.errors import UserError
from fpnbench.graph.protocols import EvaluationError, Evaluator
from fpnbench.graph.score import Score
from fpnbench.report.bar import Bar, Findings
from fpnbench.report.statistics import (
    Estimate,
    kendall,
    over_items,
    partial_tau,
    tau_across,
)
from fpnbench.search.reward import average_precision
from fpnbench.search.store import Place, ScoreStore
from fpnbench.train.proxy import ProxyTrainer
from fpnbench.train.zerocost import Name, ZeroCost

LEAST_NETWORKS = 3
NONE = Estimate(nan, nan, nan)
AGAIN = "another AP"
"""Name of the row that says how far one training's AP ranks that of another."""
WORDS = {
    "mean_ap": "tau to the mean AP",
    "mean_ap_given_macs": "given MACs",
    "one_ap": "to one AP",
    "one_ap_given_macs": "given MACs",
}
"""What the figures are called; given MACs: as far as those do not explain it."""
Values = NDArray[np.float64]
Row = dict[str, Any]
Trained = Sequence[tuple[Drawn, Sequence[Score]]]
"""Networks with a score for each evaluator seed."""


def run(cfg: DictConfig) -> Findings:
    """Score the networks of `what=signal` at zero cost and compare with their APs.

    Raises:
        UserError: the evaluator trains nothing, a score is unknown, there is no store,
            or it holds too few of the APs.
    """
    for name in read_different(cfg, "zerocost.scores", str):
        if name not in get_args(Name):
            allowed = ", ".join(get_args(Name))
            raise UserError(f"zerocost.scores: {name} is not one of {allowed}")
    seeds = read_different(cfg, "signal.seeds", int)
    space, proxy = build_space(cfg), build_evaluator(cfg)
    if not isinstance(proxy, ProxyTrainer):
        raise UserError("what=zerocost compares with trainings: evaluator=proxy")
    if (store := open_store(cfg, proxy, Console().print)) is None:
        raise UserError("store=null: what=zerocost finds trained APs in the store")
    drawn = draw(space, proxy, cfg.seed, cfg.signal.networks, KEY)
    found = trained(store, proxy, drawn, seeds)
    if len(found) < LEAST_NETWORKS:
        raise UserError(
            f"store={cfg.store} has APs with signal.seeds={seeds} for {len(found)} of "
            f"{len(drawn)} networks of {space.name}: mode=check what=signal trains them"
        )
    about = {
        **{"space": space.name, "benchmark": proxy.benchmark, "epochs": proxy.epochs},
        **{"seed": cfg.seed, "evaluator_seeds": seeds, "networks": len(found)},
        **{"batch": cfg.zerocost.batch},
    }
    rows = compare(cfg, store, proxy, found)
    return Findings([bar(row) for row in rows], about, rows)


def trained(
    store: ScoreStore, proxy: Evaluator, drawn: Sequence[Drawn], seeds: Sequence[int]
) -> Trained:
    """Return the networks whose APs are known with every seed, and their scores."""
    found = []
    for network in drawn:
        places = [
            Place(network.key, proxy.benchmark, seed, proxy.epochs) for seed in seeds
        ]
        scores = [score for place in places if (score := store.find(place))]
        if len(scores) == len(seeds):
            found.append((network, scores))
    return found


def compare(
    cfg: DictConfig, store: ScoreStore, proxy: ProxyTrainer, found: Trained
) -> list[Row]:
    """Return a row for each score, each number that is known for nothing, and AP."""
    ap_NS = np.array([[average_precision(s) for s in own] for _, own in found])
    seconds: dict[str, float | None] = dict.fromkeys(KNOWN)
    columns = {
        name: np.array([known(each, own[0])[name] for each, own in found], float)
        for name in KNOWN
    }
    for name in cfg.zerocost.scores:
        evaluator = ZeroCost(proxy, name, cfg.zerocost.batch, proxy.seed)
        scores = list(score_all(store, evaluator, [each for each, _ in found]))
        columns[name] = np.array([s.estimate if s else nan for s in scores], float)
        seconds[name] = median([s.cost_s for s in scores if s] or [0.0])
    macs_N, resamples = columns["macs"], cfg.signal.resamples
    rows: list[Row] = []
    for name, values_N in columns.items():
        own = {"number": name, "seconds": seconds[name]}
        rows.append(own | ranked(values_N, ap_NS, macs_N, resamples))
    if ap_NS.shape[1] > 1:
        cost_s = median(score.cost_s for _, own in found for score in own)
        again = {"number": AGAIN, "seconds": cost_s}
        rows.insert(0, again | repeated(ap_NS, macs_N, resamples))
    return rows


def score_all(
    store: ScoreStore, evaluator: ZeroCost, networks: Sequence[Drawn]
) -> Iterator[Score | None]:
    """Score the networks at zero cost; None of one for which that is no number."""
    console = Console()
    for network in track(networks, evaluator.benchmark, console=console):
        try:
            yield scored(
                evaluator, store, network.genotype, evaluator.epochs, evaluator.seed
            )
        except EvaluationError as error:
            console.print(f"network {network.key} is left out: {error}")
            yield None


def ranked(values_N: Values, ap_NS: Values, macs_N: Values, resamples: int) -> Row:
    """Say how far a number ranks the mean AP, and the AP of one training.

    Intervals are over networks; those without the number are left out.
    """
    there = ~np.isnan(values_N)
    values_N, ap_NS, macs_N = values_N[there], ap_NS[there], macs_N[there]
    if len(values_N) < LEAST_NETWORKS:
        return {"networks": len(values_N)} | flat({name: NONE for name in WORDS})
    bootstrap = partial(over_items, resamples=resamples)
    mean_N = ap_NS.mean(1)
    figures = {
        "mean_ap": bootstrap(kendall, values_N, mean_N),
        "mean_ap_given_macs": bootstrap(partial_tau, values_N, mean_N, macs_N),
        "one_ap": bootstrap(partial(of_one, kendall), values_N, ap_NS),
        "one_ap_given_macs": bootstrap(
            partial(of_one, partial_tau), values_N, ap_NS, macs_N
        ),
    }
    return {"networks": len(values_N)} | flat(figures)


def of_one(
    statistic: Callable[..., float], values_N: Values, ap_NS: Values, *given: Values
) -> float:
    """Return a statistic of values and the APs of one seed, the mean over seeds."""
    return float(np.mean([statistic(values_N, ap_N, *given) for ap_N in ap_NS.T]))


def repeated(ap_NS: Values, macs_N: Values, resamples: int) -> Row:
    """Say how far the AP of one training ranks that of another.

    Compare with `one_ap` of the other rows: the mean of several trainings is easier.
    """
    bootstrap = partial(over_items, resamples=resamples)
    figures = {name: NONE for name in WORDS} | {
        "one_ap": bootstrap(tau_across, ap_NS, ap_NS),
        "one_ap_given_macs": bootstrap(across_given, ap_NS, macs_N),
    }
    return {"networks": len(ap_NS)} | flat(figures)


def flat(figures: Mapping[str, Estimate]) -> Row:
    """Return estimates as columns; JSON knows no NaN."""
    return {
        f"{name}{part}": None if isnan(number) else number
        for name, each in figures.items()
        for part, number in (("", each.value), ("_low", each.low), ("_high", each.high))
    }


def bar(row: Row) -> Bar:
    """Tell a row in words; no bar is set."""
    parts = []
    for name, words in WORDS.items():
        ends = [row[f"{name}{part}"] for part in ("", "_low", "_high")]
        if None not in ends:
            parts.append(f"{words} {shown(Estimate(*ends))}")
    took = f", {row['seconds']:.2g} s each" if row["seconds"] is not None else ""
    name = f"{row['number']}, {row['networks']} networks{took}"
    return Bar(name, NOTHING, ", ".join(parts), True)
