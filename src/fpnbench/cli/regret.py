"""`mode=regret`: searchers on a table whose every value is known."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict
from functools import partial
from pathlib import Path
from typing import Any, cast

import pandas as pd
from hydra import compose
from omegaconf import DictConfig, OmegaConf
from rich.console import Console
from rich.progress import track
from rich.table import Table as Printed

from fpnbench.cli.build import build_searcher
from fpnbench.cli.folder import (
    mode_folder,
    only_process,
    read_json,
    write_json,
    write_text,
    write_whole,
)
from fpnbench.cli.values import fits
from fpnbench.graph.errors import UserError
from fpnbench.report.bar import Bar
from fpnbench.report.regret import COLUMNS, RUN, bars, figure, summary
from fpnbench.search.tabular import Run, Table, explore, nas_bench_graph

Case = tuple[str, float, int]
"""One run: searcher, standard deviation of the noise, seed."""
Runner = Callable[[Run, int], None]
"""Lets a searcher use up a run with this seed."""
DIGITS = 6
"""Decimals of a regret: tables hold accuracies of some thousand samples."""


def main(cfg: DictConfig) -> int:
    """Run what is not recorded yet; print the table and the bars and write them all.

    Raises:
        UserError: no such table or searcher, a number that makes no sense, or a folder
            whose runs had another configuration.
    """
    keys = checked(cfg)
    table, console = nas_bench_graph(keys["table"]), Console()
    sd, noises = table.sd, noises_of(table, keys["icc"])
    folder = mode_folder(cfg, f"regret-{keys['table']}")
    with only_process(folder):
        runners = same_searchers(folder, keys)
        frame = run_all(table, keys, runners, folder / "regret.csv", console)
    others = [read_others(Path(path), table, keys) for path in keys["others"]]
    whole = pd.concat([frame, *(each[each["noise"].isin(noises)] for each in others)])
    if whole.empty or whole.duplicated([*RUN, "evaluation"]).any():
        wrong = "a searcher stands there twice" if len(whole) else "there is none"
        raise UserError(f"regret.searchers and regret.others: {wrong}")
    found = bars(
        whole,
        sd,
        pairs=keys["pairs"],
        worse_by=keys["worse_by"],
        alike=keys["alike"],
        margin=keys["margin"],
    )
    rows = summary(whole, keys["at"])
    title = f"{table.name}: {len(table.values)} networks"
    write_whole(
        folder / "regret.png",
        lambda part: figure(whole, sd, keys["pairs"], title, part),
    )
    result = {
        **{"table": table.name, "best": table.best, "sd": sd, "noises": noises},
        **{"vectors": len(table.keys), "networks": len(table.values)},
        "bars": [asdict(each) for each in found],
        "summary": rows.round(DIGITS).to_dict("records"),
    }
    write_json(folder / "regret.json", result)
    for part in printed(rows, found, sd):
        console.print(part)
    console.print(f"written to {folder}", soft_wrap=True, highlight=False)
    return 0


def noises_of(table: Table, iccs: Sequence[float]) -> list[float]:
    """Return the noises with which such a share of the variance is the networks'."""
    return [round(table.sd * ((1 - icc) / icc) ** 0.5, DIGITS) for icc in iccs]


def checked(cfg: DictConfig) -> dict[str, Any]:
    """Return the keys of `regret`, plain.

    Raises:
        UserError: names the first that makes no sense.
    """
    keys = cast(dict[str, Any], OmegaConf.to_container(cfg.regret, resolve=True))
    kinds: dict[str, tuple[Any, str]] = {
        "searchers": (list[str], "a list of searchers"),
        "icc": (list[float], "a list of different numbers above 0 and up to 1"),
        "at": (list[int], "a list of whole numbers from 1 to regret.evaluations"),
        "others": (list[str], "a list of CSV files"),
        "pairs": (dict[str, str], "a mapping of searchers, ours: theirs"),
        "fewer_seeds": (dict[str, int], "a mapping of searchers to numbers of seeds"),
        "alike": (list[list[str]], "a list of pairs of searchers"),
    }
    wrong = [name for name, (kind, _) in kinds.items() if not fits(keys[name], kind)]
    last = keys["evaluations"]
    wrong += ["icc"] * (not wrong and not all(0 < each <= 1 for each in keys["icc"]))
    wrong += ["icc"] * (not wrong and len(set(keys["icc"])) < len(keys["icc"]))
    wrong += ["at"] * (not wrong and not keys["at"])
    wrong += ["at"] * (not wrong and not all(1 <= each <= last for each in keys["at"]))
    wrong += ["alike"] * (not wrong and any(len(each) != 2 for each in keys["alike"]))
    for name in wrong:
        raise UserError(f"regret.{name}={keys[name]}: it must be {kinds[name][1]}")
    return keys


