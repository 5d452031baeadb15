# ruff: noqa: N803
"""`what=noise`: how far one AP, and the difference of two, are to be trusted.

Two sources: the training seed, and the few images that score a network. Every cell is
trained once a seed; images are drawn again from the records, without a training, the
same draw for all networks (paired).
"""

from collections.abc import Sequence
from itertools import combinations
from statistics import fmean
from typing import cast

import numpy as np
from numpy.typing import NDArray
from omegaconf import DictConfig, OmegaConf
from rich.console import Console
from rich.progress import track

from fpnbench.cli.build import build_evaluator, load_cell
from fpnbench.cli.store import measured, open_store
from fpnbench.graph.canonical import canonical
from fpnbench.graph.errors import UserError
from fpnbench.report.bar import Bar
from fpnbench.report.statistics import icc
from fpnbench.train.proxy import ProxyTrainer
from fpnbench.train.records import Records, WeightedAP, resampled

NOTHING = "none stated"
Draws = NDArray[np.float64]
"""AP by cell, seed and resample of the images, (C, S, R)."""


def run(cfg: DictConfig) -> list[Bar]:
    """Train every cell with every seed and say what spreads their AP; no bar is set.

    Raises:
        UserError: the evaluator trains nothing, or too few cells or seeds.
    """
    cells, seeds = list(cfg.noise.cells), list(cfg.noise.seeds)
    if len(cells) < 2 or len(seeds) < 2:
        raise UserError(
            f"noise.cells={cells} and noise.seeds={seeds}: two of each are needed"
        )
    aps, records = train_all(cfg, cells, seeds)
    draws = resample(records, cfg.noise.resamples)
    bars = [told(f"AP of {cell}", row) for cell, row in zip(cells, aps, strict=True)]
    bars += [spread("one AP", aps, draws)]
    for (a, first), (b, second) in combinations(enumerate(cells), 2):
        difference = aps[a] - aps[b], draws[a] - draws[b]
        name = f"{first} - {second} ({difference[0].mean():+.4f})"
        bars.append(spread(name, *(values[None] for values in difference)))
    share = icc(aps.tolist())
    found = f"{share.value:.2f} [{share.low:.2f}, {share.high:.2f}]"
    return [*bars, Bar("ICC of cells over seeds", NOTHING, found, True)]


def train_all(
    cfg: DictConfig, cells: Sequence[str], seeds: Sequence[int]
) -> tuple[Draws, list[list[Records]]]:
    """Return the AP of every cell and seed, (C, S), and the records behind it."""
    evaluator = build_evaluator(cfg)
    if not isinstance(evaluator, ProxyTrainer):
        raise UserError("what=noise trains networks: evaluator=proxy is needed")
    console = Console()
    store = open_store(cfg, evaluator, console.print)
    aps, records = [], []
    for cell in cells:
        genotype = load_cell(cast(DictConfig, OmegaConf.merge(cfg, {"cell": cell})))
        genotype = canonical(genotype.restrict(evaluator.levels))
        rows = [
            measured(evaluator, store, genotype, evaluator.epochs, seed)
            for seed in track(seeds, cell, console=console)
        ]
        aps.append([score.ap for score, _, _ in rows])
        records.append([found for _, found, _ in rows])
    return np.array(aps), records


def resample(records: Sequence[Sequence[Records]], count: int) -> Draws:
    """Return the AP of every cell and seed on the same draws of the images."""
    rng = np.random.default_rng(0)
    images = len(records[0][0].objects_IK)
    weights = [resampled(images, rng) for _ in range(count)]
    return np.array(
        [
            [[judge(weight) for weight in weights] for judge in map(WeightedAP, row)]
            for row in records
        ]
    )


def spread(name: str, aps_CS: Draws, draws_CSR: Draws) -> Bar:
    """Say how far a number spreads by seed, by images and by both together.

    `both` draws a seed and the images at once.
    """
    seed = fmean(np.var(aps_CS, 1, ddof=1)) ** 0.5
    images = fmean(np.var(draws_CSR, 2, ddof=1).ravel()) ** 0.5
    both = fmean(np.var(draws_CSR.reshape(len(draws_CSR), -1), 1, ddof=1)) ** 0.5
    found = f"sd {seed:.4f} by seed, {images:.4f} by images, {both:.4f} by both"
    return Bar(name, NOTHING, found, True)


def told(name: str, aps_S: Draws) -> Bar:
    """Tell the mean and every seed's AP."""
    each = " ".join(f"{ap:.4f}" for ap in aps_S)
    return Bar(name, NOTHING, f"{aps_S.mean():.4f} ({each})", True)
