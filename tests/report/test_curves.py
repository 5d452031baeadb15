"""The figure of one search: what stands in it, on cases counted by hand."""

from math import isnan
from pathlib import Path

import numpy as np
import pytest
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from fpnbench.report import curves
from fpnbench.report.curves import incumbents, search_figure, unique_so_far
from fpnbench.search.trial import Trial

TRIALS = [
    Trial(0, (0,), "a", 1, "failed", None, None, reason="loss is NaN"),
    Trial(1, (1,), "b", 1, "evaluation", 0.2, None),
    Trial(2, (2,), "c", 1, "evaluation", 0.5, None),
    Trial(3, (1,), "b", 1, "repeat", 0.2, None, repeat_of=1),
    Trial(4, (3,), "d", 1, "evaluation", 0.3, None),
]


@pytest.fixture
def figures(monkeypatch: pytest.MonkeyPatch) -> list[Figure]:
    """Collect what is saved."""
    kept: list[Figure] = []
    monkeypatch.setattr(curves, "save", lambda figure, path: kept.append(figure))
    return kept


def test_incumbents_pass_over_failures_and_what_is_no_network_of_the_search():
    (key, first), *rest = incumbents(
        ["a", "b", "c", "a", "", "d"], [None, 0.2, 0.5, None, 0.9, 0.5]
    )
    assert key == ""
    assert isnan(first)
    # Of equal rewards the earlier network.
    assert rest == [("b", 0.2), *[("c", 0.5)] * 4]


def test_an_incumbent_that_was_trained_again_can_fall():
    found = incumbents(["a", "b", "a", "a", "b"], [0.5, 0.4, 0.3, 0.45, 0.4])
    assert found == [("a", 0.5), ("a", 0.5), ("b", 0.4), ("a", 0.45), ("a", 0.45)]


def test_unique_so_far_counts_a_network_once_and_an_empty_key_never():
    assert unique_so_far(["a", "b", "a", "", "c"]) == [1, 2, 2, 2, 3]


def test_panels_of_a_search(figures):
    search_figure(TRIALS, Path("unused.png"), "title")
    left, right = figures[0].axes
    dots = {
        group.get_label(): group.get_offsets().tolist() for group in left.collections
    }
    assert dots["evaluation"] == [[1, 0.2], [2, 0.5], [4, 0.3]]
    assert dots["repeat"] == [[3, 0.2]]
    assert [x for x, _ in dots["failed"]] == [0]
    (best,) = left.get_lines()
    np.testing.assert_array_equal(best.get_ydata(), [np.nan, 0.2, 0.5, 0.5, 0.5])
    heights = {line.get_label(): list(line.get_ydata()) for line in right.get_lines()}
    assert heights == {"requested": [1, 2, 3, 4, 5], "unique": [1, 2, 3, 3, 4]}


@pytest.mark.parametrize("trials", [TRIALS, TRIALS[:1], []])
def test_files_are_written_whatever_happened(tmp_path, trials):
    for name, magic in (("a.png", b"\x89PNG"), ("a.pdf", b"%PDF")):
        search_figure(trials, tmp_path / name, "")
        assert (tmp_path / name).read_bytes().startswith(magic)


def test_same_trials_same_bytes(tmp_path):
    for suffix in ("png", "pdf"):
        paths = [tmp_path / f"{name}.{suffix}" for name in "ab"]
        for path in paths:
            search_figure(TRIALS, path, "")
        assert paths[0].read_bytes() == paths[1].read_bytes()


def test_no_legend_lies_on_a_panel_or_a_label(figures):
    search_figure(TRIALS, Path("unused.png"), "title")
    for figure in figures:
        canvas = FigureCanvasAgg(figure)
        canvas.draw()
        sheet = figure.bbox
        for axis in figure.axes:
            box = axis.get_legend().get_window_extent()
            label = axis.xaxis.label.get_window_extent()
            for other in figure.axes:
                assert not box.overlaps(other.get_window_extent())
            others = [
                a.get_legend().get_window_extent() for a in figure.axes if a is not axis
            ]
            assert not any(box.overlaps(other) for other in (label, *others))
            assert sheet.x0 <= box.x0 < box.x1 <= sheet.x1
            assert sheet.y0 <= box.y0 < box.y1 <= sheet.y1
