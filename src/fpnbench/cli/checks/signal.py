# ruff: noqa: N803
"""`what=signal`: how far a single score ranks the networks of a space.

Networks that random search would draw are trained with several evaluator seeds, and
their scores are shared with it through the store. Beside AP stand what else a training
tells (AP50, held-out loss) and what is known without one (MACs, parameters, depth,
nodes): a proxy that ranks no better than MACs is not worth its time.
"""

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from functools import partial
from math import isnan
from typing import Any

import numpy as np
from numpy.typing import NDArray
from omegaconf import DictConfig
from rich.console import Console
from rich.progress import track
from rich.table import Table

from fpnbench.cli.build import build_evaluator, build_space
from fpnbench.cli.checks._networks import KNOWN, Drawn, draw, known
from fpnbench.cli.checks._shared import describe, plain, read_different
from fpnbench.cli.store import open_store, scored
from fpnbench.graph.errors import UserError
from fpnbench.graph.protocols import EvaluationError, Evaluator
from fpnbench.graph.score import Score
from fpnbench.report.bar import Bar, Findings
from fpnbench.report.statistics import (
    Estimate,
    explained,
    icc,
    icc_value,
    icc_without,
    kendall,
    over_items,
    partial_tau,
    tau_across,
)

KEY = "signal.networks"
TRAINED = ("ap", "ap50", "loss")
"""Numbers of a network that a training tells."""
Values = NDArray[np.float64]
"""A number of the networks by network and evaluator seed, (N, S)."""
Figures = dict[str, dict[str, Estimate]]
WORDS = {
    "icc": "ICC(1) over seeds",
    "icc_drawn": "ICC(1), networks drawn again",
    "tau": "tau between seeds",
    "tau_better_half": "tau between seeds, better half",
    "tau_given_macs": "tau between seeds, given MACs",
    "ap": "tau to the AP of another seed",
    "ap_better_half": "tau to the AP of another seed, better half",
    "mean_ap": "tau of means to AP",
    "explained": "share of the mean AP's variance",
}
"""What `figures` finds, as it is printed."""


def run(cfg: DictConfig) -> Findings:
    """Score the networks with every seed and say how far their order repeats itself.

    Raises:
        UserError: too few networks or seeds, a space that has not as many, or an
            evaluator that tells no AP.
    """
    seeds = read_different(cfg, "signal.seeds", int, 2)
    space, evaluator = build_space(cfg), build_evaluator(cfg)
    networks = draw(space, evaluator, cfg.seed, cfg.signal.networks, KEY)
    found = score_all(cfg, evaluator, networks, seeds)
    if len(found) < 3:
        raise UserError(f"only {len(found)} networks of {space.name} could be scored")
    tables = tabulate(found)
    if "ap" not in tables:
        raise UserError("what=signal ranks by AP, which this evaluator does not tell")
    measured = figures(tables, cfg.signal.resamples)
    without = leave_out([network.key for network, _ in found], tables["ap"])
    about = {
        **describe(cfg, evaluator),
        **{"space": space.name, "repeats": cfg.repeats},
        "search_seed": cfg.seed,
        **{"seeds": seeds, "networks": len(found)},
        "figures": {
            name: {figure: plain(asdict(value)) for figure, value in each.items()}
            for name, each in measured.items()
        },
        "icc_without": plain(without),
    }
    show(measured)
    name = f"{space.name}, {len(found)} networks: ICC of AP"
    bar = hold(name, measured["ap"], without, cfg.signal.least_icc)
    return Findings([bar], about, rows(found, seeds))


def score_all(
    cfg: DictConfig,
    evaluator: Evaluator,
    networks: Sequence[Drawn],
    seeds: Sequence[int],
) -> list[tuple[Drawn, list[Score]]]:
    """Score network by network, every seed; one that cannot be trained is left out."""
    console = Console()
    store = open_store(cfg, evaluator, console.print)
    found = []
    for network in track(networks, "networks", console=console):
        try:
            scores = [
                scored(evaluator, store, network.genotype, evaluator.epochs, seed)
                for seed in seeds
            ]
        except EvaluationError as error:
            console.print(f"network {network.key} is left out: {error}")
            continue
        found.append((network, scores))
        aps = " ".join(f"{score.ap or 0:.4f}" for score in scores)
        console.print(f"{len(found)} {network.key} AP {aps}", highlight=False)
    return found


