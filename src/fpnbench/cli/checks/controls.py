"""`what=controls`: whether a proxy sees fusion at all.

Pyramids whose order is known beforehand are trained with several evaluator seeds. On
scenes that can only be read through fusion, those that fuse must come above those that
fuse nothing, noise or another image; what must be above what stands in conf/mode/
check.yaml. A preset that puts its controls into another order measures something else,
and `mode=report` refuses tables from it (`fpnbench.report.evidence`).

Beside each difference stands how far it spreads: over the seeds, and, where detections
are recorded, over other draws of the scored images and groups of them, the same draw
for all cells and seeds. A pair is held by its mean alone.
"""

from collections.abc import Iterable, Mapping, Sequence
from itertools import combinations, product
from math import isnan
from statistics import fmean, stdev
from typing import Any

import numpy as np
from omegaconf import DictConfig, OmegaConf
from rich.console import Console
from rich.progress import track
from rich.table import Table

from fpnbench.cli.build import build_evaluator
from fpnbench.cli.checks._shared import (
    NO_CONTEXT,
    Measured,
    Wanted,
    describe,
    only_scores,
    plain,
    read_cells,
    read_different,
    read_value,
    train_all,
)
from fpnbench.cli.checks.noise import GROUPS, IMAGES, Draws, drawn_units, resample
from fpnbench.graph.errors import UserError
from fpnbench.graph.score import Score
from fpnbench.report.bar import Bar, Findings
from fpnbench.search.reward import average_precision
from fpnbench.train.proxy import ProxyTrainer

BAR = "mean difference > 0"
APS = ("ap", "ap50", "ap_s", "ap_m", "ap_l")
SPREADS = (f"by_{IMAGES}", f"by_{GROUPS}")
UNRECORDED = (
    "no detections are recorded, so nothing is said of other draws of the images: "
    "evaluator.records=true records them, and trains again what the store has without"
)
Found = Mapping[str, Sequence[Score]]
"""Scores of every cell, in the order of the seeds."""
Drawn = Mapping[str, Mapping[str, Draws]]
"""AP of a cell on other draws of images or groups, by seed, (S, R): first by units."""


def run(cfg: DictConfig) -> Findings:
    """Train every cell with every seed and hold its AP against the known orders.

    Raises:
        UserError: the evaluator trains nothing; `controls.cells` or `controls.seeds`
            are not as they must be, or hold nothing to compare.
    """
    cells = read_different(cfg, "controls.cells", str)
    seeds = read_different(cfg, "controls.seeds", int)
    context = str(OmegaConf.select(cfg, "data.context", default=NO_CONTEXT))
    key = f"controls.orders.{context}"
    if OmegaConf.select(cfg, key) is None:
        key = f"controls.orders.{NO_CONTEXT}"
    groups = read_value(cfg, key, list[list[str]], "groups of cells, a list of lists")
    wanted = pairs(groups, cells)
    if not wanted:
        raise UserError(f"controls.cells={cells}: none of them must be above another")
    evaluator = build_evaluator(cfg)
    if not isinstance(evaluator, ProxyTrainer):
        raise UserError("what=controls trains networks: evaluator=proxy is needed")
    console = Console()
    copies = dict.fromkeys(cells, int(cfg.repeats))
    networks = read_cells(cfg, copies, evaluator, console)
    records: Wanted = "needed" if evaluator.records else "kept"
    trained = train_all(cfg, evaluator, networks, seeds, console, records=records)
    found = only_scores(trained)
    drawn = draw_again(evaluator, trained, cfg.controls.resamples, console)
    beside = [cell for cell in found if not any(cell in pair for pair in wanted)]
    _show(found, console)
    if beside:
        told = f"measured beside the pairs, in none of them: {', '.join(beside)}"
        console.print(told, highlight=False)
    if not drawn:
        console.print(UNRECORDED, highlight=False)
    compared = [compare(better, worse, found, drawn) for better, worse in wanted]
    counts = {each.name: each.count for each in drawn_units(evaluator)}
    bars = [hold(row, counts) for row in compared]
    about = {
        **describe(cfg, evaluator),
        "repeats": cfg.repeats,
        "failed": [bar.name for bar in bars if not bar.held],
        "pairs": plain(compared),
        "drawn": {name: counts[name] for name in drawn},
        "beside": beside,
    }
    return Findings(bars, about, plain(rows(found, seeds, drawn)))


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


