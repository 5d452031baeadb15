# ruff: noqa: N803, N806
"""`what=noise`: how far one AP, and the difference of two, are to be trusted.

Three sources: the training seed, the few images that score a network, and, where images
come in groups, the few groups. Every cell is trained once a seed; images and groups are
drawn again from the records, without a training, the same draw for all networks
(paired).
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations
from math import ceil
from statistics import fmean
from typing import Any

import numpy as np
from numpy.typing import NDArray
from omegaconf import DictConfig
from rich.console import Console

from fpnbench.cli.build import build_evaluator
from fpnbench.cli.checks._shared import read_cells, read_different, train_all
from fpnbench.graph.errors import UserError
from fpnbench.report.bar import Bar, Findings
from fpnbench.report.statistics import icc
from fpnbench.search.reward import average_precision
from fpnbench.train.data import Record
from fpnbench.train.proxy import ProxyTrainer
from fpnbench.train.records import Records, WeightedAP, resampled_groups

NOTHING = "none stated"
ONE = "one AP"
IMAGES, GROUPS = "images", "groups"
Draws = NDArray[np.float64]
"""AP by cell, seed and resample, (C, S, R)."""


@dataclass(frozen=True, slots=True)
class Units:
    """What is drawn anew: images, or whole groups of them.

    Attributes:
        name: in the plural.
        of_image: unit of each scored image, 0..n-1, (I,).
        in_train: how many there are in all of train, which folds would score.
    """

    name: str
    of_image: NDArray[np.int64]
    in_train: int

    @property
    def count(self) -> int:
        """How many are scored."""
        return int(self.of_image.max()) + 1


def run(cfg: DictConfig) -> Findings:
    """Train every cell with every seed and say what spreads their AP; no bar is set.

    Raises:
        UserError: the evaluator trains nothing, or too few cells or seeds.
    """
    cells = read_different(cfg, "noise.cells", str, 2)
    seeds = read_different(cfg, "noise.seeds", int, 2)
    evaluator = build_evaluator(cfg)
    if not isinstance(evaluator, ProxyTrainer):
        raise UserError("what=noise trains networks: evaluator=proxy is needed")
    console, copies = Console(), dict.fromkeys(cells, int(cfg.repeats))
    networks = read_cells(cfg, copies, evaluator, console)
    found = train_all(cfg, evaluator, networks, seeds, console, records="needed")
    if len(cells := list(found)) < 2:
        raise UserError(f"what=noise compares cells: {len(cells)} could be scored")
    aps = np.array(
        [[average_precision(score) for score, _ in own] for own in found.values()]
    )
    records = [[each for _, each in own if each] for own in found.values()]
    units = drawn_units(evaluator)
    draws = {each.name: resample(records, each, cfg.noise.resamples) for each in units}
    rows = [row(ONE, aps, draws, units)]
    for (a, first), (b, second) in combinations(enumerate(cells), 2):
        other = {name: (values[a] - values[b])[None] for name, values in draws.items()}
        name = f"{first} - {second}"
        rows.append(row(name, (aps[a] - aps[b])[None], other, units))
    bars = [told(f"AP of {cell}", own) for cell, own in zip(cells, aps, strict=True)]
    bars += [bar for each in rows for bar in spread(each, units)]
    share = icc(aps.tolist())
    told_icc = f"{share.value:.2f} [{share.low:.2f}, {share.high:.2f}]"
    about = {
        **{"benchmark": evaluator.benchmark, "epochs": evaluator.epochs},
        **{"evaluator_seeds": seeds, "resamples": cfg.noise.resamples},
        "aps": dict(zip(cells, aps.tolist(), strict=True)),
    }
    bars.append(Bar("ICC of cells over seeds", NOTHING, told_icc, True))
    return Findings(bars, about, rows)


def drawn_units(evaluator: ProxyTrainer) -> list[Units]:
    """Return images and, where some have more than one, groups of the scored images.

    In the order of the records: that of the scored sides, fold after fold.
    """
    scored = [record for _, side in evaluator.sides for record in side.records]
    train = {
        record.image_id: record
        for side in evaluator.sides[0]
        for record in side.records
    }
    units = [Units(IMAGES, np.arange(len(scored)), len(train))]
    names, of_image = np.unique(_groups(scored), return_inverse=True)
    if len(names) < len(scored):
        units.append(Units(GROUPS, of_image, len(set(_groups(train.values())))))
    return units


def resample(records: Sequence[Sequence[Records]], units: Units, count: int) -> Draws:
    """Return the AP of every cell and seed on the same draws of the units."""
    rng = np.random.default_rng(0)
    weights = [resampled_groups(units.of_image, rng) for _ in range(count)]
    return np.array(
        [
            [[judge(weight) for weight in weights] for judge in map(WeightedAP, own)]
            for own in records
        ]
    )


def row(
    name: str, aps_CS: Draws, draws: Mapping[str, Draws], units: Sequence[Units]
) -> dict[str, Any]:
    """Return how far a number spreads: standard deviations by seed and by each unit.

    `both` draws a seed and the units at once. `needed` is how many units make their
    part smaller than the seed's, `in_train` how many folds would score, `by_folds` the
    part that is then left: a standard deviation falls with the root of the number. With
    few groups the bootstrap over them tells little, and too small a number.
    """
    seed = fmean(np.var(aps_CS, 1, ddof=1)) ** 0.5
    found = {"what": name, "mean": float(aps_CS.mean()), "by_seed": seed}
    for each in units:
        draws_CSR = draws[each.name]
        part = fmean(np.nanvar(draws_CSR, 2, ddof=1).ravel()) ** 0.5
        flat_CR = draws_CSR.reshape(len(draws_CSR), -1)
        found |= {
            each.name: each.count,
            f"by_{each.name}": part,
            f"both_{each.name}": fmean(np.nanvar(flat_CR, 1, ddof=1)) ** 0.5,
            f"{each.name}_needed": ceil(each.count * (part / seed) ** 2)
            if seed
            else None,
            f"{each.name}_in_train": each.in_train,
            f"by_{each.name}_folds": part * (each.count / each.in_train) ** 0.5,
        }
    return found


def spread(own: Mapping[str, Any], units: Sequence[Units]) -> list[Bar]:
    """Tell a row in words: what spreads the number, and what it would take."""
    parts, takes = [f"sd {own['by_seed']:.4f} by seed"], []
    for unit in (each.name for each in units):
        count, needed, every = (own[unit + end] for end in ("", "_needed", "_in_train"))
        both, left = own[f"both_{unit}"], own[f"by_{unit}_folds"]
        parts.append(
            f"{own[f'by_{unit}']:.4f} by {count} {unit} ({both:.4f} with seeds)"
        )
        takes.append(f"{'no number of' if needed is None else needed} {unit}")
        if every > count:
            folds = max(2, round(every / count))
            takes[-1] += f" (folds={folds}, {folds} x the cost: {every}, sd {left:.4f})"
    name = ONE if own["what"] == ONE else f"{own['what']} ({own['mean']:+.4f})"
    return [
        Bar(name, NOTHING, ", ".join(parts), True),
        Bar("  seeds weigh more from", NOTHING, "; ".join(takes), True),
    ]


def told(name: str, aps_S: Draws) -> Bar:
    """Tell the mean and every seed's AP."""
    each = " ".join(f"{ap:.4f}" for ap in aps_S)
    return Bar(name, NOTHING, f"{aps_S.mean():.4f} ({each})", True)


def _groups(records: Iterable[Record]) -> list[str]:
    return [record.group for record in records]
