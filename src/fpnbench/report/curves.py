"""The figure of one search, as it went."""

from collections.abc import Sequence
from math import nan
from pathlib import Path

from matplotlib.axes import Axes
from matplotlib.ticker import MaxNLocator
from matplotlib.transforms import blended_transform_factory, offset_copy

from fpnbench.report.style import (
    AMBER,
    BLUE,
    MUTED,
    RED,
    TEAL,
    panels,
    save,
)
from fpnbench.search.trial import Trial, full_epochs


def incumbents(
    keys: Sequence[str], rewards: Sequence[float | None]
) -> list[tuple[str, float]]:
    """Return key and reward of the best network after every trial.

    Of a network that was trained several times the last reward counts, a mean, so that
    the best one can fall. An empty key is no network of the search; ("", NaN) stands
    before the first.
    """
    known: dict[str, float] = {}
    best, found = "", []
    for key, reward in zip(keys, rewards, strict=True):
        if key and reward is not None:
            fell = reward < known.get(key, reward)
            known[key] = reward
            if fell or not best or reward > known[best]:
                best = max(known, key=known.__getitem__)
        found.append((best, known.get(best, nan)))
    return found


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

    Left: every reward and the best so far, of the longest trainings; right:
    architectures asked for against different ones among them.

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
        keys = [t.key if t.choices else "" for t in trials]
        full = full_epochs(t for t in trials if t.choices)
        rewards = [t.reward if t.epochs == full else None for t in trials]
        best = [value for _, value in incumbents(keys, rewards)]
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
