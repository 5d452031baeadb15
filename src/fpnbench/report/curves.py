"""Figures of searches: one run as it went, and many runs compared."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import accumulate, cycle
from math import inf, nan
from pathlib import Path
from textwrap import fill

from matplotlib.axes import Axes
from matplotlib.ticker import MaxNLocator
from matplotlib.transforms import blended_transform_factory, offset_copy

from fpnbench.report.style import (
    AMBER,
    BLUE,
    DASHES,
    INK,
    MUTED,
    RED,
    SERIES,
    TEAL,
    panels,
    save,
)
from fpnbench.search.trial import Trial

BAND_RUNS = 3
"""Fewest runs whose quartiles are drawn."""


@dataclass(frozen=True, slots=True)
class Band:
    """Median and quartiles over runs of the best reward so far, after every trial."""

    trials: tuple[int, ...]
    low: tuple[float, ...]
    median: tuple[float, ...]
    high: tuple[float, ...]
    runs: int


def best_so_far(rewards: Sequence[float | None]) -> list[float]:
    """Return the highest reward after every trial; NaN before the first one."""
    best = accumulate((-inf if r is None else r for r in rewards), max)
    return [nan if value == -inf else value for value in best]


def unique_so_far(keys: Sequence[str]) -> list[int]:
    """Count the different networks after every trial; an empty key is none."""
    seen: set[str] = set()
    counts: list[int] = []
    for key in keys:
        seen |= {key} if key else set()
        counts.append(len(seen))
    return counts


def search_figure(trials: Sequence[Trial], path: Path, title: str) -> None:
    """Draw how one search went.

    Left: every reward and the best so far; right: architectures asked for against
    different ones among them.

    Args:
        trials: all trials of the run, in order of asking.
        path: a .png or .pdf to write.
        title: stands above the panels.

    Source: the two panels of NAS-FPN Fig. 5 (arXiv 1904.07392).
    """
    figure, (left, right) = panels(2, (5.2, 3.7), title)
    _rewards(left, trials)
    _counts(right, trials)
    for axis in (left, right):
        axis.set_xlabel("trial", fontsize=10)
        axis.xaxis.set_major_locator(MaxNLocator(integer=True))
    save(figure, path)


def comparison_figure(
    bands: Mapping[str, Mapping[str, Band]], path: Path, title: str
) -> None:
    """Draw best-so-far curves of many runs: a panel a space, a line a searcher.

    Args:
        bands: by space, then by searcher.
        path: a .png or .pdf to write.
        title: stands above the panels.
    """
    labels = {
        space: {name: fill(f"{name} (n={band.runs})", 44) for name, band in row.items()}
        for space, row in bands.items()
    }
    rows = max("\n".join(row.values()).count("\n") + 1 for row in labels.values())
    figure, axes = panels(len(bands), (4.2, 3.4 + 0.19 * rows), title)
    searchers = sorted({name for lines in bands.values() for name in lines})
    looks = dict(zip(searchers, cycle(zip(SERIES, DASHES, strict=True)), strict=False))
    for axis, (space, lines) in zip(axes, bands.items(), strict=True):
        axis.set_title(space, fontsize=11, color=INK)
        for searcher, band in lines.items():
            colour, dashes = looks[searcher]
            if band.runs >= BAND_RUNS:
                axis.fill_between(
                    band.trials,
                    band.low,
                    band.high,
                    step="post",
                    color=colour,
                    alpha=0.16,
                    linewidth=0,
                )
            axis.step(
                band.trials,
                band.median,
                where="post",
                color=colour,
                lw=2,
                ls=dashes,
                label=labels[space][searcher],
            )
        axis.set_xlabel("trial", fontsize=10)
        axis.xaxis.set_major_locator(MaxNLocator(integer=True))
        _legend(axis, columns=1)
    axes[0].set_ylabel("best reward so far (median, quartiles)", fontsize=10)
    save(figure, path)


def _rewards(axis: Axes, trials: Sequence[Trial]) -> None:
    axis.set_ylabel("reward", fontsize=10)
    styles = (("evaluation", BLUE, 26, 0.9), ("repeat", BLUE, 18, 0.28))
    for status, colour, size, alpha in styles:
        chosen = [t for t in trials if t.status == status and t.reward is not None]
        if chosen:
            axis.scatter(
                [t.number for t in chosen],
                [t.reward for t in chosen if t.reward is not None],
                s=size,
                color=colour,
                alpha=alpha,
                lw=0,
                label=status,
                zorder=3,
            )
    failed = [t.number for t in trials if t.reward is None]
    if failed:
        # Failures have no reward: they stand on the lower edge, whatever the scale.
        edge = blended_transform_factory(axis.transData, axis.transAxes)
        axis.scatter(
            failed,
            [0.02] * len(failed),
            s=30,
            marker="x",
            color=RED,
            lw=1.6,
            transform=edge,
            clip_on=False,
            label="failed",
            zorder=4,
        )
    if len(failed) < len(trials):
        numbers = [t.number for t in trials]
        best = best_so_far([t.reward for t in trials])
        axis.step(numbers, best, where="post", color=AMBER, lw=2.2, label="best so far")
        _legend(axis, columns=4)


def _counts(axis: Axes, trials: Sequence[Trial]) -> None:
    axis.set_ylabel("architectures", fontsize=10)
    numbers = [t.number for t in trials]
    asked = [place + 1 for place in range(len(trials))]
    unique = unique_so_far([t.key for t in trials])
    axis.plot(numbers, asked, color=MUTED, lw=1.6, ls="--", label="requested")
    axis.step(numbers, unique, where="post", color=TEAL, lw=2.2, label="unique")
    axis.fill_between(numbers, unique, step="post", color=TEAL, alpha=0.12, lw=0)
    axis.set_ylim(bottom=0)
    _legend(axis, columns=2)


def _legend(axis: Axes, columns: int) -> None:
    """Put the legend below the panel and its labels: inside it would hide points."""
    below = offset_copy(
        axis.transAxes, axis.get_figure(root=True), y=-34, units="points"
    )
    axis.legend(
        loc="upper center",
        bbox_to_anchor=(0.5, 0),
        bbox_transform=below,
        borderaxespad=0,
        ncols=columns,
        fontsize=9,
        frameon=False,
    )
