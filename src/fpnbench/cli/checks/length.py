"""`what=length`: does a short training rank networks as a longer one does?

Networks of a space, as `what=signal` draws them, and pyramids of `conf/cell`, by
default the suite of `what=orders`, are trained at several multiples of the preset's
epochs. Each length's AP is compared with that of the longest; MACs, which cost nothing,
are the baseline to beat. Scores go through the store, so that a check that was stopped
goes on, and one with a further length trains that alone.
"""

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from functools import partial
from itertools import product
from typing import Any

import numpy as np
from numpy.typing import NDArray
from omegaconf import DictConfig
from rich.console import Console
from rich.table import Table

from fpnbench.cli.build import build_evaluator, build_space
from fpnbench.cli.checks._networks import draw
from fpnbench.cli.checks._shared import (
    describe,
    only_scores,
    plain,
    read_cells,
    read_different,
    read_value,
    train_all,
)
from fpnbench.cli.checks.signal import shown
from fpnbench.graph.canonical import digest
from fpnbench.graph.errors import UserError
from fpnbench.graph.genotype import Genotype
from fpnbench.graph.protocols import Evaluator, Space
from fpnbench.graph.score import Score
from fpnbench.report.bar import Bar, Findings
from fpnbench.report.statistics import Estimate, kendall, over_items

LEAST_NETWORKS = 3
BASELINE = "macs"
MEASURED = ("ap", "ap50", "loss")
"""Numbers of a score that may rank as the longest training's AP; the loss negated."""
ALL, CELLS = "all", "cells"
"""Parts of the networks: all of them, those of `length.cells`; one is the space's."""
Lengths = Mapping[int, Mapping[str, Sequence[Score]]]
"""Scores by epochs and network, in the order of the seeds."""
Figures = dict[str, dict[str, Estimate]]
"""Tau to the longest training's AP: by length, or `macs`, and by number."""


def run(cfg: DictConfig) -> Findings:
    """Train the networks at every length and compare each order with the longest's.

    Raises:
        UserError: keys are not as they must be, too few networks, or the evaluator
            tells no AP.
    """
    factors = sorted(read_different(cfg, "length.factors", int, 2))
    if factors[0] < 1:
        raise UserError(f"length.factors={factors}: times the epochs, from 1 on")
    seeds = read_different(cfg, "length.seeds", int)
    space, evaluator, console = build_space(cfg), build_evaluator(cfg), Console()
    parts = read_networks(cfg, space, evaluator, console)
    networks = {name: each for own in parts.values() for name, each in own.items()}
    found = {}
    for epochs in (factor * evaluator.epochs for factor in factors):
        console.print(f"{epochs} epochs", highlight=False)
        trained = train_all(cfg, evaluator, networks, seeds, console, epochs=epochs)
        found[epochs] = only_scores(trained)
        networks = {name: networks[name] for name in trained}
    if len(networks) < LEAST_NETWORKS:
        raise UserError(f"what=length ranks: {len(networks)} networks could be scored")
    if any(score.ap is None for own in found[epochs].values() for score in own):
        raise UserError("what=length ranks by AP, which this evaluator does not tell")
    groups = {ALL: list(networks)} | {
        part: [name for name in own if name in networks] for part, own in parts.items()
    }
    told = {
        part: figures(found, names, cfg.length.resamples)
        for part, names in groups.items()
        if len(names) >= LEAST_NETWORKS
    }
    show(told, {part: len(names) for part, names in groups.items()}, console)
    bars = hold(told[ALL], len(networks), cfg.length.least_tau)
    passed = [epochs for epochs, bar in zip(found, bars, strict=False) if bar.held]
    about = {
        **describe(cfg, evaluator),
        **{"space": space.name, "repeats": cfg.repeats, "search_seed": cfg.seed},
        **{"lengths": list(found), "seeds": seeds, "networks": len(networks)},
        "shortest": passed[0] if passed else None,
        "figures": {
            part: {
                length: {name: plain(asdict(value)) for name, value in each.items()}
                for length, each in own.items()
            }
            for part, own in told.items()
        },
    }
    return Findings(bars, about, rows(groups, networks, found, seeds))


