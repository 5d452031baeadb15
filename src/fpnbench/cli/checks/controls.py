"""`what=controls`: whether a proxy sees fusion at all.

Pyramids whose order is known beforehand are trained with several evaluator seeds. On
scenes that can only be read through fusion, those that fuse must come above those that
fuse nothing, noise or another image; what must be above what stands in conf/mode/
check.yaml. A preset that puts its controls into another order measures something else,
and `mode=report` refuses tables from it (`fpnbench.report.evidence`).
"""

from collections.abc import Iterable, Mapping, Sequence
from itertools import combinations, product
from statistics import fmean, stdev
from typing import Any, cast

from omegaconf import DictConfig, OmegaConf
from rich.console import Console
from rich.progress import track
from rich.table import Table

from fpnbench.cli.build import build_evaluator, load_cell
from fpnbench.cli.store import measured, open_store
from fpnbench.cli.values import fits, noun
from fpnbench.graph.errors import UserError
from fpnbench.graph.genotype import Genotype
from fpnbench.graph.protocols import EvaluationError
from fpnbench.graph.score import Score
from fpnbench.report.bar import Bar, Findings
from fpnbench.search.feasible import what_is_read
from fpnbench.search.reward import average_precision
from fpnbench.train.proxy import ProxyTrainer

PLAIN = "none"
"""The context of data that know none."""
BAR = "mean difference > 0"
APS = ("ap", "ap50", "ap_s", "ap_m", "ap_l")
Found = Mapping[str, Sequence[Score]]
"""Scores of every cell, in the order of the seeds."""


def run(cfg: DictConfig) -> Findings:
    """Train every cell with every seed and hold its AP against the known orders.

    Raises:
        UserError: the evaluator trains nothing; `controls.cells` or `controls.seeds`
            are not as they must be, or hold nothing to compare.
    """
    cells, seeds = _listed(cfg, "cells", str), _listed(cfg, "seeds", int)
    context = str(OmegaConf.select(cfg, "data.context", default=PLAIN))
    orders = cfg.controls.orders
    wanted = pairs(orders.get(context, orders[PLAIN]), cells)
    if not wanted:
        raise UserError(f"controls.cells={cells}: none of them must be above another")
    evaluator = build_evaluator(cfg)
    if not isinstance(evaluator, ProxyTrainer):
        raise UserError("what=controls trains networks: evaluator=proxy is needed")
    found = train_cells(cfg, evaluator, cells, seeds)
    _show(found)
    bars = [hold(better, worse, found) for better, worse in wanted]
    about = {
        "data": str(cfg.data.name),
        "context": context,
        "benchmark": evaluator.benchmark,
        "epochs": evaluator.epochs,
        **{name: cfg[name] for name in ("image_px", "width", "repeats")},
        "failed": [bar.name for bar in bars if not bar.held],
    }
    return Findings(bars, about, rows(found, seeds))


def pairs(
    groups: Iterable[Iterable[str]], cells: Sequence[str]
) -> list[tuple[str, str]]:
    """Return (better, worse) of all cells asked for, each group above all after it."""
    return [
        (better, worse)
        for above, below in combinations(groups, 2)
        for better, worse in product(above, below)
        if better in cells and worse in cells
    ]


def train_cells(
    cfg: DictConfig,
    evaluator: ProxyTrainer,
    cells: Sequence[str],
    seeds: Sequence[int],
) -> dict[str, list[Score]]:
    """Return the scores of every cell by seed, from the store as far as they are there.

    A cell that cannot be scored, as it shares no level with the detector or its
    training fails, is named and left out; the rest goes on.

    Args:
        cfg: the configuration; `width` and `repeats` are those of all cells.
        evaluator: trains and scores.
        cells: of `conf/cell`, or paths.
        seeds: the evaluator's.

    Raises:
        UserError: there is no such cell.
    """
    console = Console()
    networks = _networks(cfg, evaluator, cells, console)
    store = open_store(cfg, evaluator, console.print)
    found: dict[str, list[Score]] = {cell: [] for cell in networks}
    jobs = list(product(networks, seeds))
    for cell, seed in track(jobs, "trainings", console=console):
        if cell not in found:
            continue
        network, epochs = networks[cell], evaluator.epochs
        try:
            score, _, _ = measured(evaluator, store, network, epochs, seed)
        except EvaluationError as error:
            console.print(f"{cell} is left out: seed {seed}: {error}", highlight=False)
            del found[cell]
            continue
        found[cell].append(score)
        told = f"{cell}, seed {seed}: AP {score.ap:.4f}, {score.cost_s:.0f} s"
        console.print(told, highlight=False)
    return found


