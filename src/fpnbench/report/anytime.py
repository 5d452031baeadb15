"""Anytime curves: what a search had found by the time it had spent so much."""

from collections.abc import Sequence
from math import nan

import numpy as np
import pandas as pd

from fpnbench.report.curves import incumbents
from fpnbench.report.runs import Group, Run, at_full, groups
from fpnbench.report.statistics import LEAST_SEEDS

AXES = ("evaluations", "images", "gmacs", "seconds")
"""What is spent; `gmacs` is the main axis: deterministic, equal on every machine."""
QUARTILES = {"low": 0.25, "median": 0.5, "high": 0.75}
COLUMNS = [
    *Group._fields,
    *("axis", "spent", "runs"),
    *(f"reward_{name}" for name in QUARTILES),
    "ap_runs",
    *(f"ap_{name}" for name in QUARTILES),
]


def curves(runs: Sequence[Run]) -> pd.DataFrame:
    """Return medians and quartiles over seeds of what the incumbents are worth.

    The incumbent is the network with the highest reward so far, at the most epochs of
    its run: before such a training there is none. A row for each amount
    `spent` on an axis at which a run of the group changes: `reward_...` of the
    incumbents; `ap_...` of those among them that are finalists of their run, `ap_runs`
    of them. Quartiles are given from 3 runs on. A group's curve begins where all of its
    runs have an incumbent and ends with the shortest of them: a median over fewer runs
    would be another one. Runs without any result are left out.
    """
    parts = [pd.DataFrame(columns=COLUMNS)]
    for group, alike in groups(runs).items():
        courses = [each for each in map(course, alike) if each["reward"].notna().any()]
        for axis in AXES if courses else ():
            part = quartiles(courses, axis).assign(**group._asdict(), axis=axis)
            parts.append(part[COLUMNS])
    return pd.concat(parts[1:] or parts, ignore_index=True)


def course(run: Run) -> pd.DataFrame:
    """Return, after every trial, what was spent and what the incumbent is worth.

    Columns: those of `AXES` as charged, `reward`, and `ap`, NaN unless the incumbent is
    a finalist. What the searcher itself spent, apart from trials, is spent first.
    """
    trials, finals = run.trials, run.finalists
    keys = trials["key"].where(trials["choices"].notna()).fillna("")
    told = trials["reward"].where(at_full(trials))
    rewards = [None if pd.isna(each) else float(each) for each in told]
    best = incumbents(keys.tolist(), rewards)
    aps = {} if finals is None else dict(zip(finals["key"], finals["ap"], strict=True))
    spent = {"evaluations": (trials["status"] == "evaluation").cumsum()}
    for axis in AXES[1:]:
        own = run.summary[axis] - trials[axis].sum()
        spent[axis] = own + trials[axis].cumsum()
    worth = {"reward": [r for _, r in best], "ap": [aps.get(k, nan) for k, _ in best]}
    return pd.DataFrame({**spent, **worth})


def quartiles(courses: Sequence[pd.DataFrame], axis: str) -> pd.DataFrame:
    """Return the quartiles of several courses at each amount spent on one axis."""
    start = max(each.loc[each["reward"].notna(), axis].iloc[0] for each in courses)
    end = min(each[axis].iloc[-1] for each in courses)
    marks = np.unique(np.concatenate([each[axis] for each in courses]))
    marks = marks[(marks >= start) & (marks <= end)]
    table = pd.DataFrame({"spent": marks, "runs": len(courses)})
    for name in ("reward", "ap"):
        values = pd.DataFrame([_at(each, axis, marks)[name] for each in courses])
        known = values.notna().sum().to_numpy()
        table[f"{name}_runs"] = known
        for part, share in QUARTILES.items():
            enough = known >= (1 if part == "median" else LEAST_SEEDS)
            table[f"{name}_{part}"] = np.where(enough, values.quantile(share), nan)
    return table


def _at(course: pd.DataFrame, axis: str, marks: np.ndarray) -> pd.DataFrame:
    """Return the last row of a course at each mark."""
    rows = np.searchsorted(course[axis], marks, side="right") - 1
    return course.iloc[rows].reset_index(drop=True)
