"""Anytime curves, counted by hand."""

from math import isnan

import pandas as pd
import pytest

from fpnbench.report.anytime import COLUMNS, course, curves
from fpnbench.report.runs import ranked


def on(table: pd.DataFrame, axis: str) -> pd.DataFrame:
    return table[table["axis"] == axis].reset_index(drop=True)


def test_incumbents_stand_until_the_next_run_changes(make_run):
    # 2 and 3 GMACs a network: the runs change at 2, 4, 6 and at 3, 6.
    dear = {"gmacs": [3.0, 3.0]}
    runs = [make_run(0, [0.1, 0.5, 0.9]), make_run(1, [0.3, 0.2], trials=dear)]
    table = on(curves(runs), "gmacs")
    # From 3 on both have an incumbent.
    assert table["spent"].tolist() == [3, 4, 6]
    assert table["reward_median"].tolist() == pytest.approx([0.2, 0.4, 0.6])
    assert table["runs"].tolist() == [2, 2, 2]
    assert table["reward_low"].isna().all()  # quartiles from three runs
    assert on(curves(runs), "evaluations")["spent"].tolist() == [1, 2]
    assert on(curves(runs), "images")["spent"].tolist() == [100, 200]
    assert on(curves(runs), "seconds")["spent"].tolist() == [3, 6]


def test_quartiles_over_three_runs_end_with_the_shortest(make_run):
    runs = [make_run(seed, [r, r + 0.4]) for seed, r in enumerate((0.1, 0.2, 0.4))]
    runs.append(make_run(3, [None, 0.0, 0.3, 0.9, 0.9]))
    table = on(curves(runs), "evaluations")
    assert table["spent"].tolist() == [1, 2]
    # Of 0, .1, .2, .4 and of .3, .5, .6, .8.
    assert table["reward_low"].tolist() == pytest.approx([0.075, 0.45])
    assert table["reward_median"].tolist() == pytest.approx([0.15, 0.55])
    assert table["reward_high"].tolist() == pytest.approx([0.25, 0.65])


def test_the_incumbent_of_a_retrained_network_can_fall(make_run):
    run = make_run(
        0,
        [0.5, 0.4, 0.3, 0.6, 0.9],
        keys=["a", "b", "a", "a", "fpn"],
        trials={"choices": ["0", "1", "0", "0", None], "status": ["evaluation"] * 5},
    )
    table = course(run)
    assert table["reward"].tolist() == [0.5, 0.5, 0.4, 0.6, 0.6]
    assert table["evaluations"].tolist() == [1, 2, 3, 4, 5]
    assert table["reward"].iloc[-1] == ranked(run.trials)["reward"].iloc[0]


def test_ap_is_told_where_the_incumbent_is_a_finalist(make_run):
    finals = [[("0-2", [0.25]), ("0-1", [0.35])], [("1-1", [0.45])]]
    runs = [
        make_run(0, [0.1, 0.5, 0.9], finals=finals[0]),
        make_run(1, [0.3, 0.4, 0.2], finals=finals[1]),
    ]
    aps = course(runs[0])["ap"].tolist()
    assert isnan(aps[0])
    assert aps[1:] == [0.35, 0.25]
    table = on(curves(runs), "evaluations")
    assert table["ap_runs"].tolist() == [0, 2, 2]
    assert table["ap_median"].tolist()[1:] == pytest.approx([0.4, 0.35])
    assert isnan(table["ap_median"][0])
    assert on(curves([make_run(0, [0.1])]), "images")["ap_runs"].tolist() == [0]


def test_what_the_searcher_itself_spent_comes_first(make_run):
    run = make_run(0, [0.1, 0.2], gmacs=14.0, seconds=6.0)
    assert course(run)["gmacs"].tolist() == [12, 14]
    assert course(run)["seconds"].tolist() == [3, 6]


def test_repeats_and_failures_cost_what_they_were_charged(make_run):
    run = make_run(0, [0.1, 0.1, None, 0.2], keys=["a", "a", "b", "c"])
    assert course(run)["evaluations"].tolist() == [1, 1, 1, 2]
    assert course(run)["gmacs"].tolist() == [2, 2, 2, 4]
    # Several trials at one amount: the last of them is what it bought.
    assert on(curves([run]), "gmacs")["spent"].tolist() == [2, 4]


def test_runs_without_a_result_have_no_curve(make_run):
    lost = make_run(0, [None, None])
    assert curves([lost]).empty
    assert list(curves([lost]).columns) == COLUMNS
    table = curves([lost, make_run(1, [0.1, 0.2])])
    assert set(table["runs"]) == {1}
