"""Figures of many runs: anytime curves, and AP against cost."""

from itertools import product
from pathlib import Path
from textwrap import fill

import pandas as pd
from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import EngFormatter

from fpnbench.report.anytime import AXES
from fpnbench.report.frontier import cost_range
from fpnbench.report.style import DASHES, INK, MUTED, SERIES, panels, save

LABELS = {
    **{"gmacs": "GMACs charged", "seconds": "seconds charged"},
    **{"macs": "MACs of an image", "latency_ms": "latency, ms"},
}
Looks = dict[str, tuple[str, str]]


def curves_figure(table: pd.DataFrame, path: Path, title: str) -> None:
    """Draw anytime curves: a row a space, a column an axis, a line a searcher.

    Thick: median of the incumbents' reward, quartiles as a band. Thin with a dot:
    median of their AP as finalists, as far as the incumbents of all runs are some.

    Args:
        table: of `curves`, not empty.
        path: a .png or .pdf to write.
        title: stands above the panels.
    """
    spaces, looks = table["space"].unique(), looks_of(table)
    figure, axes = panels(len(AXES), (3.2, 2.7), title, len(spaces))
    for panel, (space, axis) in zip(axes, product(spaces, AXES), strict=True):
        own = table[(table["space"] == space) & (table["axis"] == axis)]
        for name, line in own.assign(name=names(own)).groupby("name"):
            _curve(panel, line, name, *looks[name])
        if own.empty:
            told = "the runs of no row\nhave a common range"
            panel.text(0.5, 0.5, told, ha="center", va="center", color=MUTED)
            panel.set_xlim(0, 1)
        if own["ap_median"].notna().any():
            told = "AP of the same as finalists"
            panel.plot([], [], color=MUTED, lw=1, marker="o", ms=4, label=told)
        _label(panel, axis)
        if axis == AXES[0]:
            first = panel
            panel.set_ylabel("best reward so far", fontsize=10)
            panel.set_title(space, fontsize=11, color=INK, loc="left")
        else:
            panel.sharey(first)
            panel.tick_params(labelleft=False)
    _legend(figure, axes)
    save(figure, path)


def frontier_figure(found: pd.DataFrame, path: Path, title: str) -> None:
    """Draw AP against cost: a column a space, a row a cost, a colour a searcher.

    Faint: every network that was evaluated; line: the frontier of all seeds together,
    over the costs that the hypervolume takes in, as far as every panel goes.

    Args:
        found: of `points`, not empty.
        path: a .png or .pdf to write.
        title: stands above the panels.
    """
    spaces, costs = found["space"].unique(), found["cost"].unique()
    figure, axes = panels(len(spaces), (4.4, 3.4), title, len(costs))
    looks = looks_of(found)
    for panel, (cost, space) in zip(axes, product(costs, spaces), strict=True):
        every = found[found["cost"] == cost]
        own, (first, last) = every[every["space"] == space], cost_range(every["value"])
        for name, dots in own.assign(name=names(own)).groupby("name"):
            colour, dashes = looks[name]
            value, ap = dots["value"], dots["ap"]
            panel.scatter(value, ap, s=12, color=colour, alpha=0.25, lw=0)
            front = dots[dots["pooled"]].sort_values("value")
            value, ap = [*front["value"], last], [*front["ap"], front["ap"].max()]
            step = panel.step(value, ap, where="post", color=colour, lw=2, ls=dashes)
            step[0].set_label(name)
        panel.set_title(space, fontsize=11, color=INK, loc="left")
        rim = 0.04 * (last - first) or 1.0  # nothing is cut off
        panel.set_xlim(first - rim, last)
        panel.set_ylim(0, max(0.01, found["ap"].max() * 1.05))
        _label(panel, cost)
    for panel in axes[:: len(spaces)]:
        panel.set_ylabel("AP in the search", fontsize=10)
    _legend(figure, axes)
    save(figure, path)


def names(table: pd.DataFrame) -> pd.Series:
    """Return what a line is called: searcher and settings."""
    return (table["searcher"] + " " + table["settings"]).str.strip()


def looks_of(table: pd.DataFrame) -> Looks:
    """Return colour and dashes of every line, the same in all panels."""
    count = len(SERIES)
    return {
        # The second round of colours has other dashes.
        name: (SERIES[n % count], DASHES[(n + n // count) % count])
        for n, name in enumerate(sorted(names(table).unique()))
    }


def _curve(
    panel: Axes, line: pd.DataFrame, name: str, colour: str, dashes: str
) -> None:
    spent, low, high = line["spent"], line["reward_low"], line["reward_high"]
    panel.fill_between(spent, low, high, step="post", color=colour, alpha=0.16, lw=0)
    label = f"{name} (n={line['runs'].max()})"
    panel.step(
        spent,
        line["reward_median"],
        where="post",
        color=colour,
        lw=2,
        ls=dashes,
        label=label,
    )
    ap = line["ap_median"].where(line["ap_runs"] == line["runs"])
    panel.step(
        spent, ap, where="post", color=colour, lw=1, marker="o", ms=4, markevery=[-1]
    )


def _label(panel: Axes, what: str) -> None:
    panel.set_xlabel(LABELS.get(what, what), fontsize=10)
    panel.xaxis.set_major_formatter(EngFormatter(sep=""))


def _legend(figure: Figure, axes: list[Axes]) -> None:
    """Name every line once, below all panels."""
    told: dict[str, Artist] = {}
    for panel in axes:
        for handle, label in zip(*panel.get_legend_handles_labels(), strict=True):
            told.setdefault(label, handle)
    labels = [fill(label, 44).split("\n") for label in told]
    # Inches: about .09 a letter and .6 for the line before; .17 a line of text.
    width = 0.6 + 0.09 * max(len(line) for label in labels for line in label)
    columns = max(1, int(figure.get_figwidth() / width))
    lines = -(-len(labels) // columns) * max(map(len, labels))
    figure.set_figheight(figure.get_figheight() + 0.17 * lines)
    below = figure.legend(
        list(told.values()),
        ["\n".join(label) for label in labels],
        loc="outside lower center",
        ncols=columns,
        fontsize=9,
    )
    below.set_frame_on(False)
