"""`mode=overhead`: what a searcher itself takes for a trial, in memory.

A benchmark, never a test: times are CPU time of this process (of all its threads), so
that other programs on the machine lengthen them little.
"""

import time
from collections.abc import Callable, Iterator
from statistics import fmean, median
from typing import Any

import pandas as pd
from hydra import compose
from omegaconf import DictConfig, OmegaConf
from rich.console import Console
from rich.table import Table

from fpnbench.cli.build import build_evaluator, build_searcher, build_space
from fpnbench.cli.environment import environment
from fpnbench.cli.folder import mode_folder, names, write_json, write_text
from fpnbench.cli.values import fits
from fpnbench.graph.canonical import canonical, digest
from fpnbench.graph.decision import Choices
from fpnbench.graph.errors import UserError
from fpnbench.graph.genotype import Genotype
from fpnbench.graph.protocols import Evaluator, Space
from fpnbench.graph.score import Score
from fpnbench.search.reward import average_precision
from fpnbench.search.searcher import Searcher
from fpnbench.search.trial import Status, Trial

PARTS = ("ask", "decode", "tell")
"""What is timed; `decode` makes the canonical form and its key, too."""


def main(cfg: DictConfig) -> int:
    """Run every searcher; print the table and write `overhead.csv` and `.json`.

    Raises:
        UserError: no such searcher, or numbers of trials that make no sense.
    """
    wanted, console = checked(cfg), Console()
    if not wanted:
        raise UserError("overhead.searchers=[]: it must name one or more")
    space, evaluator = build_space(cfg), build_evaluator(cfg)
    searchers = {
        name: build_searcher(compose("config", [f"searcher={name}"])) for name in wanted
    }
    folder = mode_folder(cfg, f"overhead-{names()['space']}")
    rows: list[dict[str, Any]] = []
    for name, marks in wanted.items():
        with console.status(f"{name}: {max(marks)} trials"):
            times = list(timed(space, evaluator, searchers[name], cfg.seed, max(marks)))
        rows += [row(name, times[:mark]) for mark in sorted(marks)]
        write_text(folder / "overhead.csv", pd.DataFrame(rows).to_csv(index=False))
    about = {"space": names()["space"], "seed": cfg.seed, **environment()}
    write_json(folder / "overhead.json", {**about, "rows": rows})
    title = f"CPU ms a trial, {names()['space']}, {about['cpu']}"
    table = Table(*(key.replace("_", " ") for key in rows[0]), title=title, box=None)
    for each in rows:
        table.add_row(
            *(f"{v:.2f}" if type(v) is float else str(v) for v in each.values())
        )
    console.print(table)
    console.print(f"written to {folder}", soft_wrap=True, highlight=False)
    return 0


def checked(cfg: DictConfig) -> dict[str, list[int]]:
    """Return the numbers of trials by searcher.

    Raises:
        UserError: names the key that makes no sense.
    """
    keys: Any = OmegaConf.to_container(cfg.overhead)
    kinds = {
        "searchers": (list[str], "a list of searchers"),
        "trials": (list[int], "a list of whole numbers from 1 on"),
        "fewer_trials": (dict[str, list[int]], "a mapping of searchers to such lists"),
    }
    for name, (kind, allowed) in kinds.items():
        if not fits(keys[name], kind):
            raise UserError(f"overhead.{name}={keys[name]}: it must be {allowed}")
    fewer = keys["fewer_trials"]
    wanted = {name: fewer.get(name, keys["trials"]) for name in keys["searchers"]}
    for name, marks in wanted.items():
        if min(marks, default=0) < 1:
            raise UserError(f"overhead: {name} has trials={marks}, not all from 1 on")
    return wanted


def timed(
    space: Space, evaluator: Evaluator, searcher: Searcher, seed: int, trials: int
) -> Iterator[dict[str, float]]:
    """Search in memory and yield the CPU milliseconds of each trial's parts.

    Repeats are told the recorded reward; the evaluator's own time is left out.
    """
    searcher.start(space, seed, None)
    known: dict[str, Score] = {}
    for number in range(trials):
        asking, proposal = clocked(searcher.ask)
        decoding, (network, key) = clocked(decoded, space, evaluator, proposal.choices)
        status: Status = "repeat" if key in known else "evaluation"
        if key not in known:
            known[key] = evaluator(network, evaluator.epochs, evaluator.seed)
        score = known[key]
        epochs = proposal.epochs or evaluator.epochs
        told = Trial(
            *(number, proposal.choices, key, epochs, status),
            *(average_precision(score), score),
        )
        telling, _ = clocked(searcher.tell, told)
        yield dict(zip(PARTS, (asking, decoding, telling), strict=True))


def decoded(
    space: Space, evaluator: Evaluator, choices: Choices
) -> tuple[Genotype, str]:
    """Return the canonical network of a choice vector and its key."""
    network = canonical(space.decode(choices).restrict(evaluator.levels))
    return network, digest(network)


def clocked(call: Callable[..., Any], *arguments: Any) -> tuple[float, Any]:
    """Return the CPU milliseconds of a call and what it returned."""
    began = time.process_time()
    found = call(*arguments)
    return 1000 * (time.process_time() - began), found


def row(name: str, times: list[dict[str, float]]) -> dict[str, Any]:
    """Sum up a run: the median of its last tenth, and the mean of all, by parts."""
    whole = [sum(each.values()) for each in times]
    last = whole[-max(len(whole) // 10, 1) :]
    parts = {f"mean_{part}": fmean(each[part] for each in times) for part in PARTS}
    sums = {"median_last_tenth": median(last), "mean": fmean(whole), **parts}
    return {"searcher": name, "trials": len(times), **sums}
