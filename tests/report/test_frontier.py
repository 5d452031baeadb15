"""Frontiers and hypervolumes, against brute force."""

from math import isnan

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fpnbench.report.frontier import (
    attained,
    cost_range,
    hypervolume,
    non_dominated,
    points,
    volumes,
)

END = 12
networks = st.lists(
    st.tuples(st.integers(0, END), st.integers(0, END)), min_size=1, max_size=12
)


def sides(found: list[tuple[int, int]]) -> tuple[list[int], list[int]]:
    return [cost for cost, _ in found], [ap for _, ap in found]


@given(networks)
def test_a_point_is_kept_if_no_other_is_as_cheap_and_as_good(found):
    kept = [
        not any(
            (c <= cost and a >= ap) and ((c, a) != (cost, ap) or other < place)
            for other, (c, a) in enumerate(found)
            if other != place
        )
        for place, (cost, ap) in enumerate(found)
    ]
    assert non_dominated(*sides(found)).tolist() == kept


@given(networks)
def test_the_hypervolume_is_the_count_of_dominated_cells(found):
    for first in (0, 5):
        cells = sum(
            any(cost <= x and ap > y for cost, ap in found)
            for x in range(first, END)
            for y in range(END)
        )
        area = hypervolume(*sides(found), (first, END))
        assert area == pytest.approx(cells / (END - first))


@given(networks, st.integers(0, END))
def test_what_is_attained_is_the_best_that_is_no_dearer(found, limit):
    value = attained(*sides(found), limit)
    if affordable := [ap for cost, ap in found if cost <= limit]:
        assert value == max(affordable)
    else:
        assert isnan(value)


def test_a_hypervolume_by_hand():
    # .2 from 1 to 3, then .5 up to 4; the points (2, .1) and (4, .9) add nothing.
    area = 0.2 * 2 + 0.5 * 1
    found = [3, 1, 2, 4], [0.5, 0.2, 0.1, 0.9]
    assert hypervolume(*found, (0, 4)) == pytest.approx(area / 4)
    assert hypervolume(*found, (2, 4)) == pytest.approx((0.2 + 0.5) / 2)
    assert hypervolume([4], [0.9], (0, 4)) == 0
    assert hypervolume([4, 5], [0.9, 1], (4, 4)) == 0.9


def test_the_range_of_costs_goes_a_tenth_beyond_the_dearest():
    assert cost_range([3, 1, 2]) == pytest.approx((1, 3.2))
    assert cost_range([2, 2]) == (2, 2)


def test_points_are_the_networks_of_the_search_with_their_mean_ap(make_run):
    run = make_run(
        0,
        [0.2, 0.5, 0.3, None, 0.9, 0.5],
        keys=["a", "b", "a", "c", "fpn", "b"],
        macs=[1e6, 2e6, 1e6, 1e6, 1e6, 2e6],
        trials={
            "choices": ["0", "1", "0", "2", None, "1"],
            "status": [*["evaluation"] * 3, "failed", "evaluation", "repeat"],
            # a was retrained: its reward is a mean already, its APs are single ones.
            "ap": [0.2, 0.5, 0.4, np.nan, 0.9, 0.5],
            "latency_ms": [7.0, 5.0, 7.0, np.nan, np.nan, 5.0],
        },
    )
    table = points([run]).set_index(["cost", "key"])
    assert table.loc["macs", "ap"].to_dict() == pytest.approx({"a": 0.3, "b": 0.5})
    assert table.loc["macs", "value"].to_dict() == {"a": 1e6, "b": 2e6}
    assert table.loc["macs", "frontier"].to_dict() == {"a": True, "b": True}
    assert table.loc["latency_ms", "frontier"].to_dict() == {"a": False, "b": True}


def test_frontiers_are_of_a_run_and_of_all_runs_of_a_group(make_run):
    runs = [
        make_run(0, [0.2, 0.4], macs=[1e6, 3e6]),
        make_run(1, [0.5], macs=[2e6]),
        make_run(0, [0.1], macs=[4e6], searcher="ppo"),
    ]
    table = points(runs).set_index(["searcher", "key"])
    assert table["frontier"].all()
    pooled = table["pooled"].to_dict()
    assert pooled == {
        ("ppo", "0-0"): True,
        ("random", "0-0"): True,
        ("random", "0-1"): False,
        ("random", "1-0"): True,
    }
    assert set(table["cost"]) == {"macs"}


def test_volumes_are_means_over_seeds_and_one_range_of_costs(make_run):
    runs = [
        make_run(0, [0.2, 0.4], macs=[1e6, 3e6]),
        make_run(1, [0.5], macs=[2e6]),
        make_run(0, [0.1], macs=[4e6], searcher="ppo", space="mnasfpn"),
    ]
    ppo, random = volumes(points(runs)).to_dict("records")
    # From 1 to 4.3 million; ppo has .1 from 4 on.
    assert ppo["space"] == "mnasfpn"
    assert ppo["hypervolume_mean"] == pytest.approx(0.03 / 3.3)
    for row in (ppo, random):
        assert (row["from_cost"], row["to_cost"]) == pytest.approx((1e6, 4.3e6))
    # One run: .2 from 1 to 3, .4 from there on; the other: .5 from 2 on.
    means = (0.4 + 0.52) / 3.3, 1.15 / 3.3
    assert random["hypervolume_mean"] == pytest.approx(sum(means) / 2)
    assert random["hypervolume_n"] == 2
    assert isnan(random["hypervolume_low"])
    # Quartiles of 1, 2, 3, 4 million: at the first one run has nothing so cheap.
    limits = [random[f"limit_{n}"] for n in (1, 2, 3)]
    assert limits == [1.75e6, 2.5e6, 3.25e6]
    assert isnan(random["ap_1"])
    assert random["ap_2"] == pytest.approx((0.2 + 0.5) / 2)
    assert random["ap_3"] == pytest.approx((0.4 + 0.5) / 2)


def test_runs_without_a_network_have_no_points(make_run):
    lost = points([make_run(0, [None])])
    assert lost.empty
    assert volumes(lost).empty
    one = points([make_run(0, [None]), make_run(1, [0.3])])
    assert one["frontier"].tolist() == [True]
