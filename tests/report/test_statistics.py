"""Statistics against published examples, formulas by hand and simulations."""

import numpy as np
import pytest
from scipy import stats

from fpnbench.report import statistics as s

SHROUT_FLEISS = [
    [9, 2, 5, 8],
    [6, 1, 3, 2],
    [8, 4, 6, 8],
    [7, 1, 2, 6],
    [10, 5, 6, 9],
    [6, 2, 4, 7],
]
"""Shrout & Fleiss 1979, table 2: ICC(1,1) = .17."""


def test_icc_of_the_published_example() -> None:
    got = s.icc(SHROUT_FLEISS)
    assert got.value == pytest.approx(0.17, abs=0.005)
    # McGraw & Wong's interval of the same data, as R's psych::ICC prints it.
    assert got.low == pytest.approx(-0.13, abs=0.005)
    assert got.high == pytest.approx(0.72, abs=0.005)


def test_icc_finds_the_share_it_was_simulated_with() -> None:
    rng = np.random.default_rng(0)
    networks = rng.normal(0, 0.7**0.5, (4000, 1))
    noisy = networks + rng.normal(0, 0.3**0.5, (4000, 3))
    got = s.icc(noisy)
    assert got.value == pytest.approx(0.7, abs=0.02)
    assert got.low < 0.7 < got.high


def test_icc_of_equal_values_is_one_and_too_few_are_refused() -> None:
    assert s.icc([[1, 1], [2, 2]]).value == 1
    # Networks that all score 0 are not told apart: no bar is passed by it.
    assert not s.icc([[0, 0], [0, 0]]).low >= 0.5
    for bad in ([[1, 2]], [[1], [2]]):
        with pytest.raises(ValueError, match="two groups"):
            s.icc(bad)


def test_icc_that_hangs_on_one_group_falls_without_it() -> None:
    assert s.icc_value(SHROUT_FLEISS) == pytest.approx(0.17, abs=0.005)
    assert np.isnan(s.icc_value([[0.1, 0.1], [0.1, 0.1]]))
    # Without the last both means are .5: (0 - .5) / (0 + .5). With it and one other:
    # means .5 and 10, squares 90.25 between and .25 within, 90 / 90.5.
    found = s.icc_without([[0, 1], [1, 0], [10, 10]])
    assert found == pytest.approx([90 / 90.5, 90 / 90.5, -1])


def test_student_interval_of_a_textbook_case() -> None:
    # t(.975, 2) = 4.303, sd = 1, n = 3
    got = s.mean_interval([1, 2, 3])
    assert got.value == 2
    assert got.high - 2 == pytest.approx(4.3027 / 3**0.5, abs=1e-4)
    assert 2 - got.low == pytest.approx(got.high - 2)


def test_below_three_seeds_there_is_no_interval() -> None:
    assert np.isnan(s.mean_interval([1, 2]).low)
    two = {"nasfpn": [1.0, 2.0]}
    assert np.isnan(s.block_difference(two, {"nasfpn": [0.0, 0.0]}).low)
    assert np.isnan(s.improvement(two, {"nasfpn": [0.0, 0.0]}).high)
    assert np.isnan(s.equivalence([0.0, 0.0], 1.0))


def test_blocks_count_equally_and_seeds_stay_paired() -> None:
    ours = {"a": [1.1, 2.1, 9.1], "b": [5.0, 5.0, 5.0, 5.0]}
    theirs = {"a": [1.0, 2.0, 9.0], "b": [4.7, 4.7, 4.7, 4.7]}
    got = s.block_difference(ours, theirs)
    assert got.value == pytest.approx((0.1 + 0.3) / 2)
    # Unpaired, the spread of 1 .. 9 would be in the interval; paired it is zero.
    assert got.high - got.low == pytest.approx(0, abs=1e-12)
    with pytest.raises(ValueError, match="same blocks"):
        s.block_difference(ours, {"a": [1.0, 2.0, 9.0]})


def test_a_bootstrap_of_many_pairs_has_the_normal_interval() -> None:
    values = np.random.default_rng(1).normal(0.3, 2.0, size=2000)
    got = s.block_difference({0: values}, {0: np.zeros(2000)})
    half = 1.96 * values.std() / 2000**0.5
    assert got.low == pytest.approx(values.mean() - half, abs=0.01)
    assert got.high == pytest.approx(values.mean() + half, abs=0.01)


def test_sign_test_by_hand() -> None:
    # Four wins of five: (5 + 1) / 2**5; the tie is left out.
    assert s.sign_test([1.0, 2.0, 0.5, 3.0, -1.0, 0.0]) == s.Signs(4, 1, 6 / 32)
    assert s.sign_test([0.0] * 5) == s.Signs(0, 0, 1.0)


def test_the_bootstrap_covers_as_often_as_it_says() -> None:
    rng = np.random.default_rng(1)
    covered = 0
    for _ in range(200):
        pairs = rng.normal(0.5, 1, 30)
        got = s.block_difference({"x": pairs}, {"x": np.zeros(30)})
        covered += got.low <= 0.5 <= got.high
    assert 0.88 <= covered / 200 <= 0.99


