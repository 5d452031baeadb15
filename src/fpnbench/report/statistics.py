# ruff: noqa: N803
"""Statistics of comparisons; every function has a known answer in its tests.

All bootstraps are percentile intervals at 95 % from a fixed generator, so that the same
numbers give the same interval everywhere.
"""

from collections.abc import Callable, Hashable, Mapping, Sequence
from dataclasses import dataclass
from itertools import permutations

import numpy as np
from numpy.typing import ArrayLike
from scipy import stats

RESAMPLES = 10_000
LEVEL = 0.95
LEAST_SEEDS = 3
"""An interval over seeds needs as many; below there is none."""


@dataclass(frozen=True, slots=True)
class Estimate:
    """A number with its 95 % interval; `low` and `high` are NaN where there is none."""

    value: float
    low: float
    high: float


def percentiles(draws: ArrayLike) -> tuple[float, float]:
    """Return the ends of the middle 95 % of draws; NaN among them is left out."""
    values = np.asarray(draws, float)
    values = values[~np.isnan(values)]
    if not values.size:
        return float("nan"), float("nan")
    low, high = np.quantile(values, [(1 - LEVEL) / 2, (1 + LEVEL) / 2])
    return float(low), float(high)


def centred(draws: ArrayLike, value: float) -> tuple[float, float]:
    """Return the ends of the middle 95 % of draws, moved to have `value` as their mean.

    For a bootstrap of AP: drawing images twice lifts the interpolated precision, so the
    draws lie above the AP itself (by .02 of .16 on 40 images) and their percentiles
    would, too. What they tell is how far AP spreads.

    Source: Efron & Tibshirani 1993, section 10.3, the bootstrap estimate of bias.
    """
    values = np.asarray(draws, float)
    return percentiles(values - np.nanmean(values) + value)


def mean_interval(values: Sequence[float]) -> Estimate:
    """Return the mean with Student's t interval; none below 3 values."""
    mean, count = float(np.mean(values)), len(values)
    if count < LEAST_SEEDS:
        return Estimate(mean, float("nan"), float("nan"))
    half = float(stats.t.ppf((1 + LEVEL) / 2, count - 1) * stats.sem(values))
    return Estimate(mean, mean - half, mean + half)


def block_difference(
    ours: Mapping[Hashable, Sequence[float]], theirs: Mapping[Hashable, Sequence[float]]
) -> Estimate:
    """Return the mean difference, ours minus theirs, over blocks with paired seeds.

    Args:
        ours: per block (a space, a searcher, ...) one value a seed.
        theirs: the same blocks and seeds, in the same order.

    Returns:
        Mean over blocks of the mean over seeds. The bootstrap draws seeds within every
        block, the pairs kept together; no interval where a block has below 3 seeds.

    Raises:
        ValueError: blocks or numbers of seeds differ.
    """
    if ours.keys() != theirs.keys() or any(
        len(ours[b]) != len(theirs[b]) for b in ours
    ):
        raise ValueError("both sides need the same blocks with the same seeds")
    rng = np.random.default_rng(0)
    means, draws = [], []
    for block, values in ours.items():
        pairs = np.asarray(values, float) - np.asarray(theirs[block], float)
        means.append(pairs.mean())
        drawn = rng.integers(len(pairs), size=(RESAMPLES, len(pairs)))
        draws.append(pairs[drawn].mean(1))
    few = min(map(len, ours.values())) < LEAST_SEEDS
    low, high = (np.nan, np.nan) if few else percentiles(np.mean(draws, 0))
    return Estimate(float(np.mean(means)), low, high)


@dataclass(frozen=True, slots=True)
class Signs:
    """Pairs above and below zero, and the chance of so many wins if both were equal."""

    wins: int
    losses: int
    p: float


def sign_test(differences: Sequence[float]) -> Signs:
    """Return the one-sided sign test of paired differences; ties are left out."""
    values = np.asarray(differences, float)
    wins, losses = int((values > 0).sum()), int((values < 0).sum())
    p = 1.0
    if wins + losses:
        p = float(stats.binomtest(wins, wins + losses, alternative="greater").pvalue)
    return Signs(wins, losses, p)


def icc(groups: Sequence[Sequence[float]]) -> Estimate:
    """Return ICC(1) of equally large groups with its F interval.

    The share of all variance that lies between groups (networks), the rest being
    within them (seeds): one-way random effects, single measurements. NaN where all
    values are equal: what tells nothing apart has no order to repeat.

    Raises:
        ValueError: below two groups or two values a group, or unequal groups.

    Source: Shrout & Fleiss 1979, ICC(1,1); McGraw & Wong 1996, table 7.
    """
    n, k, between, within = _squares(groups)
    if between == within == 0:
        return Estimate(float("nan"), float("nan"), float("nan"))
    if within == 0:
        return Estimate(1.0, 1.0, 1.0)
    ratio = between / within
    quantile, bottom = (1 + LEVEL) / 2, n * (k - 1)
    lower = ratio / stats.f.ppf(quantile, n - 1, bottom)
    upper = ratio * stats.f.ppf(quantile, bottom, n - 1)
    value, low, high = ((f - 1) / (f + k - 1) for f in (ratio, lower, upper))
    return Estimate(float(value), float(low), float(high))


def icc_value(groups: ArrayLike) -> float:
    """Return ICC(1) alone, which needs no F distribution: for a bootstrap of groups.

    Raises:
        ValueError: as `icc`.
    """
    _, k, between, within = _squares(groups)
    total = between + (k - 1) * within
    return float((between - within) / total) if total else float("nan")


