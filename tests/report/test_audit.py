"""Statistics of an audit: cases done by hand, all draws of ties, scipy."""

from itertools import pairwise, permutations
from math import isnan
from pathlib import Path
from statistics import fmean

import numpy as np
import pytest
from scipy import stats

from fpnbench.report import audit
from fpnbench.report.statistics import Estimate

NAN = float("nan")


def test_sparse_tau_asks_only_for_pairs_above_the_noise() -> None:
    # Six pairs of y; .10/.11 is below the noise of .02. Of the other five x orders four
    # as y does and one, .11/.20, the other way round: (4 - 1) / 5.
    x, y = [1, 3, 2, 4], [0.10, 0.11, 0.20, 0.40]
    assert audit.sparse_tau(x, y, 0.02) == pytest.approx(3 / 5)
    # With no noise the sixth counts: (5 - 1) / 6, Kendall's tau without ties.
    assert audit.sparse_tau(x, y, 0) == pytest.approx(4 / 6)
    assert audit.sparse_tau(x, y, 0) == pytest.approx(stats.kendalltau(x, y)[0])
    # A difference that is the noise is decided.
    assert audit.sparse_tau([1, 2], [0.0, 0.5], 0.5) == 1


def test_a_perfect_order_has_a_sparse_tau_of_one_and_ties_of_x_are_worth_none() -> None:
    y = [0.10, 0.11, 0.20, 0.40]
    assert audit.sparse_tau(y, y, 0.15) == 1
    assert audit.sparse_tau([4, 3, 2, 1], y, 0.15) == -1
    # .10/.40, .11/.40, .20/.40 are decided; x ties the last.
    assert audit.sparse_tau([1, 1, 2, 2], y, 0.15) == pytest.approx(2 / 3)
    assert isnan(audit.sparse_tau(y, y, 1))
    assert isnan(audit.sparse_tau([1, 1, 1, 1], y, 0))


def test_spearman_is_scipy_s(rng: np.random.Generator) -> None:
    x, y = rng.integers(0, 5, 20), rng.normal(size=20)
    assert audit.spearman(x, y) == pytest.approx(stats.spearmanr(x, y)[0])
    assert isnan(audit.spearman([1, 1, 1], [1, 2, 3]))


def test_precision_and_regret_of_a_case_done_by_hand() -> None:
    y = [0.5, 0.4, 0.3, 0.2, 0.1]
    x = [1, 5, 2, 4, 3]  # the best two by x are .4 and .2
    assert audit.precision_at(x, y, 2) == 0.5
    assert audit.regret_at(x, y, 2) == pytest.approx(0.1)
    assert audit.precision_at(y, y, 2) == pytest.approx(1)
    assert audit.regret_at(y, y, 2) == 0
    # All are the best five.
    assert isnan(audit.precision_at(x, y, 5))
    assert isnan(audit.regret_at(x, y, 5))


@pytest.mark.parametrize("x", [[1, 1, 1, 1, 1], [2, 1, 1, 1, 0], [3, 3, 3, 1, 0]])
@pytest.mark.parametrize("k", [1, 2, 3])
def test_ties_are_the_mean_over_all_orders_that_they_leave_open(
    x: list[float], k: int
) -> None:
    y = [0.1, 0.5, 0.2, 0.4, 0.3]
    true = set(np.argsort(y)[-k:].tolist())
    orders = [
        order
        for order in permutations(range(5))
        if all(x[a] >= x[b] for a, b in pairwise(order))
    ]
    hits = [len(true & {*order[:k]}) / k for order in orders]
    lost = [max(y) - max(y[n] for n in order[:k]) for order in orders]
    assert audit.precision_at(x, y, k) == pytest.approx(fmean(hits))
    assert audit.regret_at(x, y, k) == pytest.approx(fmean(lost))


def test_networks_drawn_twice_take_nothing_from_a_perfect_predictor() -> None:
    y = [0.5, 0.4, 0.4, 0.4, 0.1]
    assert audit.precision_at(y, y, 2) == pytest.approx(1)


def test_noise_is_the_spread_within_networks() -> None:
    # Differences .02, -.04: variances within are .0002 and .0008, their mean .0005.
    first, second = [0.1, 0.2, 0.3], [0.12, 0.16, NAN]
    assert audit.noise_of(first, second) == pytest.approx(0.0005**0.5)
    assert isnan(audit.noise_of(first, [NAN] * 3))


def test_a_predictor_is_held_against_macs_whichever_way_those_rank() -> None:
    x, y = [1, 2, 4, 3], [0.1, 0.2, 0.3, 0.4]  # tau 2/3
    assert audit.above_macs(x, y, [4, 3, 2, 1]) == pytest.approx(2 / 3 - 1)
    assert audit.above_macs(x, y, [1, 2, 3, 4]) == pytest.approx(2 / 3 - 1)


