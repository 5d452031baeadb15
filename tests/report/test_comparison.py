"""Figures of many runs: what stands in their panels."""

from pathlib import Path

import numpy as np
import pytest
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.colors import to_hex
from matplotlib.figure import Figure

from fpnbench.report import comparison
from fpnbench.report.anytime import curves
from fpnbench.report.comparison import curves_figure, frontier_figure, looks_of
from fpnbench.report.frontier import points


@pytest.fixture
def figures(monkeypatch: pytest.MonkeyPatch) -> list[Figure]:
    """Collect what is saved."""
    kept: list[Figure] = []
    monkeypatch.setattr(comparison, "save", lambda figure, path: kept.append(figure))
    return kept


@pytest.fixture
def runs(make_run):
    """Three runs of random and two of PPO in one space, one of random in another."""
    seeds = {("nasfpn", "random"): 3, ("nasfpn", "ppo"): 2, ("mnasfpn", "random"): 1}
    return [
        make_run(seed, [0.1 + seed / 10, 0.5], space=space, searcher=searcher)
        for (space, searcher), count in seeds.items()
        for seed in range(count)
    ]


def legend(figure: Figure) -> list[str]:
    return [text.get_text() for text in figure.legends[0].get_texts()]


def test_curves_have_a_row_a_space_a_column_an_axis_and_one_look_a_searcher(
    figures, runs
):
    curves_figure(curves(runs), Path("unused.png"), "title")
    axes = figures[0].axes
    assert [panel.get_title(loc="left") for panel in axes[::4]] == ["mnasfpn", "nasfpn"]
    assert [panel.get_xlabel() for panel in axes[:4]] == [
        *("evaluations", "images", "GMACs charged", "seconds charged"),
    ]
    assert legend(figures[0]) == ["random (n=1)", "ppo (n=2)", "random (n=3)"]
    ppo, _, random, _ = axes[4].get_lines()
    assert list(random.get_ydata()) == pytest.approx([0.2, 0.5])
    assert list(ppo.get_ydata()) == pytest.approx([0.15, 0.5])
    assert axes[0].get_lines()[0].get_color() == random.get_color() != ppo.get_color()
    # Quartiles are drawn from three runs on.
    drawn = {
        to_hex(band.get_facecolor()[0]): bool(band.get_paths())
        and np.isfinite(band.get_paths()[0].vertices).any()
        for band in axes[4].collections
    }
    assert drawn == {random.get_color(): True, ppo.get_color(): False}


def test_finalists_have_a_thin_line_where_all_incumbents_are_some(figures, make_run):
    runs = [
        make_run(seed, [0.1, 0.5], finals=[(f"{seed}-1", [0.3 + seed / 10])])
        for seed in range(2)
    ]
    curves_figure(curves(runs), Path("unused.png"), "")
    _, thin, _ = figures[0].axes[0].get_lines()
    np.testing.assert_array_equal(thin.get_ydata(), [np.nan, 0.35])
    assert legend(figures[0]) == ["random (n=2)", "AP of the same as finalists"]


def test_the_frontier_rises_up_to_the_end_of_the_range(figures, make_run):
    runs = [
        make_run(0, [0.4, 0.2, 0.1], macs=[3e6, 1e6, 2e6]),
        make_run(0, [0.3], macs=[8e6], space="mnasfpn"),
    ]
    frontier_figure(points(runs), Path("unused.png"), "")
    other, own = figures[0].axes
    (line,) = own.get_lines()
    assert list(line.get_xdata()) == pytest.approx([1e6, 3e6, 8.7e6])
    assert list(line.get_ydata()) == [0.2, 0.4, 0.4]
    assert len(own.collections[0].get_offsets()) == 3
    assert own.get_xlim() == other.get_xlim() == pytest.approx((0.692e6, 8.7e6))
    assert own.get_ylim() == other.get_ylim()
    assert legend(figures[0]) == ["random"]


def test_latency_has_a_row_of_panels_where_it_is_known(figures, make_run):
    run = make_run(0, [0.4, 0.2], trials={"latency_ms": [3.0, 2.0]})
    frontier_figure(points([run]), Path("unused.png"), "")
    labels = {panel.get_xlabel() for panel in figures[0].axes}
    assert labels == {"MACs of an image", "latency, ms"}


def test_ten_searchers_look_different(make_run):
    runs = [make_run(0, [0.1], searcher=f"s{n}") for n in range(10)]
    assert len(set(looks_of(points(runs)).values())) == 10


@pytest.mark.parametrize(
    "settings", ["", "image_px=256 repeats=2 searcher.dedup=retrain width=64"]
)
def test_the_legend_lies_below_the_panels_and_within_the_sheet(
    figures, make_run, settings
):
    names = ("evolution", "local_search", "random", "ppo", "optuna_tpe", "supernet")
    runs = [make_run(0, [0.1, 0.2], searcher=f"{name} {settings}") for name in names]
    curves_figure(curves(runs), Path("unused.png"), "title")
    frontier_figure(points(runs), Path("unused.png"), "title")
    for figure in figures:
        FigureCanvasAgg(figure).draw()
        box, sheet = figure.legends[0].get_window_extent(), figure.bbox
        assert sheet.x0 <= box.x0 < box.x1 <= sheet.x1
        assert sheet.y0 <= box.y0 < box.y1
        for panel in figure.axes:
            assert box.y1 < panel.get_tightbbox().y0
            # Long legends leave room for what they explain.
            assert panel.get_window_extent().height > 100


def test_one_network_of_no_worth_is_drawn_without_a_complaint(make_run, tmp_path):
    runs = [make_run(0, [0.0], finals=[("0-0", [0.0])])]
    curves_figure(curves(runs), tmp_path / "a.png", "")
    frontier_figure(points(runs), tmp_path / "b.png", "")


def test_files_are_written_with_the_same_bytes(runs, tmp_path):
    for suffix, magic in (("png", b"\x89PNG"), ("pdf", b"%PDF")):
        for draw, table in ((curves_figure, curves), (frontier_figure, points)):
            files = [tmp_path / f"{name}.{suffix}" for name in "ab"]
            for file in files:
                draw(table(runs), file, "title")
            assert files[0].read_bytes().startswith(magic)
            assert files[0].read_bytes() == files[1].read_bytes()