def icc_without(groups: ArrayLike) -> list[float]:
    """Return ICC(1) with each group left out in turn, in the order of the groups.

    One group far from the others may be all that there is between them.

    Raises:
        ValueError: as `icc`, of the groups that are left.
    """
    table = np.asarray(groups, float)
    return [icc_value(np.delete(table, row, 0)) for row in range(len(table))]


def _squares(groups: ArrayLike) -> tuple[int, int, float, float]:
    """Return groups, values a group, and the mean squares between and within."""
    table = np.asarray(groups, float)
    if table.ndim != 2 or min(table.shape) < 2:
        raise ValueError(
            "ICC needs two groups or more of two values or more, all equal"
        )
    n, k = table.shape
    if np.ptp(table) == 0:  # exactly, whatever rounding leaves of a mean
        return n, k, 0.0, 0.0
    between = k * table.mean(1).var(ddof=1)
    return n, k, float(between), float(table.var(1, ddof=1).mean())


def kendall(x: ArrayLike, y: ArrayLike) -> float:
    """Return Kendall's tau-b, NaN where one side is constant.

    Compares every pair: for the few networks of a bootstrap, where sorting them as
    scipy does takes twenty times as long.

    Source: Kendall 1945.
    """
    columns = np.asarray(x, float), np.asarray(y, float)
    a, b = (np.sign(np.subtract.outer(column, column)) for column in columns)
    untied = np.count_nonzero(a) * np.count_nonzero(b)
    return float((a * b).sum() / untied**0.5) if untied else float("nan")


def tau_across(x_NS: ArrayLike, y_NS: ArrayLike, *, half: bool = False) -> float:
    """Return how well x of one seed ranks y of another, the mean over pairs of seeds.

    With x = y: how far the ranking repeats itself. A number of the network alone (its
    MACs) stands in every column of x; its tau then compares with that of x = y.

    Args:
        x_NS: by network and seed.
        y_NS: likewise.
        half: rank the better half alone, by y of the seeds that are not compared: a
            half chosen by what is compared would be lucky in it, and two seeds that
            make one sum run against each other where that sum is cut. NaN below three
            seeds.
    """
    x, y = np.asarray(x_NS, float), np.asarray(y_NS, float)
    networks, seeds = y.shape
    taus = []
    for a, b in permutations(range(seeds), 2):
        rows = np.arange(networks)
        if half:
            others = [seed for seed in range(seeds) if seed not in (a, b)]
            if not others:
                return float("nan")
            best = np.argsort(-y[:, others].mean(1), kind="stable")
            rows = best[: (networks + 1) // 2]
        taus.append(kendall(x[rows, a], y[rows, b]))
    return float(np.mean(taus))


def explained(x: ArrayLike, y: ArrayLike) -> float:
    """Return the share of y's variance on a straight line over x, NaN for a constant.

    The squared correlation of Pearson.
    """
    columns = np.asarray([x, y], float)
    if (np.ptp(columns, axis=1) == 0).any():
        return float("nan")
    return float(np.corrcoef(columns)[0, 1] ** 2)


def partial_tau(x: ArrayLike, y: ArrayLike, given: ArrayLike) -> float:
    """Return the tau of x and y that is not explained by a third variable.

    Source: Kendall 1942, Partial rank correlation.
    """
    xy, xz, yz = kendall(x, y), kendall(x, given), kendall(y, given)
    rest = (1 - xz**2) * (1 - yz**2)
    return (xy - xz * yz) / rest**0.5 if rest > 0 else float("nan")


def over_items(
    statistic: Callable[..., float], *columns: ArrayLike, resamples: int = 2_000
) -> Estimate:
    """Return a statistic of rows with a bootstrap over the rows (networks).

    Args:
        statistic: takes the columns.
        columns: equally long.
        resamples: bootstrap draws.
    """
    table = [np.asarray(column) for column in columns]
    count, rng = len(table[0]), np.random.default_rng(0)
    draws = [
        statistic(*(column[rows] for column in table))
        for rows in rng.integers(count, size=(resamples, count))
    ]
    return Estimate(statistic(*table), *percentiles(draws))


def improvement(
    ours: Mapping[Hashable, Sequence[float]], theirs: Mapping[Hashable, Sequence[float]]
) -> Estimate:
    """Return the probability that a run of ours beats one of theirs, over blocks.

    A tie counts half. The bootstrap draws runs of both sides within every block.

    Source: Agarwal et al. 2021 (arXiv 2108.13264), section 4.3.
    """
    rng = np.random.default_rng(0)
    values, draws = [], []
    for block, first in ours.items():
        a, b = np.asarray(first, float), np.asarray(theirs[block], float)
        wins = (a[:, None] > b) + 0.5 * (a[:, None] == b)
        values.append(wins.mean())
        rows = rng.integers(len(a), size=(RESAMPLES, len(a)))
        columns = rng.integers(len(b), size=(RESAMPLES, len(b)))
        draws.append(wins[rows[:, :, None], columns[:, None, :]].mean((1, 2)))
    few = min(min(len(ours[b]), len(theirs[b])) for b in ours) < LEAST_SEEDS
    low, high = (np.nan, np.nan) if few else percentiles(np.mean(draws, 0))
    return Estimate(float(np.mean(values)), low, high)


def equivalence(differences: Sequence[float], margin: float) -> float:
    """Return the p of two one-sided t tests that the mean lies within +-margin.

    Below 0.05 the two sides are equivalent up to `margin`. NaN below 3 values.

    Source: Schuirmann 1987 (TOST).
    """
    if len(differences) < LEAST_SEEDS:
        return float("nan")
    above = stats.ttest_1samp(differences, -margin, alternative="greater").pvalue
    below = stats.ttest_1samp(differences, margin, alternative="less").pvalue
    return float(max(above, below))
