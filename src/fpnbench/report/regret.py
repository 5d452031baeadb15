"""Regret curves of searchers on a table of known values: summary, bars, figure.

Every function takes a frame with the columns `COLUMNS`: a row for each evaluation of
each run (searcher, noise, seed). Regret is in the unit of the table's values.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path

import pandas as pd
from matplotlib.axes import Axes

from fpnbench.report.bar import Bar
from fpnbench.report.statistics import Estimate, equivalence, mean_interval
from fpnbench.report.style import MUTED, SERIES, panels, save

RUN = ["searcher", "noise", "seed"]
COLUMNS = ["table", *RUN, "evaluation", "trials", "regret", "regret_seen"]
"""`noise`: its standard deviation. `regret`: of the incumbent chosen by what was
observed, `regret_seen`: of the truly best network among those scored."""
SIGNIFICANT = 0.05


def summary(frame: pd.DataFrame, at: Sequence[int]) -> pd.DataFrame:
    """Return median and quartiles over seeds after so many evaluations.

    Columns: noise, searcher, evaluation, runs, trials (mean), low, median, high (of
    regret), seen (median of `regret_seen`).
    """
    chosen = frame[frame["evaluation"].isin(list(at))]
    grouped = chosen.groupby(["noise", "searcher", "evaluation"], sort=False)
    table = grouped.agg(
        runs=("seed", "size"),
        trials=("trials", "mean"),
        low=("regret", lambda values: values.quantile(0.25)),
        median=("regret", "median"),
        high=("regret", lambda values: values.quantile(0.75)),
        seen=("regret_seen", "median"),
    )
    return table.reset_index().sort_values("noise", kind="stable", ignore_index=True)


def difference(
    frame: pd.DataFrame, theirs: str, ours: str, noise: float
) -> list[float]:
    """Return the last regret, theirs minus ours, of every seed that both have."""
    last = frame[
        (frame["evaluation"] == frame["evaluation"].max()) & (frame["noise"] == noise)
    ]
    wide = last.pivot(index="seed", columns="searcher", values="regret")
    if not {theirs, ours} <= set(wide.columns):
        return []
    both = wide[[theirs, ours]].dropna()
    return [float(each) for each in both[theirs] - both[ours]]


def bars(
    frame: pd.DataFrame,
    sd: float,
    *,
    pairs: Mapping[str, str],
    worse_by: float,
    alike: Sequence[tuple[str, str]],
    margin: float,
) -> list[Bar]:
    """Judge ours against theirs, and whether two of ours are equally good.

    A pair of which one side was not run has no bar.

    Args:
        frame: all runs.
        sd: standard deviation of the table; everything is told in its unit.
        pairs: ours -> theirs.
        worse_by: how much worse ours may be, in `sd`.
        alike: two searchers each.
        margin: of the equivalence test, in `sd`.
    """
    found = []
    for noise in frame["noise"].unique():
        told = f"noise {noise / sd:.2f} sd" if noise else "no noise"
        for ours, theirs in pairs.items():
            if differences := difference(frame, theirs, ours, noise):
                effect = mean_interval([each / sd for each in differences])
                found.append(
                    Bar(
                        f"{ours} against {theirs}, {told}",
                        f"lower end of theirs - ours above -{worse_by:g} sd",
                        _told(effect, len(differences)),
                        effect.low > -worse_by,
                    )
                )
        for a, b in alike:
            if differences := difference(frame, a, b, noise):
                shares = [each / sd for each in differences]
                p = equivalence(shares, margin)
                found.append(
                    Bar(
                        f"{a} and {b} alike, {told}",
                        f"difference within {margin:g} sd, p < {SIGNIFICANT:g}",
                        f"{_told(mean_interval(shares), len(shares))}, p={p:.2g}",
                        p < SIGNIFICANT,
                    )
                )
    return found


def figure(
    frame: pd.DataFrame, sd: float, pairs: Mapping[str, str], title: str, path: Path
) -> None:
    """Draw medians and quartiles over seeds: a column a noise, ours above theirs.

    The lower row shows the medians of each pair that was run on both sides, ours solid
    and theirs dashed; without such a pair there is none. The axis ends where the first
    tenth of the evaluations does: before, one draw decides.

    Args:
        frame: all runs.
        sd: standard deviation of the table, the unit of the figure.
        pairs: ours -> theirs.
        title: stands above.
        path: a .png or .pdf to write.
    """
    noises = list(frame["noise"].unique())
    names = list(frame["searcher"].unique())
    known = {
        ours: theirs for ours, theirs in pairs.items() if {ours, theirs} <= {*names}
    }
    upper = [name for name in names if name not in pairs.values()]
    look = {name: (SERIES[n % len(SERIES)], "-") for n, name in enumerate(upper)}
    # A seventh line takes the first colour again, dotted.
    look |= {name: (look[name][0], ":") for name in upper[len(SERIES) :]}
    look |= {theirs: (look[ours][0], "--") for ours, theirs in known.items()}
    drawn, axes = panels(len(noises), (5.4, 3.9), title, rows=1 + bool(known))
    rows = [upper, [name for pair in known.items() for name in pair]]
    for place, axis in enumerate(axes):
        row, column = divmod(place, len(noises))
        noise = noises[column]
        here = frame[frame["noise"] == noise]
        for name in rows[row]:
            part = here[here["searcher"] == name]
            _curve(axis, part, sd, look[name], name, band=not row)
        told = f"noise of {noise / sd:.2f} sd" if noise else "no noise"
        subject = "beside other libraries' own loops, " if row else ""
        axis.set_title(f"{subject}{told}", fontsize=10, color=MUTED, loc="left")
        later = here[here["evaluation"] >= here["evaluation"].max() / 10]
        high = later.groupby(["searcher", "evaluation"])["regret"].quantile(0.75)
        axis.set_ylim(0, 1.35 * high.max() / sd)  # with room for the legend
        axis.set_xlabel("evaluations", fontsize=10)
        axis.set_ylabel("regret, sd of the table", fontsize=10)
        axis.legend(frameon=False, fontsize=8, ncols=2)
    save(drawn, path)


def _curve(
    axis: Axes,
    runs: pd.DataFrame,
    sd: float,
    look: tuple[str, str],
    name: str,
    *,
    band: bool,
) -> None:
    """Draw one searcher, with its number of runs; `band`: with its quartiles."""
    if runs.empty:
        return
    grouped = (runs["regret"] / sd).groupby(runs["evaluation"])
    low, middle, high = (grouped.quantile(q) for q in (0.25, 0.5, 0.75))
    label = f"{name} ({runs['seed'].nunique()})"
    colour, dash = look
    axis.plot(middle.index, middle, color=colour, linestyle=dash, label=label, lw=1.6)
    if band:
        axis.fill_between(low.index, low, high, color=colour, alpha=0.08, linewidth=0)


def _told(effect: Estimate, runs: int) -> str:
    return (
        f"{effect.value:+.3f} [{effect.low:+.3f}, {effect.high:+.3f}] sd, {runs} seeds"
    )
