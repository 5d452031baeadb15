# ruff: noqa: N803, N806
"""Known orders: how many pairs of pyramids a proxy orders as published work does.

Rules, fixed before anything was run: a pair is decided by the means over seeds, and is
undecided, worth a half, where they differ by less than one standard error. Pairs share
pyramids, so beside Wilson's interval, which takes them as independent, stand a shuffle
of the scores over the pyramids (what chance orders) and a bootstrap over pyramids.

Shapes: P pyramids, S seeds, Q pairs.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import stats

from fpnbench.report.statistics import LEVEL, Estimate, percentiles

SHUFFLES = 100_000
Floats = NDArray[np.float64]
Scores = Mapping[str, Sequence[float]]
"""One number of every pyramid by seed; more is better."""


@dataclass(frozen=True, slots=True)
class Pair:
    """Two pyramids of which one is better in published work.

    Attributes:
        better: name of a pyramid.
        worse: name of another.
        family: protocol under which both were measured.
        gap: by how much, in the unit of that family.
    """

    better: str
    worse: str
    family: str
    gap: float


@dataclass(frozen=True, slots=True)
class Verdict:
    """What the proxy says of a pair.

    Attributes:
        difference: better minus worse, mean over seeds.
        error: its standard error over the seeds, paired; NaN of a single seed.
        credit: 1 ordered alike, 0.5 undecided, 0 the other way round.
    """

    difference: float
    error: float
    credit: float


@dataclass(frozen=True, slots=True)
class Agreement:
    """How many pairs are ordered as published.

    Attributes:
        alike: credits of all pairs.
        pairs: how many there are.
        undecided: of these.
        share: alike / pairs, with Wilson's interval.
        low: lower end of the bootstrap over pyramids, likewise `high`.
        p: chance that scores shuffled over the pyramids agree as well or better.
        families: alike and pairs by family.
        family_mean: mean of the families' shares.
        without: share when a pyramid and its pairs are left out, by pyramid; those
            whose leaving leaves no pair are not in it.
    """

    alike: float
    pairs: int
    undecided: int
    share: Estimate
    low: float
    high: float
    p: float
    families: Mapping[str, tuple[float, int]]
    family_mean: float
    without: Mapping[str, float]


def agreement(scores: Scores, pairs: Sequence[Pair], resamples: int) -> Agreement:
    """Return how many pairs the scores order as published.

    Args:
        scores: equally many seeds of every pyramid of the pairs.
        pairs: one or more.
        resamples: of the bootstrap over pyramids.
    """
    names = sorted({name for pair in pairs for name in (pair.better, pair.worse)})
    values_PS = np.array([scores[name] for name in names], float)
    better_Q = np.array([names.index(pair.better) for pair in pairs])
    worse_Q = np.array([names.index(pair.worse) for pair in pairs])
    credit_Q = decide(values_PS, better_Q, worse_Q)
    alike = float(credit_Q.sum())
    drawn = bootstrap(values_PS, better_Q, worse_Q, resamples)
    low, high = percentiles(drawn)
    chance = shuffled(values_PS, better_Q, worse_Q)
    families: dict[str, tuple[float, int]] = {}
    for pair, credit in zip(pairs, credit_Q, strict=True):
        before, count = families.get(pair.family, (0.0, 0))
        families[pair.family] = before + float(credit), count + 1
    without = {}
    for place, name in enumerate(names):
        left = (better_Q != place) & (worse_Q != place)
        if left.any():
            without[name] = float(credit_Q[left].mean())
    return Agreement(
        alike=alike,
        pairs=len(pairs),
        undecided=int((credit_Q == 0.5).sum()),
        share=wilson(alike, len(pairs)),
        low=low,
        high=high,
        # The order that was found is one of the shuffles, too.
        p=float((1 + (chance >= credit_Q.mean() - 1e-9).sum()) / (1 + len(chance))),
        families=families,
        family_mean=float(np.mean([part / n for part, n in families.values()])),
        without=without,
    )


def verdict(better: Sequence[float], worse: Sequence[float]) -> Verdict:
    """Return difference and credit of two pyramids, seed by seed."""
    gaps = np.subtract(better, worse, dtype=float)
    values = np.array([better, worse], float)
    credit = decide(values, np.array([0]), np.array([1]))
    error = stats.sem(gaps) if len(gaps) > 1 else np.nan
    return Verdict(float(gaps.mean()), float(error), float(credit[0]))


def decide(
    values_PS: Floats, better_Q: NDArray[np.int64], worse_Q: NDArray[np.int64]
) -> Floats:
    """Return 1, 1/2 or 0 for every pair; leading axes before P are kept.

    The standard error is of the difference, paired over seeds; a single seed has none,
    so that only equal numbers are undecided then.
    """
    gaps = values_PS[..., better_Q, :] - values_PS[..., worse_Q, :]
    seeds, mean = gaps.shape[-1], gaps.mean(-1)
    error = gaps.std(-1, ddof=1) / seeds**0.5 if seeds > 1 else 0.0
    # One error exactly is decided, as where all seeds but one are tied.
    undecided = (np.abs(mean) < error * (1 - 1e-9)) | (mean == 0)
    return np.where(undecided, 0.5, mean > 0)


def wilson(alike: float, pairs: int) -> Estimate:
    """Return the share with Wilson's interval, as if the pairs were independent.

    Source: Wilson 1927.
    """
    share, z = alike / pairs, float(stats.norm.ppf((1 + LEVEL) / 2))
    middle = share + z**2 / (2 * pairs)
    half = z * (share * (1 - share) / pairs + z**2 / (4 * pairs**2)) ** 0.5
    scale = 1 + z**2 / pairs
    return Estimate(share, (middle - half) / scale, (middle + half) / scale)


def shuffled(
    values_PS: Floats, better_Q: NDArray[np.int64], worse_Q: NDArray[np.int64]
) -> Floats:
    """Return the shares when the pyramids' scores are shuffled, seeds kept together."""
    count = len(values_PS)
    rows, columns = np.indices((count, count))
    table = decide(values_PS, rows.ravel(), columns.ravel()).reshape(count, count)
    rng = np.random.default_rng(0)
    order = rng.permuted(np.tile(np.arange(count), (SHUFFLES, 1)), axis=1)
    return np.asarray(table[order[:, better_Q], order[:, worse_Q]].mean(1))


def bootstrap(
    values_PS: Floats,
    better_Q: NDArray[np.int64],
    worse_Q: NDArray[np.int64],
    resamples: int,
) -> Floats:
    """Return the shares of draws of the pyramids with replacement.

    A pair counts as often as both its pyramids were drawn, n_i n_j; the seeds of every
    pyramid are drawn anew inside. NaN where no pair is left.
    """
    rng = np.random.default_rng(0)
    count, seeds = values_PS.shape
    chosen = rng.integers(count, size=(resamples, count))
    n = (chosen[:, :, None] == np.arange(count)).sum(1)
    drawn = rng.integers(seeds, size=(resamples, count, seeds))
    values = np.take_along_axis(values_PS[None], drawn, 2)
    weight = n[:, better_Q] * n[:, worse_Q]
    credit = decide(values, better_Q, worse_Q)
    total = weight.sum(1)
    share = np.full(resamples, np.nan)
    np.divide((weight * credit).sum(1), total, out=share, where=total > 0)
    return share
