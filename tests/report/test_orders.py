"""The score of known orders against the figures of its own plan, and by hand.

The plan's figures are those of known_order (iv): Wilson's intervals of 23 pairs, what
chance orders, and how wide the bootstrap over pyramids is.
"""

from itertools import pairwise

import numpy as np
import pytest
from scipy import stats

from fpnbench.report import orders
from fpnbench.report.orders import Pair, agreement, verdict, wilson
from fpnbench.report.statistics import percentiles

# Its pyramids by number; the first of each is better.
SUITE = (
    "11>12 11>13 11>14 15>12 15>13 15>14 14>12 14>13 13>12 "
    "10>6 10>7 10>11 8>6 8>7 9>6 11>5 11>6 5>1 5>4 5>3 3>1 5>2 3>2"
)
FAMILIES = "B" * 9 + "A" * 6 + "C" * 2 + "D" * 6
PAIRS = [
    Pair(*pair.split(">"), family, 1.0)
    for pair, family in zip(SUITE.split(), FAMILIES, strict=True)
]
# An order that agrees with all of them.
BEST_LAST = [1, 2, 3, 4, 12, 13, 14, 7, 6, 5, 11, 15, 9, 8, 10]
TRUE = {str(name): [float(place)] for place, name in enumerate(BEST_LAST)}
NAMES = list(TRUE)
VALUES = np.array([TRUE[name] for name in NAMES])
SIDES = [
    np.array([NAMES.index(getattr(pair, side)) for pair in PAIRS])
    for side in ("better", "worse")
]


def found(scores, pairs=PAIRS, resamples=2000):
    return agreement(scores, pairs, resamples)


@pytest.mark.parametrize(
    ("alike", "low", "high"), [(18, 0.58, 0.90), (20, 0.68, 0.95), (21, 0.73, 0.98)]
)
def test_wilson_is_the_plan_s(alike: int, low: float, high: float) -> None:
    got = wilson(alike, 23)
    assert (got.low, got.high) == pytest.approx((low, high), abs=0.005)
    ours = stats.binomtest(alike, 23).proportion_ci(method="wilson")
    assert (got.low, got.high) == pytest.approx((ours.low, ours.high))
    assert wilson(23, 23).low == pytest.approx(0.86, abs=0.005)


def test_chance_orders_as_many_pairs_as_the_plan_says() -> None:
    shares = orders.shuffled(VALUES, *SIDES)
    assert shares.mean() == pytest.approx(0.5, abs=0.003)
    assert shares.std() == pytest.approx(0.138, abs=0.001)
    alike = np.round(shares * 23)
    for least, p in ((17, 0.057), (18, 0.028), (19, 0.011)):
        assert (alike >= least).mean() == pytest.approx(p, abs=0.002)


def test_the_published_order_agrees_with_every_pair() -> None:
    got = found(TRUE)
    assert (got.alike, got.pairs, got.undecided) == (23, 23, 0)
    assert (got.low, got.high) == (1, 1)
    assert got.families == {"B": (9, 9), "A": (6, 6), "C": (2, 2), "D": (6, 6)}
    assert got.p < 0.0005
    assert set(got.without.values()) == {1}
    turned = found({name: [-score] for name, [score] in TRUE.items()})
    assert (turned.alike, turned.family_mean, turned.p) == (0, 0, 1)


def test_families_and_pyramids_count_as_they_should() -> None:
    """NAS-FPN last of all: of its six pairs five are lost, and those alone."""
    got = found(TRUE | {"11": [-1.0]})
    assert got.alike == 23 - 5
    assert got.families == {"B": (6, 9), "A": (6, 6), "C": (0, 2), "D": (6, 6)}
    assert got.family_mean == pytest.approx((6 / 9 + 1 + 0 + 1) / 4)
    assert got.without["11"] == 1
    # Of the pairs left without FPN x1 (5): one of the five is 11>5.
    assert got.without["5"] == pytest.approx((23 - 5 - 4) / (23 - 5))
    assert min(got.without.items(), key=lambda item: item[1]) == ("10", 15 / 20)
    # As the plan says of 18 of 23, seen from its shuffles.
    assert got.p == pytest.approx(0.028, abs=0.002)