def read_networks(
    cfg: DictConfig, space: Space, evaluator: Evaluator, console: Console
) -> dict[str, dict[str, Genotype]]:
    """Return the networks to be trained by part and name: the space's, and cells.

    A network of the space that is one of the cells, too, is trained once.
    """
    copies = read_value(cfg, "length.cells", dict[str, int] | None) or {}
    if wrong := {name: count for name, count in copies.items() if count < 1}:
        raise UserError(f"length.cells={wrong}: copies are from 1 on")
    count = int(cfg.length.networks)
    drawn = []
    if count:
        drawn = draw(space, evaluator, cfg.seed, count, "length.networks")
    return {
        space.name: {f"{space.name} {each.number}": each.genotype for each in drawn},
        CELLS: read_cells(cfg, copies, evaluator, console),
    }


def figures(found: Lengths, names: Sequence[str], resamples: int) -> Figures:
    """Return how every length, and MACs, rank these networks' AP of the longest."""
    longest = max(found)
    bootstrap = partial(over_items, kendall, resamples=resamples)
    best = means(found[longest], names, "ap")
    told: Figures = {}
    for epochs in sorted(found)[:-1]:
        columns = {name: means(found[epochs], names, name) for name in MEASURED}
        told[str(epochs)] = {
            name: bootstrap(values, best)
            for name, values in columns.items()
            if not np.isnan(values).any()
        }
    told[BASELINE] = {BASELINE: bootstrap(means(found[longest], names, "macs"), best)}
    return told


def means(
    found: Mapping[str, Sequence[Score]], names: Sequence[str], number: str
) -> NDArray[np.float64]:
    """Return a number of each network, mean over seeds, more is better; NaN: not told.

    What some networks tell and others do not (AP of large objects) is NaN for those.
    """
    sign = -1 if number == "loss" else 1
    return np.array(
        [
            sign * np.array([getattr(s, number) for s in found[name]], float).mean()
            for name in names
        ]
    )


def hold(told: Figures, networks: int, least: float) -> list[Bar]:
    """Hold the order of every length but the longest, the shortest first."""
    macs = told[BASELINE][BASELINE]
    bar = f"lower end > {least:g}, tau > {macs.value:.2f} of MACs"
    bars = []
    for epochs, own in told.items():
        if epochs != BASELINE:
            tau = own["ap"]
            held = tau.low > least and not tau.value <= macs.value
            name = f"{epochs} epochs, {networks} networks: tau of AP to the longest's"
            bars.append(Bar(name, bar, shown(tau), held))
    return bars


def show(
    told: Mapping[str, Figures], counts: Mapping[str, int], console: Console
) -> None:
    """Print all figures, a line each."""
    table = Table("networks", "epochs", "number", "tau to the longest's AP", box=None)
    for part, own in told.items():
        for length, each in own.items():
            for name, value in each.items():
                epochs = "" if length == BASELINE else length
                number = "-loss" if name == "loss" else name
                table.add_row(f"{part} ({counts[part]})", epochs, number, shown(value))
    console.print(table)


def rows(
    groups: Mapping[str, Sequence[str]],
    networks: Mapping[str, Genotype],
    found: Lengths,
    seeds: Sequence[int],
) -> list[dict[str, Any]]:
    """Return a row for every network, length and seed."""
    parts = {name: part for part, own in groups.items() for name in own}  # all: first
    return [
        {
            **{"part": parts[name], "name": name, "key": digest(networks[name])},
            **{"epochs": epochs, "seed": seed},
            **{number: getattr(score, number) for number in MEASURED},
            **{"macs": score.macs, "params": score.params},
            **{"cost_s": score.cost_s, "train_gmacs": score.train_gmacs},
        }
        for name, epochs in product(networks, found)
        for seed, score in zip(seeds, found[epochs][name], strict=True)
    ]
