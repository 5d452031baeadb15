# ruff: noqa: N803, N806
"""How well predictors rank networks by their own trainings: figures, bars, scatter.

More is better in every predictor. Where a predictor ties networks, its best k are
drawn among them: precision and regret are the means over all such draws.

Shapes: N networks.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from math import comb, isnan, nan
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import stats

from fpnbench.report.bar import Bar
from fpnbench.report.statistics import Estimate, kendall, over_items, partial_tau
from fpnbench.report.style import AMBER, BLUE, MUTED, TEAL, panels, save

LEAST_NETWORKS = 3
RANDOM = "random"
"""The group of networks that nobody has chosen."""
LOOKS = ((BLUE, "o"), (AMBER, "^"), (TEAL, "s"))
"""Colour and mark of a group of networks, in order."""
COLUMNS = 4
Floats = NDArray[np.float64]
NONE = Estimate(nan, nan, nan)
ALL, HALF = "all", "better half"


@dataclass(frozen=True, slots=True)
class Part:
    """What a predictor is worth over a part of the networks.

    Attributes:
        networks: those that it knows.
        figures: by name, see `figures`.
    """

    networks: int
    figures: Mapping[str, Estimate]


Parts = Mapping[str, Part]


def sparse_tau(x: ArrayLike, y: ArrayLike, noise: float) -> float:
    """Return Kendall's tau over the pairs whose y differ by `noise` or more.

    The rest are ties, which nothing can be asked to order: a perfect predictor has 1,
    which tau-b would not give it. A tie in x counts as neither right nor wrong. NaN
    where no pair is left, or x is constant.

    Source: after Yu et al. 2020, How to Train Your Super-Net (arXiv 2003.04276),
    section 3.3, which shares ranks below a fixed difference of accuracy.
    """
    columns = np.asarray(x, float), np.asarray(y, float)
    a, b = (np.subtract.outer(column, column) for column in columns)
    decided = (np.abs(b) >= noise) & (b != 0)
    pairs = np.count_nonzero(decided)
    if not pairs or not a.any():
        return nan
    return float((np.sign(a * b) * decided).sum() / pairs)


def spearman(x: ArrayLike, y: ArrayLike) -> float:
    """Return Spearman's rank correlation, NaN where one side is constant."""
    ranks = [stats.rankdata(np.asarray(column, float)) for column in (x, y)]
    if any(np.ptp(column) == 0 for column in ranks):
        return nan
    return float(np.corrcoef(ranks)[0, 1])


def precision_at(x: ArrayLike, y: ArrayLike, k: int) -> float:
    """Return the share of the best k by x that is among the best k by y.

    Equal networks of a bootstrap are drawn alike on both sides. NaN of k networks or
    fewer, which are all the best.
    """
    found, true = (_among_best(np.asarray(column, float), k) for column in (x, y))
    return float(np.minimum(found, true).sum() / k) if len(found) > k else nan


def regret_at(x: ArrayLike, y: ArrayLike, k: int) -> float:
    """Return how far the best y among the best k by x lies below the best of all.

    NaN of k networks or fewer.
    """
    x_N, y_N = np.asarray(x, float), np.asarray(y, float)
    if len(x_N) <= k:
        return nan
    share = _among_best(x_N, k)
    found = max(y_N[share == 1], default=-np.inf)
    tied = np.sort(y_N[(share > 0) & (share < 1)])[::-1]
    if len(tied):
        left = k - int((share == 1).sum())
        # Number n is the best drawn when the others are drawn from behind it.
        ways = [comb(len(tied) - 1 - n, left - 1) for n in range(len(tied))]
        chances = np.array(ways, float) / comb(len(tied), left)
        found = chances @ np.maximum(tied, found)
    return float(y_N.max() - found)


def _among_best(values: Floats, k: int) -> Floats:
    """Return each network's chance to be among the best k, ties drawn at random."""
    if len(values) <= k:
        return np.ones(len(values))
    least = np.sort(values)[-k]
    above, tied = values > least, values == least
    share: Floats = above + tied * (k - above.sum()) / tied.sum()
    return share


def noise_of(first: ArrayLike, second: ArrayLike) -> float:
    """Return the standard deviation of AP between seeds, of networks trained twice.

    Half the mean squared difference is the variance within a network. NaN on either
    side is left out; NaN of no network.
    """
    gaps = np.subtract(first, second, dtype=float)
    gaps = gaps[~np.isnan(gaps)]
    return float(np.sqrt(np.mean(gaps**2) / 2)) if gaps.size else nan


def above_macs(x: ArrayLike, y: ArrayLike, macs: ArrayLike) -> float:
    """Return by how much x ranks y better than MACs do, whichever way those rank."""
    return kendall(x, y) - abs(kendall(macs, y))