def tabulate(found: Sequence[tuple[Drawn, Sequence[Score]]]) -> Mapping[str, Values]:
    """Return every number by network and seed, the loss negated: more is better.

    What some score lacks (AP50 of the toy evaluator) is left out.
    """
    tables = {}
    for name in TRAINED:
        values = [[getattr(score, name) for score in scores] for _, scores in found]
        if all(value is not None for row in values for value in row):
            tables[name] = np.array(values, float) * (-1 if name == "loss" else 1)
    for name in KNOWN:
        column = [[known(network, scores[0])[name]] for network, scores in found]
        tables[name] = np.repeat(np.array(column, float), len(found[0][1]), 1)
    return tables


def figures(tables: Mapping[str, Values], resamples: int) -> Figures:
    """Return all figures by number; intervals are over networks.

    `icc` (`icc_drawn`: with a bootstrap in place of its F interval) and `tau` say how
    far a number repeats itself, `tau_better_half` likewise where networks are good;
    `ap`, `ap_better_half` how well one of it ranks the AP of another training,
    `mean_ap` how well its mean ranks the mean AP, `explained` what share of the mean
    AP's variance lies on a straight line over it.
    """
    bootstrap = partial(over_items, resamples=resamples)
    half = partial(tau_across, half=True)
    ap, found = tables["ap"], {}
    for name, table in tables.items():
        one: dict[str, Estimate] = {}
        if name in TRAINED:
            one["icc"] = icc(table.tolist())
            one["icc_drawn"] = bootstrap(icc_value, table)
            one["tau"] = bootstrap(tau_across, table, table)
            one["tau_better_half"] = bootstrap(half, table, table)
        if name != "ap":
            means = table.mean(1), ap.mean(1)
            one["ap"] = bootstrap(tau_across, table, ap)
            one["ap_better_half"] = bootstrap(half, table, ap)
            one["mean_ap"] = bootstrap(kendall, *means)
            one["explained"] = bootstrap(explained, *means)
        found[name] = one
    found["ap"]["tau_given_macs"] = bootstrap(across_given, ap, tables["macs"][:, 0])
    return found


def leave_out(keys: Sequence[str], ap_NS: Values) -> list[tuple[float, str]]:
    """Return the least and the highest ICC of AP with one network left out, and whose.

    An ICC that hangs on one network says little of the others.
    """
    shares = np.nan_to_num(icc_without(ap_NS)).tolist()
    ordered = sorted(zip(shares, keys, strict=True))
    return [ordered[0], ordered[-1]]


def across_given(ap_NS: Values, macs_N: Values) -> float:
    """Return the mean tau between two seeds that MACs do not explain."""
    seeds = range(ap_NS.shape[1])
    return float(
        np.mean(
            [
                partial_tau(ap_NS[:, a], ap_NS[:, b], macs_N)
                for a in seeds
                for b in seeds[:a]
            ]
        )
    )


def hold(
    name: str,
    measured: Mapping[str, Estimate],
    without: Sequence[tuple[float, str]],
    least: float,
) -> Bar:
    """Hold the ICC of AP against its bar: usable for search. The rest is told."""
    share = measured["icc"]
    ends = " to ".join(f"{value:.2f} (without {key})" for value, key in without)
    drawn = f"networks drawn again {shown(measured['icc_drawn'])}"
    told = f"{shown(share)}; {drawn}; one left out {ends}"
    return Bar(name, f"lower end >= {least}", told, share.low >= least)


def show(measured: Figures) -> None:
    """Print all figures, a line each."""
    table = Table("number", "figure", "95 % over networks", box=None)
    for name, each in measured.items():
        for figure, value in each.items():
            number = "-loss" if name == "loss" else name
            table.add_row(number, WORDS[figure], shown(value))
    Console().print(table)


def shown(value: Estimate) -> str:
    """Write an estimate for people."""
    if isnan(value.value):
        return "none"
    return f"{value.value:.2f} [{value.low:.2f}, {value.high:.2f}]"


def rows(
    found: Sequence[tuple[Drawn, Sequence[Score]]], seeds: Sequence[int]
) -> list[dict[str, Any]]:
    """Return a row for every network and seed."""
    return [
        {
            "number": network.number,
            "key": network.key,
            "choices": " ".join(map(str, network.choices)),
            "seed": seed,
            **{name: getattr(score, name) for name in TRAINED},
            **{name: getattr(score, name) for name in ("ap_s", "ap_m", "ap_l")},
            **known(network, score),
            "cost_s": score.cost_s,
            "train_gmacs": score.train_gmacs,
        }
        for network, scores in found
        for seed, score in zip(seeds, scores, strict=True)
    ]
