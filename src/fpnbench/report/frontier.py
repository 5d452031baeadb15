"""AP against cost: what can be had for so many MACs, and the area below it."""

from collections.abc import Sequence

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray

from fpnbench.report.matrix import spread
from fpnbench.report.runs import Group, Run, evaluations, groups

COSTS = ("macs", "latency_ms")
SHARES = (0.25, 0.5, 0.75)
"""Where AP at matched cost is read: these quantiles of the costs of all networks."""
BEYOND = 0.1
"""How far the last limit of cost lies beyond the dearest network, of the range."""


def points(runs: Sequence[Run]) -> pd.DataFrame:
    """Return a row for each network of each run and each cost that is known of it.

    Columns: group, `seed`, `key`, `cost` (its name), `value`, `ap` (of the search; mean
    over the trainings of one network), `frontier` and `pooled`: whether no network of
    the run, and of the runs of the group, has more AP for as little.
    """
    parts = []
    for group, alike in groups(runs).items():
        for run in alike:
            known = evaluations(run.trials).groupby("key", sort=False)
            table = known[["ap", *COSTS]].mean().reset_index()
            long = table.melt(["key", "ap"], COSTS, "cost").dropna()
            parts.append(long.assign(**group._asdict(), seed=run.summary["seed"]))
    found = pd.concat(parts, ignore_index=True)
    by = [*Group._fields, "cost"]
    for name, each in (("frontier", [*by, "seed"]), ("pooled", by)):
        found[name] = False
        for _, rows in found.groupby(each):
            found.loc[rows.index, name] = non_dominated(rows["value"], rows["ap"])
    return found[
        [*Group._fields, "seed", "cost", "key", "value", "ap", "frontier", "pooled"]
    ]


def non_dominated(costs: ArrayLike, aps: ArrayLike) -> NDArray[np.bool_]:
    """Return which points have more AP than all that cost at most as much.

    Of equal points the first.
    """
    cost, ap = np.asarray(costs, float), np.asarray(aps, float)
    order = np.lexsort((-ap, cost))
    before = np.maximum.accumulate(np.append(-np.inf, ap[order]))[:-1]
    kept = np.zeros(len(ap), bool)
    kept[order] = ap[order] > before
    return kept


def attained(costs: ArrayLike, aps: ArrayLike, limit: float) -> float:
    """Return the highest AP for at most so much; NaN where nothing is so cheap.

    The frontier is interpolated as a staircase: between two networks there is none.
    """
    cost, ap = np.asarray(costs, float), np.asarray(aps, float)
    return float(ap[cost <= limit].max()) if (cost <= limit).any() else float("nan")


def cost_range(costs: ArrayLike) -> tuple[float, float]:
    """Return the range of costs over which frontiers are compared.

    From the cheapest network to a tenth of the range beyond the dearest, so that the
    dearest counts, too. Below it there is only what all share (a frozen backbone and
    the predictor), which would swamp every difference.
    """
    first, last = float(np.min(costs)), float(np.max(costs))
    return first, last + BEYOND * (last - first)


def hypervolume(
    costs: ArrayLike, aps: ArrayLike, between: tuple[float, float]
) -> float:
    """Return the area below the staircase over a range of costs, divided by its width.

    It is the mean AP that is attained over all limits of cost in that range, and has
    the unit of AP; AP 0 where nothing is so cheap. The cost is linear. Of a range
    without width it is the highest AP.

    Args:
        costs: any; those before the range count from its begin on.
        aps: from 0 on; AP 0 is the reference of the other axis.
        between: first and last cost.

    Source: Zitzler & Thiele 1998, the size of the space covered.
    """
    cost, ap = np.asarray(costs, float), np.asarray(aps, float)
    first, last = between
    if first == last:
        return float(np.max(ap, initial=0, where=cost <= last))
    front = non_dominated(cost, ap)
    order = np.argsort(cost[front])
    ends = np.append(cost[front][order], np.inf).clip(first, last)
    return float((ap[front][order] * np.diff(ends)).sum() / (last - first))


def volumes(found: pd.DataFrame) -> pd.DataFrame:
    """Return a row a group and cost: hypervolume and AP at matched costs, over seeds.

    `from_cost` and `to_cost` are the `cost_range` of all networks of the report:
    hypervolumes of different reports are not comparable. `ap_1` to `ap_3` are the means
    over seeds of the AP that is attained for at most `limit_1` to `limit_3`; NaN where
    a run has no network so cheap.
    """
    rows = []
    for (*group, cost), own in found.groupby([*Group._fields, "cost"]):
        every = found.loc[found["cost"] == cost, "value"]
        between = cost_range(every)
        runs = [(run["value"], run["ap"]) for _, run in own.groupby("seed")]
        areas = pd.Series([hypervolume(*run, between) for run in runs])
        row = {**Group(*group)._asdict(), "cost": cost}
        row |= dict(zip(("from_cost", "to_cost"), between, strict=True))
        row |= spread("hypervolume", areas)
        for place, limit in enumerate(every.quantile(list(SHARES)), 1):
            row[f"limit_{place}"] = limit
            row[f"ap_{place}"] = np.mean([attained(*run, limit) for run in runs])
        rows.append(row)
    return pd.DataFrame(rows)