def over_parts(
    x: Floats,
    y: Floats,
    macs: Floats,
    groups: Sequence[str],
    *,
    noise: float,
    top: int,
    resamples: int,
) -> dict[str, Part]:
    """Return what a predictor is worth over each part of the networks.

    Those are all; the better half by y, where ranking matters; and of a set with others
    in it the ones drawn at random, which no predictor has chosen. A part of which fewer
    than three networks are known is left out.

    Args:
        x: the predictor, NaN of networks that it does not know: they are left out.
        y: AP of the networks' own trainings.
        macs: of the networks.
        groups: whence each network is.
        noise: standard deviation of y between seeds; NaN: `sparse_tau` is, too.
        top: how many best ones precision and regret look at.
        resamples: of the bootstraps over networks.
    """
    half = np.zeros(len(y), bool)
    half[np.argsort(-y, kind="stable")[: (len(y) + 1) // 2]] = True
    parts = {ALL: np.ones(len(y), bool), HALF: half}
    drawn = np.array([group == RANDOM for group in groups], bool)
    if not drawn.all():
        parts[RANDOM] = drawn
    found = {}
    for name, rows in parts.items():
        own = rows & ~np.isnan(x)
        if own.sum() >= LEAST_NETWORKS:
            columns = x[own], y[own], macs[own]
            told = figures(*columns, noise=noise, top=top, resamples=resamples)
            found[name] = Part(int(own.sum()), told)
    return found


def figures(
    x: Floats, y: Floats, macs: Floats, *, noise: float, top: int, resamples: int
) -> dict[str, Estimate]:
    """Return all figures of a predictor; intervals are over networks.

    NaN is one that there is not, as the partial tau of MACs themselves. For the
    arguments see `over_parts`.
    """
    bootstrap = partial(over_items, resamples=resamples)
    own = np.array_equal(x, macs)
    return {
        "kendall_tau": bootstrap(kendall, x, y),
        "partial_tau": NONE if own else bootstrap(partial_tau, x, y, macs),
        "tau_above_macs": NONE if own else bootstrap(above_macs, x, y, macs),
        "sparse_tau": NONE
        if isnan(noise)
        else bootstrap(partial(sparse_tau, noise=noise), x, y),
        "spearman": bootstrap(spearman, x, y),
        f"precision_at_{top}": bootstrap(partial(precision_at, k=top), x, y),
        f"regret_at_{top}": bootstrap(partial(regret_at, k=top), x, y),
    }


def hold(name: str, found: Parts, least_tau: float, least_low: float) -> list[Bar]:
    """Hold a predictor's tau, and what of it MACs do not explain, against its bars."""
    tau, rest = (found[ALL].figures[each] for each in ("kendall_tau", "partial_tau"))
    bar = f">= {least_tau:g}, lower end > {least_low:g}"
    held = tau.value >= least_tau and tau.low > least_low
    return [
        Bar(f"{name}: tau", bar, shown(tau), held),
        Bar(f"{name}: tau given MACs", "lower end > 0", shown(rest), rest.low > 0),
    ]


def against_macs(name: str, found: Parts) -> str:
    """Say whether a predictor ranks better than MACs, and why not."""
    told = found[ALL].figures
    rest, gain = told["partial_tau"], told["tau_above_macs"]
    reasons = []
    if not rest.low > 0:
        reasons.append(f"its tau given MACs is {shown(rest)}")
    if not gain.value > 0:
        reasons.append(f"its tau less theirs is {shown(gain)}")
    if reasons:
        return f"{name} ranks no better than MACs: {' and '.join(reasons)}"
    return (
        f"{name} ranks better than MACs: its tau given MACs is {shown(rest)}, its tau "
        f"less theirs {shown(gain)}"
    )


def shown(value: Estimate, *, ends: bool = True, digits: int = 2) -> str:
    """Write an estimate for people, with the ends of its interval if it has some."""
    if isnan(value.value):
        return "-"
    told = f"{value.value:.{digits}f}"
    if ends and not isnan(value.low):
        told += f" [{value.low:.{digits}f}, {value.high:.{digits}f}]"
    return told


def scatter(
    columns: Mapping[str, Floats],
    ap_N: Floats,
    groups: Sequence[str],
    found: Mapping[str, Parts],
    title: str,
    path: Path,
) -> None:
    """Draw the networks' own AP over each predictor.

    Args:
        columns: the predictors, a panel each.
        ap_N: AP of the networks' own trainings.
        groups: whence each network is, three kinds at most.
        found: what the predictors are worth.
        title: stands above.
        path: a .png or .pdf to write.
    """
    across = min(COLUMNS, len(columns))
    figure, axes = panels(across, (3.5, 3.1), title, rows=-(-len(columns) // across))
    names = list(dict.fromkeys(groups))
    for axis, (name, values) in zip(axes, columns.items(), strict=False):
        for group, (colour, mark) in zip(names, LOOKS, strict=False):
            own = np.array([each == group for each in groups])
            look: dict[str, Any] = {"color": colour, "marker": mark, "s": 20}
            label = f"{group} ({own.sum()})"
            axis.scatter(values[own], ap_N[own], label=label, alpha=0.75, lw=0, **look)
        tau = shown(found[name][ALL].figures["kendall_tau"])
        axis.set_title(f"tau {tau}", fontsize=10, color=MUTED, loc="left")
        axis.set_xlabel(name, fontsize=10)
    for axis in axes[::across]:
        axis.set_ylabel("AP of own training", fontsize=10)
    for axis in axes[len(columns) :]:
        axis.set_visible(False)
    handles, labels = axes[0].get_legend_handles_labels()
    place: dict[str, Any] = {"loc": "outside lower center", "ncols": len(labels)}
    figure.legend(handles, labels, frameon=False, fontsize=9, **place)
    save(figure, path)
