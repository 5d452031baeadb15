"""`mode=search`: one search, started or continued, and what it leaves behind."""

import json
import shlex
import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import FrameType
from typing import Any, cast

from omegaconf import DictConfig, OmegaConf
from rich.console import Console

from fpnbench.cli import output
from fpnbench.cli.build import (
    build_evaluator,
    build_ledger,
    build_reward,
    build_searcher,
    build_space,
)
from fpnbench.cli.environment import environment
from fpnbench.cli.errors import INTERRUPTED
from fpnbench.cli.folder import (
    fixed,
    flat,
    names,
    resolved,
    search_folder,
    write_json,
    write_text,
)
from fpnbench.cli.progress import SearchProgress, result_table
from fpnbench.search.budget import Budget, Ending, Tally, parse_budget
from fpnbench.search.ledger import Ledger
from fpnbench.search.loop import Interrupted, Task, search
from fpnbench.search.resume import check_same_run
from fpnbench.search.searcher import Searcher


def main(cfg: DictConfig) -> int:
    """Search, write the run folder, print the result; return the exit code."""
    console = Console()
    budget = parse_budget(resolved(cfg)["budget"])
    folder = search_folder(cfg)
    record_configuration(cfg, folder)
    space = build_space(cfg)
    task = Task(space, build_evaluator(cfg), build_reward(cfg))
    searcher = build_searcher(cfg)
    record_environment(task, folder, console)
    ledger = build_ledger(cfg, space, folder)
    try:
        ending, tally = run(cfg, task, searcher, ledger, budget, folder, console)
        told = output.summary(cfg, task, searcher, ledger.trials(), ending, tally)
        write_outputs(cfg, task, ledger, folder, told)
    finally:
        ledger.close()
    console.print(result_table(told))
    console.print(f"written to {folder}", soft_wrap=True)
    return finish(ending, console)


def run(
    cfg: DictConfig,
    task: Task,
    searcher: Searcher,
    ledger: Ledger,
    budget: Budget,
    folder: Path,
    console: Console,
) -> tuple[Ending, Tally]:
    """Run the loop under a progress line."""
    with SearchProgress(budget, console) as progress, interruptible():
        progress.replayed(ledger.trials(), 0.0)
        return search(
            task,
            searcher,
            ledger,
            budget,
            seed=cfg.seed,
            folder=folder / "searcher",
            on_trial=progress,
            warn=lambda message: console.print(f"warning: {message}", soft_wrap=True),
        )


def write_outputs(
    cfg: DictConfig, task: Task, ledger: Ledger, folder: Path, told: dict[str, Any]
) -> None:
    """Write every file of the run folder but configuration and environment."""
    trials = ledger.trials()
    output.write_trials(folder / "trials.csv", trials)
    output.write_figure(folder, cfg, trials)
    best = output.best_trial(trials)
    if best is not None:
        output.write_best(folder, cfg, task, best)
    write_json(folder / "summary.json", told)


def finish(ending: Ending, console: Console) -> int:
    """Return the exit code; an interrupted run is told how to go on."""
    if ending.name == "interrupted":
        command = shlex.join(["python", *sys.argv])
        console.print(f"to continue: {command}", soft_wrap=True, highlight=False)
        return INTERRUPTED
    return 1 if ending.name == "failures" else 0


def record_configuration(cfg: DictConfig, folder: Path) -> None:
    """Write `config.yaml`, or compare with the one that is there.

    Raises:
        UserError: the folder holds a run of another configuration.
    """
    path = folder / "config.yaml"
    values = {"names": names(cfg), **resolved(cfg)}
    if path.is_file():
        recorded = resolved(cast(DictConfig, OmegaConf.load(path)))
        check_same_run(flat(fixed(recorded)), flat(fixed(values)), str(folder))
    write_text(path, OmegaConf.to_yaml(OmegaConf.create(values)))


def record_environment(task: Task, folder: Path, console: Console) -> None:
    """Write `environment.json`; say what changed since the run began."""
    path = folder / "environment.json"
    now = environment(getattr(task.evaluator, "threads", None))
    if path.is_file():
        before = flat(json.loads(path.read_text()))
        changed = [key for key, value in flat(now).items() if before.get(key) != value]
        if changed:
            names = ", ".join(changed)
            console.print(f"note: changed since this run began: {names}")
        return
    write_json(path, now)


@contextmanager
def interruptible() -> Iterator[None]:
    """Turn SIGINT into `Interrupted` while a search runs."""

    def stop(number: int, frame: FrameType | None) -> None:
        raise Interrupted

    previous = signal.signal(signal.SIGINT, stop)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, previous)
