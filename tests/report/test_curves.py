"""Figures of searches: what stands in their panels, on cases counted by hand."""

from math import isnan
from pathlib import Path

import numpy as np
import pytest
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from fpnbench.report import curves
from fpnbench.report.curves import (
    Band,
    best_so_far,
    comparison_figure,
    search_figure,
    unique_so_far,
)
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


def test_best_so_far_passes_over_failures():
    best = best_so_far([None, 0.2, 0.5, None, 0.3])
    assert isnan(best[0])
    assert best[1:] == [0.2, 0.5, 0.5, 0.5]


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


def test_comparison_has_a_panel_a_space_and_one_look_a_searcher(figures):
    band = Band((0, 1), (0.1, 0.2), (0.2, 0.3), (0.3, 0.4), 3)
    few = Band(band.trials, band.low, band.median, band.high, 2)
    lines = {"nasfpn": {"ppo": band, "random": band}, "mnasfpn": {"random": few}}
    comparison_figure(lines, Path("unused.png"), "")
    first, second = figures[0].axes
    assert [first.get_title(), second.get_title()] == ["nasfpn", "mnasfpn"]
    colours = {line.get_label(): line.get_color() for line in first.get_lines()}
    assert set(colours) == {"ppo (n=3)", "random (n=3)"}
    assert len(first.collections) == 2
    assert not second.collections  # quartiles of two runs are none
    (line,) = second.get_lines()
    assert line.get_color() == colours["random (n=3)"] != colours["ppo (n=3)"]
    assert list(line.get_ydata()) == [0.2, 0.3]


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
    band = Band((0, 1), (0.1, 0.2), (0.2, 0.3), (0.3, 0.4), 3)
    long = "random, searcher.dedup=replay, repeats=2, image_px=256, budget.trials=50"
    names = ("evolution", "local_search", "ppo", "optuna_tpe", "supernet", long)
    lines = dict.fromkeys(names, band)
    search_figure(TRIALS, Path("unused.png"), "title")
    comparison_figure({"nasfpn": lines, "mnasfpn": lines}, Path("unused.png"), "title")
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