def hold(better: str, worse: str, found: Found) -> Bar:
    """Hold the mean of the paired differences of two cells against zero."""
    name = f"{better} > {worse}"
    if absent := [cell for cell in (better, worse) if cell not in found]:
        return Bar(name, BAR, f"not measured: {', '.join(absent)}", False)
    gaps = [
        average_precision(a) - average_precision(b)
        for a, b in zip(found[better], found[worse], strict=True)
    ]
    mean, told = fmean(gaps), "one seed"
    if len(gaps) > 1:
        told = f"standard error {stdev(gaps) / len(gaps) ** 0.5:.4f}"
    return Bar(name, BAR, f"{mean:+.4f}, {told}", mean > 0)


def rows(found: Found, seeds: Sequence[int]) -> list[dict[str, Any]]:
    """Return a row for every cell and seed; AP by size is None without such objects."""
    return [
        {
            "cell": cell,
            "seed": seed,
            **{name: getattr(score, name) for name in APS},
            "macs": score.macs,
            "seconds": score.cost_s,
            "train_gmacs": score.train_gmacs,
        }
        for cell, scores in found.items()
        for seed, score in zip(seeds, scores, strict=True)
    ]


def _networks(
    cfg: DictConfig, evaluator: ProxyTrainer, cells: Sequence[str], console: Console
) -> dict[str, Genotype]:
    """Return what the evaluator reads of every cell that it can score."""
    networks = {}
    for cell in cells:
        genotype = load_cell(cast(DictConfig, OmegaConf.merge(cfg, {"cell": cell})))
        try:
            networks[cell] = what_is_read(genotype, evaluator)
        except UserError as error:
            console.print(f"{cell} is left out: {error}", highlight=False)
    return networks


def _listed(cfg: DictConfig, name: str, kind: type) -> list[Any]:
    """Return one list of the check's keys.

    Raises:
        UserError: it is none, empty, or names something twice.
    """
    values = OmegaConf.to_container(cfg.controls, resolve=True)[name]  # type: ignore[index, call-overload]
    if not fits(values, list[kind]) or not values or len({*values}) < len(values):  # type: ignore[valid-type]
        allowed = f"{noun(list[kind])}, each once"  # type: ignore[valid-type]
        raise UserError(f"controls.{name}={values}: it must be {allowed}")
    return list(values)


def _show(found: Found) -> None:
    """Print mean and standard deviation over seeds, the best cell first."""
    table = Table("cell", "AP", "sd", *APS[1:], "MMAC", "seconds", box=None)
    means = {cell: _mean(scores, "ap") for cell, scores in found.items()}
    for cell in sorted(found, key=lambda cell: -(means[cell] or 0.0)):
        aps = [average_precision(score) for score in found[cell]]
        sd = f"{stdev(aps):.4f}" if len(aps) > 1 else "–"
        others = [_mean(found[cell], name) for name in APS[1:]]
        table.add_row(
            cell,
            *(f"{fmean(aps):.4f}", sd),
            *("–" if value is None else f"{value:.4f}" for value in others),
            f"{found[cell][0].macs / 1e6:.1f}",
            f"{fmean(score.cost_s for score in found[cell]):.0f}",
        )
    Console().print(table)


def _mean(scores: Sequence[Score], name: str) -> float | None:
    values = [getattr(score, name) for score in scores]
    return None if None in values else fmean(values)