def test_a_pair_within_one_standard_error_counts_a_half() -> None:
    # Differences 1, 2, 6: mean 3, standard error sqrt(7/3) = 1.53.
    got = verdict([1, 2, 6], [0, 0, 0])
    assert got.difference == 3
    assert got.error == pytest.approx((7 / 3) ** 0.5)
    assert got.credit == 1
    assert verdict([0, 0, 0], [1, 2, 6]).credit == 0
    # Differences -1, 0, 3: mean 2/3, standard error 1.2.
    assert verdict([-1, 0, 3], [0, 0, 0]).credit == 0.5
    # One error exactly is enough, whatever rounding makes of it.
    one = [verdict([gap / 31, 0, 0], [0, 0, 0]).credit for gap in range(1, 60)]
    assert set(one) == {1}
    # Paired: what both seeds share does not count.
    assert verdict([0.1, 100.1, 200.1], [0, 100, 200]).credit == 1
    alone = verdict([2], [1])
    assert alone.credit == 1
    assert np.isnan(alone.error)
    assert verdict([1], [1]).credit == 0.5
    scores = {"a": [1.0, 2.0, 6.0], "b": [0.0] * 3, "c": [-1.0, 0.0, 3.0]}
    pairs = [Pair("a", "b", "x", 1.0), Pair("c", "b", "x", 1.0)]
    both = found(scores, pairs)
    assert (both.alike, both.undecided, both.families) == (1.5, 1, {"x": (1.5, 2)})


def test_the_bootstrap_is_as_wide_as_the_plan_says() -> None:
    """About .42 at a share of .87 and .51 at .81, over orders with such errors."""
    widths: dict[int, list[float]] = {}
    rng = np.random.default_rng(0)
    for _ in range(150):
        noisy = VALUES + rng.normal(0, 3, VALUES.shape)
        alike = int(orders.decide(noisy, *SIDES).sum())
        low, high = percentiles(orders.bootstrap(noisy, *SIDES, 300))
        widths.setdefault(alike, []).append(high - low)
    for alike, width in ((20, 0.42), (19, 0.46)):
        assert len(widths[alike]) > 5
        assert np.mean(widths[alike]) == pytest.approx(width, abs=0.1)


def test_the_bootstrap_draws_seeds_inside_the_pyramids() -> None:
    """Two pyramids and one pair: what varies are the seeds alone."""
    scores = {"a": [1.0, 1.0, -2.9], "b": [0.0, 0.0, 0.0]}
    values = np.array(list(scores.values()))
    one = np.array([0]), np.array([1])
    shares = orders.bootstrap(values, *one, 20_000)
    # Half of the draws hold one of the two twice, and no pair.
    assert np.isnan(shares).mean() == pytest.approx(0.5, abs=0.02)
    kept = shares[~np.isnan(shares)]
    # The third seed is drawn never (8/27), once (12/27), twice (6/27) or always (1/27):
    # 1; mean -.3, se 1.3; mean -1.6, se 1.3; -2.9.
    expected = {1.0: 8 / 27, 0.5: 12 / 27, 0.0: 7 / 27}
    for credit, share in expected.items():
        assert (kept == credit).mean() == pytest.approx(share, abs=0.02)


def test_a_pyramid_drawn_twice_counts_twice() -> None:
    """Three pyramids in a row, two pairs: weights by brute force over all draws."""
    scores = np.array([[2.0], [0.0], [1.0]])
    pairs = list(pairwise(range(3)))
    better, worse = (np.array(side) for side in zip(*pairs, strict=True))
    shares = orders.bootstrap(scores, better, worse, 60_000)
    expected = []
    for draw in np.ndindex(3, 3, 3):
        n = [draw.count(place) for place in range(3)]
        weights = [n[0] * n[1], n[1] * n[2]]
        if sum(weights):
            expected.append(weights[0] / sum(weights))  # the second pair is wrong
    assert np.nanmean(shares) == pytest.approx(np.mean(expected), abs=0.005)
    assert np.isnan(shares).mean() == pytest.approx(1 - len(expected) / 27, abs=0.01)