def test_tau_b_with_ties_by_hand() -> None:
    # Pairs: 5 concordant, none discordant, one tied in x alone: 5 / sqrt(5 * 6).
    assert s.kendall([1, 1, 2, 3], [1, 2, 3, 4]) == pytest.approx(5 / 30**0.5)


def test_partial_tau_removes_a_common_cause() -> None:
    rng = np.random.default_rng(2)
    cause = rng.normal(size=3000)
    x, y = (cause + rng.normal(size=3000) for _ in range(2))
    assert s.kendall(x, y) > 0.3
    # Kendall's partial tau of such normals is not 0 but small (its known bias).
    assert abs(s.partial_tau(x, y, cause)) < 0.15


def test_partial_tau_is_the_formula_of_three_taus() -> None:
    x, y, z = [1, 2, 3, 4, 5], [1, 3, 2, 5, 4], [2, 1, 3, 5, 4]
    # Each two of them agree in 8 of 10 pairs: (.6 - .36) / (1 - .36).
    assert s.partial_tau(x, y, z) == pytest.approx(0.375)


def test_a_bootstrap_over_items_matches_theory_for_a_mean() -> None:
    values = np.random.default_rng(3).normal(size=200)
    got = s.over_items(lambda column: float(np.mean(column)), values)
    half = 1.96 * values.std() / 200**0.5
    assert got.value == pytest.approx(values.mean())
    assert (got.high - got.low) / 2 == pytest.approx(half, rel=0.1)


def test_probability_of_improvement_by_hand() -> None:
    got = s.improvement({"a": [1, 2, 3]}, {"a": [2, 2, 0]})
    # 1 beats 0; 2 beats 0 and ties twice; 3 beats all: (1 + 2 + 3) / 9.
    assert got.value == pytest.approx(6 / 9)
    assert s.improvement({"a": [5, 6, 7]}, {"a": [1, 2, 3]}).low == 1
    mean = s.improvement({"a": [1] * 3, "b": [1] * 3}, {"a": [0] * 3, "b": [2] * 3})
    assert mean.value == 0.5


def test_equivalence_agrees_with_two_t_tests_written_out() -> None:
    values, margin = [0.1, -0.05, 0.02, 0.03, -0.08], 0.2
    t = [(np.mean(values) + sign * margin) / stats.sem(values) for sign in (1, -1)]
    expected = max(stats.t.sf(t[0], 4), stats.t.cdf(t[1], 4))
    assert s.equivalence(values, margin) == pytest.approx(expected)
    assert s.equivalence(values, margin) < 0.05
    assert s.equivalence(values, 0.01) > 0.05


def test_tau_is_that_of_scipy(rng) -> None:
    for x, y in rng.integers(0, 6, (50, 2, 12)):
        assert s.kendall(x, y) == pytest.approx(stats.kendalltau(x, y).statistic)
    assert np.isnan(s.kendall([1, 1, 1], [1, 2, 3]))


def test_tau_across_seeds_by_hand() -> None:
    # Seeds 0 and 2 agree; seed 1 swaps two of three: tau 1/3 with each of them.
    orders = np.transpose([[1, 2, 3], [1, 3, 2], [1, 2, 3]])
    assert s.tau_across(orders, orders) == pytest.approx((1 + 1 / 3 + 1 / 3) / 3)
    macs = np.repeat([[1], [2], [3]], 3, axis=1)
    assert s.tau_across(macs, orders) == pytest.approx((1 + 1 / 3 + 1) / 3)


def test_the_better_half_is_chosen_by_the_seed_that_is_not_compared() -> None:
    # Halves: by seed 0 the last two, by seed 1 the first two, by seed 2 the last two.
    values = np.transpose([[1, 2, 3, 4], [4, 3, 1, 2], [2, 1, 4, 3]])
    # Seeds 1 and 2 in the last two disagree, 0 and 2 in the first two disagree, 0 and 1
    # in the last two agree.
    assert s.tau_across(values, values, half=True) == pytest.approx((-1 - 1 + 1) / 3)
    assert np.isnan(s.tau_across(values[:, :2], values[:, :2], half=True))


def test_the_better_half_of_pure_noise_has_no_tau(rng) -> None:
    noise = rng.normal(size=(400, 24, 3))
    taus = [s.tau_across(values, values, half=True) for values in noise]
    assert abs(np.mean(taus)) < 3 * np.std(taus) / 20


def test_explained_variance_by_hand() -> None:
    assert s.explained([1, 2, 3], [3, 5, 7]) == pytest.approx(1)
    assert s.explained([1, 2, 3], [1, 3, 2]) == pytest.approx(0.25)
    assert np.isnan(s.explained([1, 1, 1], [1, 2, 3]))


def test_centred_draws_keep_their_spread_and_take_the_value_as_mean():
    draws = np.arange(101) / 100  # mean .5, middle 95 % from .025 to .975
    assert s.centred(draws, 0.3) == pytest.approx((-0.175, 0.775))
    assert s.centred([*draws, np.nan], 0.5) == pytest.approx(s.percentiles(draws))
