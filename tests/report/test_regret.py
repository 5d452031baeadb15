"""Summary and bars of regret curves, on numbers whose answers are known."""

from pathlib import Path

import pandas as pd
import pytest
from scipy import stats

from fpnbench.report.regret import COLUMNS, bars, figure, summary

WIDE = {"worse_by": 0.1, "margin": 0.1}


def frame(**ends: list[float]) -> pd.DataFrame:
    """Two evaluations a run: regret 9, then the one given for each seed."""
    rows = [
        ("t", name, 0.5, seed, n, 2 * n, regret, regret)
        for name, finals in ends.items()
        for seed, final in enumerate(finals)
        for n, regret in ((1, 9.0), (2, final))
    ]
    return pd.DataFrame(rows, columns=COLUMNS)


def test_the_summary_is_of_seeds_at_the_marks_alone() -> None:
    table = summary(frame(ours=[1.0, 2.0, 3.0, 6.0]), [2])
    assert len(table) == 1
    row = table.iloc[0]
    assert (row["runs"], row["trials"], row["evaluation"]) == (4, 4, 2)
    assert (row["low"], row["median"], row["high"]) == (1.75, 2.5, 3.75)


@pytest.mark.parametrize(("shift", "held"), [(0.0, True), (-1.0, False), (1.0, True)])
def test_ours_is_judged_by_the_lower_end_of_theirs_minus_ours(
    shift: float, held: bool
) -> None:
    ours = [1.0, 2.0, 3.0, 4.0]
    theirs = [1.0 + shift, 2.2 + shift, 3.0 + shift, 4.2 + shift]
    table = frame(ours=ours, theirs=theirs)
    (bar,) = bars(table, 4.0, pairs={"ours": "theirs"}, alike=[], **WIDE)
    # Differences 0, .2, 0, .2 plus the shift; the unit is the table's sd, 4.
    values = [shift / 4, (shift + 0.2) / 4] * 2
    low, high = stats.t.interval(0.95, 3, sum(values) / 4, stats.sem(values))
    assert f"[{low:+.3f}, {high:+.3f}] sd, 4 seeds" in bar.measured
    assert bar.held == held == (low > -0.1)


def test_pairs_are_of_seeds_that_both_have_and_absent_searchers_have_no_bar() -> None:
    table = frame(ours=[1.0, 2.0, 3.0, 50.0], theirs=[1.0, 2.1, 3.0])
    pairs = {"ours": "theirs", "gone": "theirs", "theirs": "lost"}
    (bar,) = bars(table, 4.0, pairs=pairs, alike=[("ours", "gone")], **WIDE)
    assert "3 seeds" in bar.measured
    assert bar.held


@pytest.mark.parametrize(("step", "held"), [(0.02, True), (0.3, False)])
def test_two_are_alike_where_both_one_sided_tests_say_so(
    step: float, held: bool
) -> None:
    other = [1.0 + step, 2.0 - step, 3.0 + step, 4.0 - step, 5.0]
    table = frame(a=[1.0, 2.0, 3.0, 4.0, 5.0], b=other)
    (bar,) = bars(table, 1.0, pairs={}, alike=[("a", "b")], **WIDE)
    differences = [-step, step, -step, step, 0.0]
    p = stats.ttest_1samp(differences, -0.1, alternative="greater").pvalue
    assert f"p={p:.2g}" in bar.measured  # the differences are symmetric
    assert bar.held == held == (p < 0.05)


def test_the_figure_has_a_row_for_pairs_that_were_run(tmp_path: Path) -> None:
    table = frame(ours=[1.0, 2.0, 3.0], theirs=[1.0, 2.0, 3.0])
    sizes = []
    for number, pairs in enumerate(({}, {"ours": "theirs"})):
        path = tmp_path / f"{number}.pdf"
        figure(table, 1.0, pairs, "title", path)
        box = path.read_bytes().split(b"/MediaBox [ ")[1].split(b" ]")[0]
        sizes.append(float(box.split()[3]))
    assert sizes[1] > 1.8 * sizes[0]
