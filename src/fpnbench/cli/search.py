"""`mode=search`: one search, started or continued, and what it leaves behind."""

import shlex
import signal
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from types import FrameType
from typing import Any

from omegaconf import DictConfig, OmegaConf
from rich.console import Console

from fpnbench.cli import dry_run, output
from fpnbench.cli.build import (
    attach,
    build_evaluator,
    build_ledger,
    build_reward,
    build_searcher,
    build_space,
    read_dedup,
)
from fpnbench.cli.environment import environment
from fpnbench.cli.errors import INTERRUPTED
from fpnbench.cli.folder import (
    fixed,
    flat,
    names,
    only_process,
    read_json,
    recorded,
    resolved,
    search_folder,
    write_json,
    write_text,
)
from fpnbench.cli.progress import SearchProgress, result_table
from fpnbench.cli.store import known_cells, open_store
from fpnbench.search.budget import Budget, Ending, parse_budget
from fpnbench.search.ledger import Ledger
from fpnbench.search.loop import Interrupted, Task, search
from fpnbench.search.resume import check_same_run
from fpnbench.search.searcher import Searcher
from fpnbench.search.trial import Trial


def main(cfg: DictConfig) -> int:
    """Search, write the run folder, print the result; return the exit code.

    With `dry_run=true` only tell what that would be.
    """
    console, budget = Console(), parse_budget(resolved(cfg)["budget"])
    if cfg.dry_run:
        task = build_task(cfg, console)
        tell_notes(task, console)
        return dry_run.tell(cfg, task, budget, console)
    folder = search_folder(cfg)
    with only_process(folder):
        check_configuration(cfg, folder)
        task = build_task(cfg, console)
        tell_notes(task, console)
        searcher = build_searcher(cfg)
        attach(searcher, task, budget)
        ledger = build_ledger(cfg, task, folder)
        record_start(cfg, folder, console)
        try:
            ending = run(cfg, task, searcher, ledger, budget, folder, console)
            told = output.summary(cfg, task, searcher, ledger.trials(), ending)
            write_outputs(cfg, task, ledger.trials(), folder, told)
        finally:
            forget_if_empty(ledger, folder)
            ledger.close()
            if task.store is not None:
                task.store.close()
    console.print(result_table(told))
    seconds = searcher.spent()[0]
    if budget.seconds is not None and seconds >= budget.seconds:
        console.print(
            f"note: the searcher's own training took {seconds:,.0f} s, more than "
            f"budget.seconds={budget.seconds:g}",
            soft_wrap=True,
            highlight=False,
        )
    console.print(f"written to {folder}", soft_wrap=True, highlight=False)
    return finish(ending, console)


def build_task(cfg: DictConfig, console: Console) -> Task:
    """Build what the search is about; trouble with the store is only told."""
    space, evaluator = build_space(cfg), build_evaluator(cfg)

    def warn(message: str) -> None:
        console.print(f"note: {message}", soft_wrap=True, highlight=False)

    return Task(
        space,
        evaluator,
        build_reward(cfg),
        read_dedup(cfg),
        open_store(cfg, evaluator, warn),
        known_cells(cfg, space, evaluator.levels),
    )


def tell_notes(task: Task, console: Console) -> None:
    """Say once what was repaired in the evaluator's data, where it has any."""
    sides = [side for pair in getattr(task.evaluator, "sides", ()) for side in pair]
    for note in dict.fromkeys(note for side in sides for note in side.notes):
        console.print(f"note: {note}", soft_wrap=True, highlight=False)


def run(
    cfg: DictConfig,
    task: Task,
    searcher: Searcher,
    ledger: Ledger,
    budget: Budget,
    folder: Path,
    console: Console,
) -> Ending:
    """Run the loop under a progress line."""
    progress = SearchProgress(budget, ledger.trials(), console)
    with progress, interruptible():
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
    cfg: DictConfig,
    task: Task,
    trials: Sequence[Trial],
    folder: Path,
    told: dict[str, Any],
) -> None:
    """Write what a run leaves behind, numbers before pictures."""
    output.write_trials(folder / "trials.csv", trials)
    write_json(folder / "summary.json", told)
    best = output.best_trial(trials)
    if best is not None:
        output.write_best(folder, cfg, task, best)
    output.write_figure(folder, cfg, trials)


def finish(ending: Ending, console: Console) -> int:
    """Return the exit code; an interrupted run is told how to go on."""
    if ending.name == "interrupted":
        command = shlex.join(["python", *sys.argv])
        line = f"to continue: {command}"
        console.print(line, markup=False, soft_wrap=True, highlight=False)
        return INTERRUPTED
    return 1 if ending.name == "failures" else 0


def check_configuration(cfg: DictConfig, folder: Path) -> None:
    """Refuse to continue a run under another configuration.

    Raises:
        UserError: names the keys that differ; or what is recorded cannot be read.
    """
    if (folder / "config.yaml").is_file():
        values = recorded(folder)
        there = flat(fixed(values)) | values.get("names", {})
        check_same_run(there, flat(fixed(resolved(cfg))) | names(), str(folder))


def record_start(cfg: DictConfig, folder: Path, console: Console) -> None:
    """Write `config.yaml` and `environment.json`; say what changed since the start."""
    now = environment()
    path = folder / "environment.json"
    if path.is_file():
        old, new = flat(read_json(path)), flat(now)
        changed = ", ".join(key for key in new if new[key] != old.get(key))
        if changed:
            console.print(f"note: changed since this run began: {changed}")
    else:
        write_json(path, now)
    values = {**resolved(cfg), "names": names()}
    write_text(folder / "config.yaml", OmegaConf.to_yaml(OmegaConf.create(values)))


def forget_if_empty(ledger: Ledger, folder: Path) -> None:
    """Let a folder without a finished trial be used with another configuration."""
    if not ledger.trials():
        for name in ("config.yaml", "environment.json"):
            (folder / name).unlink(missing_ok=True)


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
