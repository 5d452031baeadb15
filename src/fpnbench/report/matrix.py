"""Many runs as data: the space x searcher matrix, their curves, their counts.

One row of the matrix is one space, searcher and setting, over its seeds. Runs of
different benchmarks never stand in one table: their rewards measure different things.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd
from scipy.stats import t as student

from fpnbench.graph.errors import UserError
from fpnbench.report.curves import Band, best_so_far, unique_so_far

GROUP = ["space", "searcher", "settings"]
"""What makes a row: settings are the keys in which runs of one cell differ."""
INTERVAL_SEEDS = 3
"""Fewest seeds for which an interval is given."""


@dataclass(frozen=True, slots=True)
class Run:
    """One run folder, read.

    Attributes:
        folder: where it lies.
        summary: its `summary.json`.
        config: its configuration but for seed and budget, flat.
        trials: its `trials.csv`.
    """

    folder: Path
    summary: Mapping[str, Any]
    config: Mapping[str, object]
    trials: pd.DataFrame


def read_run(folder: Path, config: Mapping[str, object]) -> Run:
    """Read a run folder.

    Args:
        folder: holds `summary.json` and `trials.csv`.
        config: the run's configuration but for seed and budget, flat.

    Raises:
        UserError: a file cannot be read, or lacks something.
    """
    try:
        summary = json.loads((folder / "summary.json").read_text())
        trials = pd.read_csv(folder / "trials.csv", dtype={"key": str, "choices": str})
        needed = ("space", "searcher", "data", "evaluator", "seed", "benchmark", "best")
        missing = [name for name in needed if name not in summary]
        missing += [name for name in ("key", "reward", "gmacs") if name not in trials]
    except (OSError, ValueError, TypeError) as error:
        reason = " ".join(str(error).split())
        raise UserError(f"{folder} cannot be read as a run: {reason}") from error
    if missing:
        raise UserError(
            f"{folder} cannot be read as a run: {', '.join(missing)} absent"
        )
    return Run(folder, summary, config, trials)


def check_comparable(runs: Sequence[Run]) -> None:
    """Refuse a set of runs that makes no table.

    Raises:
        UserError: two benchmarks, or the same run twice.
    """
    first, seen = runs[0], dict[tuple[str, ...], Run]()
    for run, settings in zip(runs, _settings(runs), strict=True):
        ours, theirs = first.summary["benchmark"], run.summary["benchmark"]
        if ours != theirs:
            raise UserError(
                "runs of different benchmarks cannot stand in one table: "
                f"{first.folder} has {ours}, {run.folder} has {theirs}"
            )
        cell = tuple(str(run.summary[name]) for name in ("space", "searcher", "seed"))
        twin = seen.setdefault((*cell, settings), run)
        if twin is not run:
            raise UserError(
                f"{twin.folder} and {run.folder} are the same space, searcher and seed"
            )


def counts(runs: Sequence[Run]) -> pd.DataFrame:
    """Return a row a run: what was asked for, what came of it, what it cost."""
    kept = ["data", "evaluator", "benchmark", "status", "trials", "unique"]
    kept += ["evaluations", "repeats", "failures", "seconds", "images", "gmacs"]
    rows = [
        {
            "space": run.summary["space"],
            "searcher": run.summary["searcher"],
            "settings": settings,
            "seed": run.summary["seed"],
            **{name: run.summary.get(name) for name in kept},
            **_best(run),
            "folder": str(run.folder),
        }
        for run, settings in zip(runs, _settings(runs), strict=True)
    ]
    return pd.DataFrame(rows).sort_values([*GROUP, "seed"], ignore_index=True)


def matrix(runs: Sequence[Run]) -> pd.DataFrame:
    """Return a row per space, searcher and setting: the best rewards over seeds.

    Columns `reward_mean`, `reward_sd` (from 2 seeds) and the 95 % interval
    `reward_low`, `reward_high` (Student's t, from 3 seeds) are over the best reward of
    every seed;
    `reward`, `ap`, `macs` and `params` are those of the best network of all seeds.
    """
    rows = [
        {**dict(zip(GROUP, group, strict=True)), **_over_seeds(found)}
        for group, found in counts(runs).groupby(GROUP, sort=True)
    ]
    return pd.DataFrame(rows)


def curves(runs: Sequence[Run]) -> pd.DataFrame:
    """Return, after every trial, quartiles over seeds of the best reward so far.

    A cell's curves end with its shortest run: a median over the survivors of a longer
    budget would be another one. `gmacs` (charged so far) and `unique` (networks so far)
    are medians.
    """
    long = pd.concat(
        [_course(run, s) for run, s in zip(runs, _settings(runs), strict=True)]
    )
    rows = long.groupby([*GROUP, "trial"], sort=True)
    best = rows["best"].quantile([0.25, 0.5, 0.75]).unstack()
    best.columns = pd.Index(["low", "median", "high"])
    rest = rows.agg(gmacs=("gmacs", "median"), unique=("unique", "median"))
    table = best.join(rest).join(rows.size().rename("runs")).reset_index()
    whole = table.groupby(GROUP)["runs"].transform("max")
    return table[table["runs"] == whole].reset_index(drop=True)


def bands(table: pd.DataFrame) -> dict[str, dict[str, Band]]:
    """Return what `curves` gave, by space and searcher, for the figure."""
    found: dict[str, dict[str, Band]] = {}
    for (space, searcher, settings), rows in table.dropna().groupby(GROUP):
        trials, low, median, high = (
            tuple(rows[name]) for name in ("trial", "low", "median", "high")
        )
        band = Band(trials, low, median, high, int(rows["runs"].iloc[0]))
        found.setdefault(space, {})[f"{searcher} {settings}".strip()] = band
    return found


def _settings(runs: Sequence[Run]) -> list[str]:
    """Name, per run, the keys in which runs of its space and searcher differ."""
    cells: dict[tuple[str, str], list[Run]] = {}
    for run in runs:
        cell = run.summary["space"], run.summary["searcher"]
        cells.setdefault(cell, []).append(run)
    named: dict[int, str] = {}
    for alike in cells.values():
        keys = sorted({key for run in alike for key in run.config})
        # Text, so that an absent key and a list can be compared with anything.
        texts = {key: [str(run.config.get(key, "")) for run in alike] for key in keys}
        differ = [key for key in keys if len(set(texts[key])) > 1]
        for place, run in enumerate(alike):
            named[id(run)] = " ".join(
                f"{key}={texts[key][place]}" for key in differ if key in run.config
            )
    return [named[id(run)] for run in runs]


def _best(run: Run) -> dict[str, Any]:
    best = run.summary["best"] or {}
    score = best.get("score") or {}
    scores = {name: score.get(name) for name in ("ap", "macs", "params")}
    return {"reward": best.get("reward"), **scores, "key": best.get("key")}


def _over_seeds(found: pd.DataFrame) -> dict[str, Any]:
    scored = found.dropna(subset="reward")
    rewards = scored["reward"].astype(float)
    seeds, mean, sd = len(rewards), rewards.mean(), rewards.std(ddof=1)
    half = None
    if seeds >= INTERVAL_SEEDS:
        half = float(student.ppf(0.975, seeds - 1)) * sd / seeds**0.5
    # An object column would change integers into floats where a run has no result.
    top = {} if scored.empty else scored.loc[rewards.idxmax()]
    return {
        "seeds": seeds,
        "runs": len(found),
        "reward_mean": mean,
        "reward_sd": sd,
        "reward_low": None if half is None else mean - half,
        "reward_high": None if half is None else mean + half,
        **{name: top.get(name) for name in ("reward", "ap", "macs", "params", "key")},
        "trials_min": found["trials"].min(),
        "trials_max": found["trials"].max(),
        "gmacs_mean": found["gmacs"].mean(),
        "data": found["data"].iloc[0],
        "evaluator": found["evaluator"].iloc[0],
        "benchmark": found["benchmark"].iloc[0],
    }


def _course(run: Run, settings: str) -> pd.DataFrame:
    rewards = [None if pd.isna(r) else float(r) for r in run.trials["reward"]]
    keys = run.trials["key"].fillna("").tolist()
    return pd.DataFrame(
        {
            "space": run.summary["space"],
            "searcher": run.summary["searcher"],
            "settings": settings,
            "trial": range(len(rewards)),
            "best": best_so_far(rewards),
            "gmacs": run.trials["gmacs"].cumsum(),
            "unique": unique_so_far(keys),
        }
    )
