"""The matrix, on numbers worked out by hand."""

from itertools import product
from math import isnan

import pandas as pd
import pytest

from fpnbench.report.matrix import gain, matrix, standing
from fpnbench.report.runs import Run


def row(runs: list[Run], baseline: str | None = "random", **where: str) -> pd.Series:
    table = matrix(runs, baseline)
    for name, value in where.items():
        table = table[table[name] == value]
    (found,) = table.iloc
    return found


def test_without_finalists_the_best_reward_stands_in_and_says_so(make_run):
    runs = [make_run(0, [0.1, 0.3]), make_run(1, [0.5]), make_run(2, [0.4, 0.2])]
    found = row(runs)
    # Best rewards .3, .5, .4: mean .4, sd .1; Student's t for 2 degrees: 4.30265.
    assert found["result"] == "reward"
    assert found["reward_n"] == found["runs"] == 3
    assert found["reward_mean"] == pytest.approx(0.4)
    assert found["reward_sd"] == pytest.approx(0.1)
    half = 4.30265 * 0.1 / 3**0.5
    assert found["reward_high"] - 0.4 == pytest.approx(half, abs=1e-5)
    assert found["reward_low"] + found["reward_high"] == pytest.approx(0.8)
    for name in ("ap_mean", "ap_all", "ap_images", "optimism", "finalists"):
        assert isnan(found[name])


def test_a_result_is_the_finalist_with_the_best_mean_not_the_best_reward(make_run):
    # The network with the highest reward, .9, has AP .3; the second one .4.
    finals = [("0-1", [0.2, 0.4]), ("0-0", [0.5, 0.3])]
    first = make_run(0, [0.8, 0.9], macs=[5e6, 9e6], finals=finals)
    second = make_run(1, [0.7], macs=[2e6], finals=[("1-0", [0.6, 0.6])])
    found = row([first, second])
    assert found["result"] == "ap"
    assert found["ap_mean"] == pytest.approx((0.4 + 0.6) / 2)
    assert found["ap_sd"] == pytest.approx(0.2 / 2**0.5)
    assert isnan(found["ap_low"])  # two seeds
    assert found["ap_all"] == pytest.approx((0.35 + 0.6) / 2)
    assert found["ap_images"] == pytest.approx(0.03)
    assert found["macs"] == pytest.approx((5e6 + 2e6) / 2)
    assert found["optimism"] == pytest.approx(((0.9 - 0.3) + (0.7 - 0.6)) / 2)
    assert found["reward_mean"] == pytest.approx(0.8)
    assert found["final_benchmark"] == "b1-val"


def test_a_run_without_finalists_is_left_out_of_the_ap_alone(make_run):
    runs = [make_run(0, [0.5], finals=[("0-0", [0.3])]), make_run(1, [0.9])]
    found = row(runs)
    assert (found["seeds"], found["reward_n"], found["runs"]) == (1, 2, 2)
    assert found["ap_mean"] == pytest.approx(0.3)


def test_a_run_of_failures_is_not_averaged(make_run):
    found = row([make_run(0, [0.3]), make_run(1, [None, None])])
    assert (found["reward_n"], found["runs"]) == (1, 2)
    assert found["reward_mean"] == pytest.approx(0.3)
    lost = row([make_run(0, [None])])
    assert lost["reward_n"] == 0
    assert isnan(lost["reward_mean"])
    assert lost["standing"] == ""


@pytest.mark.parametrize(
    ("ours", "word", "behind", "sd"),
    [
        # Eighths are exact. Differences 1/8, 2/8, 3/8: the mean is 2 sd, still a tie.
        ([0.75, 0.625, 0.5], "tie", 0.25, 0.125),
        ([0.7499, 0.625, 0.5], "behind", 0.2500333, 0.12495),
        # Always the same lead is no luck.
        ([0.75, 0.75, 0.75], "behind", 0.125, 0.0),
        ([0.875, 0.875, 0.875], "tie", 0.0, 0.0),
    ],
)
def test_a_difference_of_at_most_two_paired_sds_is_a_tie(ours, word, behind, sd):
    best, other = pd.Series([0.875] * 3), pd.Series(ours)
    found = standing(other, [best, other])
    assert found["standing"] == word
    assert found["behind"] == pytest.approx(behind, abs=1e-6)
    assert found["behind_sd"] == pytest.approx(sd, abs=1e-6)
    assert standing(best, [best, other])["standing"] == "best"


def test_only_common_seeds_are_compared_and_one_says_nothing():
    best = pd.Series({0: 0.9, 1: 0.8, 2: 0.7})
    ours = pd.Series({1: 0.6, 2: 0.4, 7: 0.0})
    assert standing(ours, [ours, best])["behind"] == pytest.approx(0.25)
    alone = pd.Series({2: 0.1})
    found = standing(alone, [alone, best])
    assert (found["standing"], found["behind"]) == ("", pytest.approx(0.6))
    assert standing(best, [best])["standing"] == ""


