"""How much better one searcher is than another, over paired runs."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy.stats import binomtest

RESAMPLES = 10_000


@dataclass(frozen=True, slots=True)
class Effect:
    """Differences of paired runs, summarised.

    Attributes:
        mean: mean difference.
        low: lower end of its 95 % interval, `high` the upper one.
        wins: pairs with a difference above zero, `losses` those below.
        p: chance of at least so many wins if both were equal (one-sided sign test, ties
            left out).
    """

    mean: float
    low: float
    high: float
    wins: int
    losses: int
    p: float


def paired_effect(differences: Sequence[float]) -> Effect:
    """Summarise paired differences by percentile bootstrap and sign test.

    Args:
        differences: one number a pair, ours minus theirs.

    Source: Efron & Tibshirani 1993, chapter 13 (percentile interval).
    """
    values = np.array(differences, dtype=float)
    # A fixed generator: the same differences have the same interval everywhere.
    rng = np.random.default_rng(0)
    drawn = values[rng.integers(len(values), size=(RESAMPLES, len(values)))]
    low, high = np.quantile(drawn.mean(axis=1), [0.025, 0.975])
    wins, losses = int((values > 0).sum()), int((values < 0).sum())
    p = 1.0
    if wins + losses:
        p = float(binomtest(wins, wins + losses, alternative="greater").pvalue)
    return Effect(float(values.mean()), float(low), float(high), wins, losses, p)