def over(
    x: list[float], y: list[float], macs: list[float], groups: list[str]
) -> dict[str, audit.Part]:
    columns = [np.array(each, float) for each in (x, y, macs)]
    return audit.over_parts(*columns, groups, noise=NAN, top=2, resamples=200)


def test_figures_are_of_all_of_the_better_half_and_of_the_random_ones() -> None:
    y = [0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7]
    x = [7, 6, 5, 1, 2, 3, 4]
    macs = [1, 2, 1, 3, 2, 1, 3]
    groups = ["random"] * 3 + ["top"] * 4
    found = over(x, y, macs, groups)
    assert {name: part.networks for name, part in found.items()} == {
        "all": 7,
        "better half": 4,
        "random": 3,
    }
    taus = {name: part.figures["kendall_tau"].value for name, part in found.items()}
    # 6 pairs of the better four agree, 3 of the random three and 12 between disagree.
    assert taus["all"] == pytest.approx((6 - 3 - 12) / 21)
    assert (taus["better half"], taus["random"]) == (
        pytest.approx(1),
        pytest.approx(-1),
    )
    assert list(over(x, y, macs, ["random"] * 7)) == ["all", "better half"]
    # No noise is known, so there is no sparse tau.
    assert isnan(found["all"].figures["sparse_tau"].value)


def test_networks_that_a_predictor_does_not_know_are_left_out() -> None:
    y = [0.1, 0.2, 0.3, 0.4, 0.5, 0.6]
    found = over([NAN, 1, 2, 3, NAN, NAN], y, [3, 1, 4, 1, 5, 9], ["random"] * 6)
    assert found["all"].networks == 3
    assert found["all"].figures["kendall_tau"].value == pytest.approx(1)
    assert "better half" not in found  # it knows one of them


def test_macs_are_not_compared_with_themselves() -> None:
    macs = [3.0, 1, 4, 1, 5, 9]
    figures = over(macs, [1, 2, 3, 4, 5, 6], macs, ["random"] * 6)["all"].figures
    assert isnan(figures["partial_tau"].value)
    assert isnan(figures["tau_above_macs"].value)
    assert figures["kendall_tau"].low < figures["kendall_tau"].high


def parts(
    tau: tuple[float, float], rest: tuple[float, float], gain: float
) -> audit.Parts:
    """Figures of all networks: (value, low) of tau and partial tau."""
    figures = {
        "kendall_tau": Estimate(*tau, 0.9),
        "partial_tau": Estimate(*rest, 0.9),
        "tau_above_macs": Estimate(gain, gain - 0.2, gain + 0.2),
    }
    return {"all": audit.Part(50, figures)}


@pytest.mark.parametrize(
    ("tau", "rest", "held"),
    [
        ((0.5, 0.31), (0.2, 0.01), [True, True]),
        ((0.49, 0.31), (0.2, 0.01), [False, True]),
        ((0.6, 0.3), (0.2, 0.01), [False, True]),
        ((0.6, 0.4), (0.2, 0.0), [True, False]),
        ((NAN, NAN), (NAN, NAN), [False, False]),
    ],
)
def test_bars_need_a_tau_its_lower_end_and_that_of_what_macs_do_not_explain(
    tau: tuple[float, float], rest: tuple[float, float], held: list[bool]
) -> None:
    bars = audit.hold("s0", parts(tau, rest, 0.1), 0.5, 0.3)
    assert [bar.held for bar in bars] == held


@pytest.mark.parametrize(
    ("low", "gain", "told"),
    [
        (0.01, 0.1, "ranks better than MACs"),
        (
            0.0,
            0.1,
            "ranks no better than MACs: its tau given MACs is 0.20 [0.00, 0.90]",
        ),
        (0.01, 0.0, "no better than MACs: its tau less theirs is 0.00 [-0.20, 0.20]"),
        (NAN, NAN, "ranks no better than MACs"),
    ],
)
def test_it_is_said_when_macs_rank_as_well(low: float, gain: float, told: str) -> None:
    assert told in audit.against_macs("s0", parts((0.5, 0.4), (0.2, low), gain))


def test_the_scatter_is_drawn_with_a_panel_each(tmp_path: Path) -> None:
    y = [0.1, 0.2, 0.3, 0.4, 0.5, 0.6]
    groups = ["random"] * 4 + ["top", "best"]
    columns = {name: np.array([1.0, 3, 2, 4, 6, 5]) for name in ("s0", "s1", "macs")}
    found = {name: over([*x], y, [1] * 6, groups) for name, x in columns.items()}
    path = tmp_path / "audit.png"
    audit.scatter(columns, np.array(y), groups, found, "title", path)
    assert path.stat().st_size > 10_000
