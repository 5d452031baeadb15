"""Run folders as data: read, grouped, and refused where they make no common table.

A group is one space, searcher and setting, over its seeds. Runs of different benchmarks
never stand in one table: their scores measure different things.
"""

import json
from collections.abc import Container, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, NamedTuple

import pandas as pd

from fpnbench.graph.errors import UserError

SUMMARY = (
    *("space", "searcher", "data", "evaluator", "seed", "benchmark", "status"),
    *("reason", "trials", "evaluations", "images", "gmacs", "seconds"),
)
TRIALS = (
    *("key", "choices", "status", "reward", "ap", "macs", "params", "latency_ms"),
    *("seconds", "images", "gmacs"),
)
FINALISTS = ("key", "ap", "ap_low", "ap_high", "seeds", "optimism", "benchmark")


class Group(NamedTuple):
    """What makes a row: `settings` are the keys in which runs of a cell differ."""

    space: str
    searcher: str
    settings: str


@dataclass(frozen=True, slots=True)
class Run:
    """One run folder, read.

    Attributes:
        folder: where it lies.
        summary: its `summary.json`.
        config: its configuration but for seed and budget, flat.
        trials: its `trials.csv`.
        environment: its `environment.json`, empty without one.
        finalists: its `finalists.csv`, where one was asked for and is there.
    """

    folder: Path
    summary: Mapping[str, Any]
    config: Mapping[str, object]
    trials: pd.DataFrame
    environment: Mapping[str, Any] = field(default_factory=dict)
    finalists: pd.DataFrame | None = None


def read_run(folder: Path, config: Mapping[str, object]) -> Run:
    """Read a run folder but for its finalists.

    Args:
        folder: holds `summary.json` and `trials.csv`.
        config: the run's configuration but for seed and budget, flat.

    Raises:
        UserError: a file cannot be read, or lacks something.
    """
    try:
        summary = json.loads((folder / "summary.json").read_text())
        trials = pd.read_csv(folder / "trials.csv", dtype={"key": str, "choices": str})
        path = folder / "environment.json"
        environment = json.loads(path.read_text()) if path.is_file() else {}
        _need(folder, summary, SUMMARY)
    except (OSError, ValueError, TypeError) as error:
        raise _unreadable(folder, error) from error
    _need(folder, trials, TRIALS)
    # Runs of before there was a choice, and searchers without the key, replay.
    config = {"searcher.dedup": "replay", **config}
    return Run(folder, summary, config, trials, environment)


def with_finalists(run: Run) -> Run:
    """Return a run with its `finalists.csv`, where it has one.

    Raises:
        UserError: it cannot be read, or the run has other best networks by now.
    """
    path = run.folder / "finalists.csv"
    if not path.is_file():
        return run
    try:
        table = pd.read_csv(path, dtype={"key": str})
    except (OSError, ValueError) as error:
        raise _unreadable(path, error) from error
    _need(path, table, FINALISTS)
    best = ranked(run.trials)["key"].head(len(table)).tolist()
    if table.empty or table["key"].tolist() != best:
        raise UserError(
            f"{path} does not hold the run's best networks (did the run go on?): "
            f"mode=finalists runs={run.folder} makes it anew"
        )
    return replace(run, finalists=table)


def at_full(trials: pd.DataFrame) -> pd.Series:
    """Tell of which rows the rewards can be compared: those of the most epochs.

    As `full_epochs`, of what was asked for; older runs have one length alone.
    """
    if "epochs" not in trials:
        return pd.Series(data=True, index=trials.index)
    own = trials["reward"].notna() & trials["choices"].notna()
    return trials["epochs"] == trials["epochs"].where(own).max()


def ranked(trials: pd.DataFrame) -> pd.DataFrame:
    """Return a row for each network of the search by key, the highest reward first.

    Networks that were trained for fewer epochs than others come after those. Of a
    network that was trained several times the last row counts, whose reward is a
    mean; of equal rewards the network that was asked for first. Known cells of another
    space, which have no choices, are no part of the search.
    """
    own = trials.dropna(subset=["reward", "choices"])
    own = own.assign(epochs=own.get("epochs", 0), asked=range(len(own)))
    length = own.groupby(["key", "epochs"])
    last = own.assign(asked=length["asked"].transform("min")).drop_duplicates(
        ["key", "epochs"], keep="last"
    )
    order = {"epochs": False, "reward": False, "asked": True}
    in_order = last.sort_values([*order], ascending=[*order.values()])
    return in_order.drop_duplicates("key").set_index("key", drop=False)


