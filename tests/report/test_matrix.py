"""The matrix and its texts, on numbers worked out by hand."""

from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from fpnbench.graph.errors import UserError
from fpnbench.report import tables
from fpnbench.report.matrix import (
    Run,
    bands,
    check_comparable,
    counts,
    curves,
    matrix,
    read_run,
)


def run(
    seed: int,
    rewards: list[float | None],
    *,
    searcher: str = "random",
    benchmark: str = "b1",
    macs: int = 1_000_000,
    config: dict[str, object] | None = None,
    data: str = "aquarium",
) -> Run:
    scored = [reward for reward in rewards if reward is not None]
    best: dict[str, Any] | None = None
    if scored:
        score = {"ap": max(scored), "macs": macs, "params": 7}
        best = {"reward": max(scored), "score": score, "key": "k"}
    summary = {
        **{"space": "nasfpn", "searcher": searcher, "seed": seed, "data": data},
        **{"evaluator": "proxy", "benchmark": benchmark, "status": "done"},
        **{"trials": len(rewards), "unique": len(rewards), "gmacs": 10.0, "best": best},
    }
    trials = pd.DataFrame(
        {
            "reward": rewards,
            "key": [f"{seed}-{n // 2}" for n in range(len(rewards))],
            "gmacs": [2.0] * len(rewards),
        }
    )
    folder = Path(f"{searcher}-{seed}")
    return Run(folder, summary, config or {"repeats": 1}, trials)


def test_mean_spread_and_interval_by_hand():
    runs = [run(0, [0.1, 0.3]), run(1, [0.5]), run(2, [0.4, 0.2])]
    (row,) = matrix(runs).itertuples()
    # Best rewards .3, .5, .4: mean .4, sd .1; Student's t for 2 degrees: 4.30265.
    assert row.seeds == row.runs == 3
    assert row.reward_mean == pytest.approx(0.4)
    assert row.reward_sd == pytest.approx(0.1)
    assert row.reward_high - 0.4 == pytest.approx(4.30265 * 0.1 / 3**0.5, abs=1e-5)
    assert row.reward_low + row.reward_high == pytest.approx(0.8)


def test_cost_is_that_of_the_best_network_of_all_seeds():
    runs = [run(0, [0.3], macs=5_000_000), run(1, [0.5], macs=9_000_000)]
    (row,) = matrix(runs).itertuples()
    assert (row.reward, row.ap, row.macs) == (0.5, 0.5, 9_000_000)
    assert tables.rows(matrix(runs))[0][6] == "9.0"


@pytest.mark.parametrize(
    ("seeds", "spread", "interval"),
    [(1, "0.3000", "–"), (2, "0.3500 ± 0.0707", "–")],
)
def test_too_few_seeds_get_no_spread_or_interval(seeds, spread, interval):
    (row,) = tables.rows(matrix([run(0, [0.3]), run(1, [0.4])][:seeds]))
    assert row[3:6] == (spread, interval, str(seeds))


def test_a_run_without_a_result_is_said_and_not_averaged():
    table = matrix([run(0, [0.3]), run(1, [None, None])])
    (row,) = table.itertuples()
    assert (row.seeds, row.runs, row.reward_mean) == (1, 2, pytest.approx(0.3))
    assert any("no result" in note for note in tables.notes(table))
    lost = tables.rows(matrix([run(0, [None])]))
    assert lost[0][2:7] == ("–", "–", "–", "0", "–")


def test_runs_of_different_benchmarks_are_refused():
    with pytest.raises(UserError, match=r"different benchmarks.*b1.*b2"):
        check_comparable([run(0, [0.1]), run(1, [0.1], benchmark="b2")])


def test_the_same_run_twice_is_refused_and_another_setting_is_another_row():
    with pytest.raises(UserError, match="same space, searcher and seed"):
        check_comparable([run(0, [0.1]), run(0, [0.2])])
    runs = [run(0, [0.1]), run(0, [0.2], config={"repeats": 3})]
    check_comparable(runs)
    assert matrix(runs)["settings"].tolist() == ["repeats=1", "repeats=3"]


def test_a_key_only_some_runs_have_is_a_setting():
    runs = [run(0, [0.1]), run(0, [0.2], config={"repeats": 1, "noise": 0.1})]
    check_comparable(runs)
    assert matrix(runs)["settings"].tolist() == ["", "noise=0.1"]


def test_curves_are_quartiles_up_to_the_shortest_run():
    runs = [run(0, [0.1, 0.5, 0.9]), run(1, [0.3, 0.2]), run(2, [None, 0.4])]
    table = curves(runs)
    assert table["trial"].tolist() == [0, 1]
    assert table["median"].tolist() == pytest.approx([0.2, 0.4])
    assert table["low"].tolist() == pytest.approx([0.15, 0.35])
    assert table["high"].tolist() == pytest.approx([0.25, 0.45])
    assert table["gmacs"].tolist() == [2, 4]
    assert table["unique"].tolist() == [1, 1]
    band = bands(table)["nasfpn"]["random"]
    assert band.runs == 3
    assert band.median == pytest.approx((0.2, 0.4))


def test_counts_have_a_row_a_run():
    table = counts([run(1, [0.1]), run(0, [0.2, 0.3])])
    assert table[["seed", "trials", "reward"]].to_numpy().tolist() == [
        [0, 2, 0.3],
        [1, 1, 0.1],
    ]


def test_digits_are_a_demo_and_aquarium_is_not():
    demo, real = matrix([run(0, [0.1], data="digits")]), matrix([run(0, [0.1])])
    assert "DEMO" in tables.title(demo)
    assert "DEMO" in tables.latex(demo)
    assert "DEMO" not in tables.title(real) + tables.latex(real)
    for table in (demo, real):
        assert tables.NO_COMPARISON in tables.notes(table)


def test_unequal_budgets_are_said():
    runs = [run(0, [0.1]), run(0, [0.2, 0.3], searcher="ppo")]
    assert any("budgets differ" in note for note in tables.notes(matrix(runs)))
    assert not any("budgets differ" in n for n in tables.notes(matrix(runs[:1])))


def test_markdown_and_latex_hold_the_same_cells():
    table = matrix([run(0, [0.25], searcher="ppo_paper"), run(0, [0.5])])
    markdown = [
        [cell.strip() for cell in line.strip("|").split("|")]
        for line in tables.markdown(table).splitlines()
    ]
    assert markdown[2] == [
        "nasfpn",
        "ppo_paper",
        "0.2500",
        "0.2500",
        "–",
        "1",
        "1.0",
        "1",
    ]
    assert markdown[3][:3] == ["", "random", "0.5000"]
    latex = tables.latex(table)
    assert r"nasfpn & ppo\_paper & 0.2500 & 0.2500 & -- & 1 & 1.0 & 1 \\" in latex
    for rule in ("toprule", "midrule", "bottomrule"):
        assert rf"\{rule}" in latex
    assert latex.count(r"\begin") == latex.count(r"\end") == 2


def test_a_broken_folder_is_one_line(tmp_path):
    (tmp_path / "summary.json").write_text("{")
    (tmp_path / "trials.csv").write_text("key,reward,gmacs\n")
    with pytest.raises(UserError, match="cannot be read as a run"):
        read_run(tmp_path, {})
    (tmp_path / "summary.json").write_text("{}")
    with pytest.raises(UserError, match=r"space, searcher.* absent"):
        read_run(tmp_path, {})
