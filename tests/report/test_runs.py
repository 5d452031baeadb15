"""Run folders as data: what is read, grouped, refused and counted."""

import json
from pathlib import Path

import pandas as pd
import pytest

from fpnbench.graph.errors import UserError
from fpnbench.report.runs import (
    Group,
    Run,
    check_comparable,
    counts,
    differences,
    groups,
    ranked,
    read_run,
    twins,
    with_finalists,
)


def written(run: Run, folder: Path) -> Path:
    """Write a run as its folder."""
    folder.mkdir()
    (folder / "summary.json").write_text(json.dumps(run.summary, default=float))
    run.trials.to_csv(folder / "trials.csv", index=False)
    (folder / "environment.json").write_text(json.dumps(run.environment))
    if run.finalists is not None:
        run.finalists.to_csv(folder / "finalists.csv", index=False)
    return folder


def test_a_folder_is_read_as_it_was_written(make_run, tmp_path):
    # A key of digits and an e is a float to pandas, unless it is told otherwise.
    made = make_run(
        3, [0.1, None, 0.4], keys=["1e5", "f", "0007"], environment={"a": 1}
    )
    read = read_run(written(made, tmp_path / "run"), {"repeats": 2})
    assert read.summary["seed"] == 3
    assert read.trials["key"].tolist() == ["1e5", "f", "0007"]
    assert read.environment == {"a": 1}
    assert read.config == {"searcher.dedup": "replay", "repeats": 2}
    assert with_finalists(read).finalists is None


def test_a_broken_folder_is_one_line(make_run, tmp_path):
    folder = written(make_run(0, [0.1]), tmp_path / "run")
    (folder / "environment.json").write_text("{")
    with pytest.raises(UserError, match="cannot be read as a run"):
        read_run(folder, {})
    (folder / "environment.json").unlink()
    assert read_run(folder, {}).environment == {}
    (folder / "trials.csv").write_text("key,reward,gmacs\n")
    with pytest.raises(UserError, match=r"choices, status.* absent"):
        read_run(folder, {})
    (folder / "summary.json").write_text("{}")
    with pytest.raises(UserError, match=r"space, searcher.* absent"):
        read_run(folder, {})


def test_the_last_reward_of_a_network_counts_and_known_cells_do_not(make_run):
    # b was trained twice, and its mean fell below a; c and d are equal, c came first.
    run = make_run(
        0,
        [0.5, 0.9, 0.3, 0.3, 0.4, None, 0.99],
        keys=["a", "b", "c", "d", "b", "e", "fpn"],
        trials={"choices": [*["0"] * 6, None]},
    )
    assert ranked(run.trials)["key"].tolist() == ["a", "b", "c", "d"]
    assert ranked(run.trials)["reward"].tolist() == [0.5, 0.4, 0.3, 0.3]


def test_finalists_are_those_of_the_run_as_it_is_now(make_run, tmp_path):
    run = make_run(0, [0.1, 0.4], finals=[("0-1", [0.3]), ("0-0", [0.2])])
    folder = written(run, tmp_path / "run")
    read = with_finalists(read_run(folder, {}))
    assert read.finalists is not None
    assert read.finalists["ap"].tolist() == [0.3, 0.2]
    longer = make_run(0, [0.1, 0.4, 0.5])
    longer.trials.to_csv(folder / "trials.csv", index=False)
    with pytest.raises(UserError, match="does not hold the run's best networks"):
        with_finalists(read_run(folder, {}))
    for text, said in (("", "cannot be read"), ("key,ap\n", r"ap_low.* absent")):
        (folder / "finalists.csv").write_text(text)
        with pytest.raises(UserError, match=said):
            with_finalists(read_run(folder, {}))


def test_runs_of_different_benchmarks_are_refused(make_run):
    with pytest.raises(UserError, match=r"different benchmarks.*b1.*b2"):
        check_comparable([make_run(0, [0.1]), make_run(1, [0.1], benchmark="b2")])
    finals = [("0-0", [0.3])], [("1-0", [0.3])]
    one = make_run(0, [0.1], finals=finals[0])
    check_comparable([one, make_run(1, [0.1]), make_run(2, [0.1])])
    other = make_run(1, [0.1], finals=finals[1], final_benchmark="b2-val")
    with pytest.raises(UserError, match=r"b1-val.*finalists.csv has b2-val"):
        check_comparable([one, other])


def test_the_same_run_twice_is_refused_and_another_setting_is_another_group(make_run):
    with pytest.raises(UserError, match="same space, searcher and seed"):
        check_comparable([make_run(0, [0.1]), make_run(0, [0.2])])
    runs = [make_run(0, [0.1], config={"repeats": 3}), make_run(0, [0.2])]
    check_comparable(runs)
    assert list(groups(runs)) == [
        Group("nasfpn", "random", "repeats=1"),
        Group("nasfpn", "random", "repeats=3"),
    ]


def test_a_key_only_some_runs_have_is_a_setting(make_run):
    runs = [make_run(0, [0.1]), make_run(0, [0.2], config={"noise": 0.1})]
    assert [group.settings for group in groups(runs)] == ["", "noise=0.1"]


def test_a_key_that_follows_another_is_no_setting_of_its_own(make_run):
    runs = [
        make_run(0, [0.1], config={"repeats": n, "space.repeats": n, "noise": n})
        for n in (1, 2)
    ]
    settings = [group.settings for group in groups(runs)]
    assert settings == ["noise=1 repeats=1", "noise=2 repeats=2"]


def test_counts_have_a_row_a_run_in_order_of_seeds(make_run):
    runs = [make_run(10, [0.1]), make_run(9, [0.2, 0.2, None], keys=["a", "a", "b"])]
    table = counts(runs)
    columns = ["seed", "trials", "unique", "evaluations", "repeats", "failures"]
    assert table[columns].to_numpy().tolist() == [
        [9, 3, 2, 1, 1, 1],
        [10, 1, 1, 1, 0, 0],
    ]
    assert table["store_hits"].tolist() == [1, 1]


def test_what_runs_were_computed_with_is_named_where_it_differs(make_run):
    def run(seed: int, torch: str, cpu: str | None) -> Run:
        packages = {"torch": torch, "numpy": "2.4.6"}
        return make_run(seed, [0.1], environment={"cpu": cpu, "packages": packages})

    same = [run(0, "2.13", "Xeon"), run(1, "2.13", "Xeon"), make_run(2, [0.1])]
    assert differences(same) == []
    other = [*same, run(3, "2.14", "EPYC")]
    assert differences(other) == ["cpu EPYC | Xeon", "torch 2.13 | 2.14"]


def test_ranking_survives_a_run_of_failures(make_run):
    assert ranked(make_run(0, [None, None]).trials).empty
    assert ranked(pd.DataFrame(columns=make_run(0, [0.1]).trials.columns)).empty


def test_searches_that_asked_for_the_same_networks_are_told(make_run):
    runs = [
        make_run(seed, [0.1, 0.2], searcher=name, keys=[f"{seed}-a", last])
        for name, last in (("random", "b"), ("evolution", "b"), ("ppo", "c"))
        for seed in (0, 1)
    ]
    (same,) = twins(runs)
    assert [group.searcher for group in same] == ["evolution", "random"]
    assert twins(runs[:2] + runs[4:]) == []