def evaluations(trials: pd.DataFrame) -> pd.DataFrame:
    """Return the rows of the search that brought a new score, at the most epochs."""
    new = (trials["status"] == "evaluation") & trials["choices"].notna()
    return trials[new & at_full(trials)]


def check_comparable(runs: Sequence[Run]) -> None:
    """Refuse a set of runs that makes no table.

    Raises:
        UserError: two benchmarks, of the searches or of their finalists, or the same
            run twice.
    """
    _one_benchmark({run.folder: run.summary["benchmark"] for run in runs})
    finals = {run.folder / "finalists.csv": run.finalists for run in runs}
    told = {path: table for path, table in finals.items() if table is not None}
    _one_benchmark({path: table["benchmark"].iloc[0] for path, table in told.items()})
    for alike in groups(runs).values():
        seen: dict[int, Run] = {}
        for run in alike:
            twin = seen.setdefault(run.summary["seed"], run)
            if twin is not run:
                same = f"{twin.folder} and {run.folder} are the same"
                raise UserError(f"{same} space, searcher and seed")


def groups(runs: Sequence[Run]) -> dict[Group, list[Run]]:
    """Return the runs of every row of the matrix, ordered by seed."""
    cells: dict[tuple[str, str], list[Run]] = {}
    for run in runs:
        cell = run.summary["space"], run.summary["searcher"]
        cells.setdefault(cell, []).append(run)
    found: dict[Group, list[Run]] = {}
    for cell, alike in cells.items():
        keys = {key for run in alike for key in run.config}
        differ: dict[tuple[str, ...], str] = {}
        for key in sorted(keys, key=lambda key: (len(key), key)):
            # Text, so that an absent key and a list can be compared with anything.
            texts = [str(run.config.get(key, "")) for run in alike]
            if len(set(texts)) > 1:
                # What follows repeats, as space.repeats does, is told by it.
                differ.setdefault((key.split(".")[-1], *texts), key)
        for run in sorted(alike, key=lambda run: int(run.summary["seed"])):
            shown = sorted(differ.values())
            told = [f"{k}={run.config[k]}" for k in shown if k in run.config]
            found.setdefault(Group(*cell, " ".join(told)), []).append(run)
    return dict(sorted(found.items()))


def counts(runs: Sequence[Run]) -> pd.DataFrame:
    """Return a row a run: what was asked for, what came of it, what it cost."""
    kept = ["seed", "data", "evaluator", "benchmark", "status", "reason", "trials"]
    kept += ["unique", "evaluations", "repeats", "failures", "store_hits"]
    kept += ["seconds", "images", "gmacs"]
    rows = [
        {
            **group._asdict(),
            **{name: run.summary.get(name) for name in kept},
            "folder": str(run.folder),
        }
        for group, alike in groups(runs).items()
        for run in alike
    ]
    return pd.DataFrame(rows)


def differences(runs: Sequence[Run]) -> list[str]:
    """Name, each with its values, what the runs were not all computed with."""
    found: dict[str, set[str]] = {}
    for run in runs:
        told = {
            name: run.environment.get(name) for name in ("python", "cpu", "threads")
        }
        for name, value in {**told, **run.environment.get("packages", {})}.items():
            if value is not None:
                found.setdefault(name, set()).add(str(value))
    differ = {name: sorted(values) for name, values in found.items() if len(values) > 1}
    return [f"{name} {' | '.join(values)}" for name, values in differ.items()]


def twins(runs: Sequence[Run]) -> list[list[Group]]:
    """Return the groups whose runs asked for the same networks in the same order.

    Evolution within its first population is random search: two rows, one result.
    """
    found: dict[object, list[Group]] = {}
    for group, alike in groups(runs).items():
        asked = [(run.summary["seed"], tuple(run.trials["key"])) for run in alike]
        found.setdefault((group.space, tuple(asked)), []).append(group)
    return [same for same in found.values() if len(same) > 1]


def _one_benchmark(told: Mapping[Path, str]) -> None:
    first = next(iter(told), None)
    for path, benchmark in told.items():
        if first is not None and benchmark != told[first]:
            raise UserError(
                "runs of different benchmarks cannot stand in one table: "
                f"{first} has {told[first]}, {path} has {benchmark}"
            )


def _need(path: Path, found: Container[str], names: Sequence[str]) -> None:
    if missing := [name for name in names if name not in found]:
        raise UserError(f"{path} cannot be read as a run: {', '.join(missing)} absent")


def _unreadable(path: Path, error: Exception) -> UserError:
    reason = " ".join(str(error).split())
    return UserError(f"{path} cannot be read as a run: {reason}")