def test_ties_are_within_a_space(make_run):
    runs = [
        make_run(seed, [value + seed / 10], space=space, searcher=searcher)
        for (space, searcher), value in {
            ("nasfpn", "ppo"): 0.5,
            ("nasfpn", "random"): 0.1,
            ("mnasfpn", "ppo"): 0.2,
        }.items()
        for seed in range(3)
    ]
    words = matrix(runs, None).set_index(["space", "searcher"])["standing"].to_dict()
    assert words == {
        ("mnasfpn", "ppo"): "",
        ("nasfpn", "ppo"): "best",
        ("nasfpn", "random"): "behind",
    }


def test_gain_is_of_paired_means_with_the_interval_of_all_resamples():
    ours, theirs = pd.Series([0.3, 0.6, 0.5]), pd.Series([0.2, 0.5, 0.1])
    found = gain(ours, theirs)
    assert found["gain"] == pytest.approx(1.4 / 0.8 - 1)
    # All 27 resamples: the extremes are three times one pair, 1/27 each, so that the
    # outer 2.5 % lie within them.
    ratios = [
        sum(ours[i] for i in drawn) / sum(theirs[i] for i in drawn) - 1
        for drawn in product(range(3), repeat=3)
    ]
    assert found["gain_low"] == pytest.approx(min(ratios))
    assert found["gain_high"] == pytest.approx(max(ratios))


def test_gain_has_no_interval_below_three_pairs_and_none_over_nothing():
    two = gain(pd.Series({0: 0.3, 1: 0.5, 5: 9.0}), pd.Series({0: 0.2, 1: 0.2}))
    assert two["gain"] == pytest.approx(1.0)
    assert isnan(two["gain_low"])
    assert isnan(gain(pd.Series({0: 0.3}), pd.Series({1: 0.2}))["gain"])
    assert isnan(gain(pd.Series([0.3] * 3), pd.Series([0.0] * 3))["gain"])


def test_random_sampling_and_random_search_stand_in_every_row_of_the_space(make_run):
    random = make_run(
        0,
        [0.1, 0.3, None, 0.1, 0.8, 0.9],
        keys=["a", "b", "c", "a", "fpn", "known"],
        macs=[2e6, 4e6, 1e6, 2e6, 9e6, 9e6],
        trials={
            "choices": ["0", "1", "2", "0", None, "3"],
            # Enqueued cells were not drawn by the searcher.
            "cell": [None, None, None, None, "fpn", "nasfpn"],
        },
    )
    runs = [random, make_run(1, [0.5]), make_run(0, [0.6], searcher="ppo")]
    for searcher in ("ppo", "random"):
        found = row(runs, searcher=searcher)
        assert found["sampling_n"] == 3
        assert found["sampling_mean"] == pytest.approx(0.3)
        assert found["sampling_sd"] == pytest.approx(0.2)
        assert found["sampling_macs"] == pytest.approx(7e6 / 3)
        assert found["search_mean"] == pytest.approx((0.9 + 0.5) / 2)
    assert row(runs, searcher="ppo")["gain"] == pytest.approx(0.6 / 0.9 - 1)
    assert isnan(row(runs, searcher="random")["gain"])
    without = row(runs, "evolution", searcher="ppo")
    assert without["sampling_n"] == 0
    assert isnan(without["gain"])


def test_a_baseline_draws_from_the_same_networks(make_run):
    runs = [
        make_run(0, [value], searcher=searcher, config={"repeats": repeats})
        for searcher, repeats, value in (
            ("random", 1, 0.2),
            ("random", 3, 0.4),
            ("ppo", 1, 0.3),
            ("ppo", 3, 0.8),
            ("ppo", 5, 0.9),
        )
    ]
    gains = matrix(runs, "random").set_index(["searcher", "settings"])["gain"]
    assert gains["ppo", "repeats=1"] == pytest.approx(0.5)
    assert gains["ppo", "repeats=3"] == pytest.approx(1.0)
    assert isnan(gains["ppo", "repeats=5"])
    # Which of two is the baseline cannot be told; a setting of PPO's own is no matter.
    dedup = {"searcher.dedup": "retrain"}
    two = [make_run(0, [0.2]), make_run(0, [0.3], config=dedup)]
    ppo = make_run(0, [0.4], searcher="ppo", config=dedup)
    assert isnan(row([*two, ppo], searcher="ppo")["gain"])
    assert row([two[0], ppo], searcher="ppo")["gain"] == pytest.approx(1.0)
    assert row([two[0], ppo], searcher="ppo")["dedup"] == "retrain"


def test_a_row_says_what_its_runs_used(make_run):
    runs = [make_run(0, [0.1] * 4), make_run(2, [0.1] * 2, reason="stopped")]
    found = row(runs)
    assert (found["seeds"], found["runs"], found["seed_list"]) == (2, 2, "0 2")
    assert (found["trials_min"], found["trials_max"]) == (2, 4)
    assert (found["evaluations"], found["images"]) == (3, 300)
    assert (found["gmacs"], found["seconds"]) == (6, 9)
    assert found["ended"] == "stopped; the budget of 9 trials is used up"
    assert (found["benchmark"], found["data"]) == ("b1", "aquarium")