def same_searchers(folder: Path, keys: Mapping[str, Any]) -> dict[str, Runner]:
    """Return what runs each searcher, if the folder's runs had the same settings.

    Raises:
        UserError: no such searcher, or runs recorded here had other settings.
    """
    path = folder / "searchers.json"
    nodes = {
        name: compose("config", [f"searcher={name}"]) for name in keys["searchers"]
    }
    told: dict[str, Any] = {
        name: OmegaConf.to_container(node.searcher, resolve=True)
        for name, node in nodes.items()
    }
    told |= {name: keys[name] for name in ("table", "evaluations", "max_repeats")}
    before = read_json(path) if path.exists() else {}
    for name in before.keys() & told.keys():
        if before[name] != told[name]:
            raise UserError(
                f"{path}: runs recorded here had {name}={before[name]}, now "
                f"{told[name]}; another out= begins anew"
            )
    write_json(path, before | told)
    return {name: partial(run_ours, node) for name, node in nodes.items()}


def run_ours(node: DictConfig, run: Run, seed: int) -> None:
    """Run one of our searchers, built anew."""
    explore(run, build_searcher(node), seed)


def run_all(
    table: Table,
    keys: Mapping[str, Any],
    runners: Mapping[str, Runner],
    path: Path,
    console: Console,
) -> pd.DataFrame:
    """Return all runs that are asked for; new ones are appended as they finish.

    Args:
        table: the problem.
        keys: those of `regret`.
        runners: what runs each searcher, ours or another library's.
        path: the CSV file that holds the runs.
        console: for the progress.
    """
    wanted: list[Case] = [
        (name, noise, seed)
        for name in runners
        for noise in noises_of(table, keys["icc"])
        for seed in range(keys["fewer_seeds"].get(name, keys["seeds"]))
    ]
    known = recorded(path, keys["evaluations"])
    have = {tuple(row) for row in known[RUN].drop_duplicates().itertuples(index=False)}
    write_text(path, known.to_csv(index=False))
    missing = [case for case in wanted if case not in have]
    note = f"{len(missing)} of {len(wanted)} runs to do"
    for name, noise, seed in track(missing, note, console=console):
        sizes = {each: keys[each] for each in ("evaluations", "max_repeats")}
        run = Run(table, **sizes, seed=seed, noise=noise)
        runners[name](run, seed)
        part = pd.DataFrame(run.course()).round(DIGITS)
        part = part.assign(table=table.name, searcher=name, noise=noise, seed=seed)
        with path.open("a") as file:
            file.write(part[COLUMNS].to_csv(index=False, header=False))
        if not console.is_terminal and seed == 0:
            console.print(f"{name}, noise {noise:g}: begun", highlight=False)
    order = pd.MultiIndex.from_tuples(wanted, names=RUN)
    whole = recorded(path, keys["evaluations"]).set_index(RUN)
    return whole.loc[order].reset_index()[COLUMNS]


def recorded(path: Path, evaluations: int) -> pd.DataFrame:
    """Return the whole runs of a CSV file; a kill may have cut its last one short."""
    frame = pd.DataFrame(columns=COLUMNS)
    if path.exists():
        frame = pd.read_csv(path)
        # A cut number would look whole, but its run lacks a line, or its end.
        if not path.read_bytes().endswith(b"\n"):
            frame = frame.iloc[:-1]
        whole = frame.groupby(RUN)["evaluation"].transform("size") == evaluations
        frame = frame[whole]
    kinds = dict.fromkeys(("seed", "evaluation", "trials"), int)
    return frame.astype(
        kinds | dict.fromkeys(("noise", "regret", "regret_seen"), float)
    )


def read_others(path: Path, table: Table, keys: Mapping[str, Any]) -> pd.DataFrame:
    """Read curves of other libraries' searchers, `.csv` or `.csv.gz`.

    Raises:
        UserError: it cannot be read, or is of another table or length.
    """
    try:
        frame = pd.read_csv(path)
    except (OSError, ValueError) as error:
        raise UserError(f"regret.others: {path} cannot be read: {error}") from error
    if list(frame.columns) != COLUMNS:
        raise UserError(f"regret.others: {path} has no columns {', '.join(COLUMNS)}")
    found = set(frame["table"]), frame["evaluation"].max()
    if found != ({table.name}, keys["evaluations"]):
        raise UserError(
            f"regret.others: {path} is of {', '.join(map(str, found[0]))} and "
            f"{found[1]} evaluations, not of {table.name} and {keys['evaluations']}"
        )
    return frame


def printed(rows: pd.DataFrame, found: Sequence[Bar], sd: float) -> list[Printed]:
    """Return the regret table, in standard deviations, and the bars."""
    marks = rows["evaluation"].unique()
    title = "median regret over seeds after so many evaluations, and its last quartiles"
    first = Printed(title=f"{title}, in sd of the table ({sd:.4f})")
    first.box, first.pad_edge, first.padding = None, False, (0, 1, 0, 0)
    for name in ("noise", "searcher", "runs", "trials", *map(str, marks), "quartiles"):
        first.add_column(name, no_wrap=True)
    for (noise, name), part in rows.groupby(["noise", "searcher"], sort=False):
        last = part.iloc[-1]
        first.add_row(
            *(f"{noise / sd:.2f}", str(name), str(last["runs"])),
            f"{last['trials']:.0f}",
            *(f"{median / sd:.3f}" for median in part["median"]),
            f"[{last['low'] / sd:.3f}, {last['high'] / sd:.3f}]",
        )
    second = Printed("bar", "must hold", "measured", "", box=None)
    for bar in found:
        second.add_row(
            bar.name, bar.bar, bar.measured, "held" if bar.held else "FAILED"
        )
    return [first, second]