def draw_again(
    evaluator: ProxyTrainer,
    trained: Mapping[str, Sequence[Measured]],
    resamples: int,
    console: Console,
) -> Drawn:
    """Return the APs of all cells that have records of every seed, on the same draws.

    By images and, where there are any, groups; nothing without a recorded cell.
    """
    recorded = {
        cell: records
        for cell, own in trained.items()
        if len(records := [each for _, each in own if each]) == len(own)
    }
    if not recorded:
        return {}
    drawn: dict[str, dict[str, Draws]] = {}
    jobs = list(product(drawn_units(evaluator), recorded))
    for units, cell in track(jobs, "images drawn again", console=console):
        (own,) = resample([recorded[cell]], units, resamples)  # the same for all cells
        drawn.setdefault(units.name, {})[cell] = own
    return drawn


def compare(better: str, worse: str, found: Found, drawn: Drawn) -> dict[str, Any]:
    """Return the mean of the paired differences of two cells, and how far it spreads.

    `error` is its standard error over seeds, `by_images` and `by_groups` its standard
    deviation over other draws; each NaN where it is not known.
    """
    row = dict.fromkeys(("difference", "error", *SPREADS), float("nan"))
    told: dict[str, Any] = {"better": better, "worse": worse, **row}
    if better not in found or worse not in found:
        return told | {"absent": [c for c in (better, worse) if c not in found]}
    gaps = [
        average_precision(a) - average_precision(b)
        for a, b in zip(found[better], found[worse], strict=True)
    ]
    told["difference"] = fmean(gaps)
    if len(gaps) > 1:
        told["error"] = stdev(gaps) / len(gaps) ** 0.5
    for name, draws in drawn.items():
        if better in draws and worse in draws:
            means = (draws[better] - draws[worse]).mean(0)  # (R,)
            told[f"by_{name}"] = float(np.nanstd(means, ddof=1))
    return told | {"absent": []}


def hold(compared: Mapping[str, Any], counts: Mapping[str, int]) -> Bar:
    """Hold a mean difference against zero, and tell how far it spreads.

    Args:
        compared: as `compare` returns it.
        counts: of the units that were drawn, by name; few of them tell little.
    """
    name = f"{compared['better']} > {compared['worse']}"
    if absent := compared["absent"]:
        return Bar(name, BAR, f"not measured: {', '.join(absent)}", False)
    mean, error = compared["difference"], compared["error"]
    told = "one seed" if isnan(error) else f"standard error {error:.4f}"
    spreads = [
        f"{compared[f'by_{name}']:.4f} by {count} {name}"
        for name, count in counts.items()
        if not isnan(compared[f"by_{name}"])
    ]
    told += f", sd {', '.join(spreads)}" * bool(spreads)
    return Bar(name, BAR, f"{mean:+.4f}, {told}", mean > 0)


def rows(found: Found, seeds: Sequence[int], drawn: Drawn) -> list[dict[str, Any]]:
    """Return a row for every cell and seed; AP by size is None without such objects.

    `by_images` and `by_groups`: standard deviation of that AP over other draws, NaN
    where no detections are recorded.
    """
    return [
        {
            "cell": cell,
            "seed": seed,
            **{name: getattr(score, name) for name in APS},
            "macs": score.macs,
            "seconds": score.cost_s,
            "train_gmacs": score.train_gmacs,
            **dict.fromkeys(SPREADS, float("nan")),
            **{
                f"by_{name}": float(np.nanstd(draws[cell][place], ddof=1))
                for name, draws in drawn.items()
                if cell in draws
            },
        }
        for cell, scores in found.items()
        for place, (seed, score) in enumerate(zip(seeds, scores, strict=True))
    ]


def _show(found: Found, console: Console) -> None:
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
    console.print(table)


def _mean(scores: Sequence[Score], name: str) -> float | None:
    values = [getattr(score, name) for score in scores]
    return None if None in values else fmean(values)
