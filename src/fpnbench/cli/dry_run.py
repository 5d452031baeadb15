"""`dry_run=true`: what a search would be, said before it runs.

One network is really evaluated, and its score is kept in the store; no run folder is
made, and nothing else is left.
"""

import json
import time
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from math import ceil
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import cast

from omegaconf import DictConfig, OmegaConf
from rich.console import Console
from rich.table import Table

from fpnbench.cli.build import build_ledger, build_searcher
from fpnbench.cli.checks import assignment
from fpnbench.cli.folder import names
from fpnbench.cli.progress import clock
from fpnbench.cli.store import own_environment
from fpnbench.graph.decision import cardinality
from fpnbench.graph.genotype import Genotype
from fpnbench.search.budget import Budget
from fpnbench.search.loop import Task, decode, run_trial
from fpnbench.search.searcher import Searcher, uniform_choices
from fpnbench.search.store import Place
from fpnbench.search.trial import Proposal, Trial
from fpnbench.train.proxy import ProxyTrainer
from fpnbench.train.zerocost import ZeroCost

DRAWS = 20
"""Networks of random search that are looked at for one without a stored score."""
ROWS = 5
"""Trials written to a temporary ledger, to see how large and slow a trial is there."""


@dataclass(frozen=True, slots=True)
class Measured:
    """What one evaluation took.

    Attributes:
        trial: charged cost, or why it failed.
        wall_s: seconds that really passed, with the ledger's part.
        preparation_s: seconds for features, once for all runs.
        disk: bytes of `cache`, of an empty `ledger`, and of a trial in `ledger row` and
            `store row`.
    """

    trial: Trial
    wall_s: float
    preparation_s: float
    disk: Mapping[str, int]


def tell(cfg: DictConfig, task: Task, budget: Budget, console: Console) -> int:
    """Print what the configured search would be; 1 if its network cannot be scored."""
    searcher, size = build_searcher(cfg), cardinality(task.space.decisions)
    chosen, decisions = names(), task.space.decisions
    rows = {
        "space": f"{chosen['space']}: {len(decisions)} decisions, {size:,} vectors",
        "decisions": ", ".join(
            f"{each.name} {len(each.options)}" for each in decisions
        ),
        "searcher": f"{chosen['searcher']}, repeats: {task.dedup}",
        "benchmark": f"{task.evaluator.benchmark}, {task.evaluator.epochs} epochs",
    }
    console.print(_table(rows))
    if isinstance(task.evaluator, ProxyTrainer):
        missed = [bar.name for bar in assignment.run(cfg) if not bar.held]
        console.print(f"assignment bars missed: {', '.join(missed) or 'none'}")
    found = measure(cfg, task)
    if task.store is not None:
        task.store.close()
    console.print(_table(foretold(task, searcher, cfg, budget, found)))
    return 0 if found.trial.reward is not None else 1


def foretold(
    task: Task, searcher: Searcher, cfg: DictConfig, budget: Budget, found: Measured
) -> dict[str, str]:
    """Return what follows from one evaluation, under short names."""
    trial, disk = found.trial, found.disk
    if trial.reward is None:
        return {"one trial": f"FAILED: {trial.reason}"}
    limit, count = first_limit(budget, trial, cardinality(task.space.decisions))
    told = count - sum(not cell.choices for cell in task.known[:count])
    kept = "found in the store" if trial.stored else "now in the store"
    needed = {
        "cache": disk["cache"],
        "ledger": disk["ledger"] + count * disk["ledger row"],
        "store": count * disk["store row"],
    }
    rows = {
        "one trial": f"{trial.seconds:.2f} s, {trial.images} images, "
        f"{trial.gmacs:.2f} GMAC (random draw {trial.number}"
        + (f", {kept})" if task.store else ")"),
        "the end": f"after {count:,} evaluations: {limit}; a repeat costs nothing",
        "wall time": f"{clock(count * found.wall_s)}; a stored score takes none of it",
        "disk": ", ".join(f"{name} {_size(b)}" for name, b in needed.items())
        + f"; a trial takes {_size(disk['ledger row'] + disk['store row'])}",
    }
    if found.preparation_s > 1:
        rows["wall time"] += f"; {clock(found.preparation_s)} went into the cache now"
    if hasattr(searcher, "updates") and "batch" in cfg.searcher:
        batch = cfg.searcher.batch
        rows["controller"] = f"{told // batch} updates of {batch} trials"
    return rows


def first_limit(budget: Budget, trial: Trial, cardinality: int) -> tuple[str, int]:
    """Foretell which limit ends a run of evaluations like `trial`, and after how many.

    Args:
        budget: the limits; one that such a trial does not use is never reached.
        trial: an evaluation with its charges.
        cardinality: number of choice vectors, after which a run ends, too.
    """
    uses = {
        **{"trials": 1, "evaluations": 1, "images": trial.images},
        **{"gmacs": trial.gmacs, "seconds": trial.seconds},
    }
    ends = {"all choice vectors are known": cardinality}
    for name, used in uses.items():
        limit = getattr(budget, name)
        if limit and used:
            ends[f"the budget of {limit:,g} {name}"] = ceil(limit / used)
    return min(ends.items(), key=lambda end: end[1])


def measure(cfg: DictConfig, task: Task) -> Measured:
    """Evaluate one random network, without a run folder."""
    evaluator, began, cache = task.evaluator, time.perf_counter(), 0
    if isinstance(evaluator, ProxyTrainer | ZeroCost):
        cache = sum(
            side.nbytes for s in evaluator.settings for side in (s.train, s.val)
        )
    prepared = time.perf_counter()
    with TemporaryDirectory() as folder:
        asked, genotype = unknown_network(task, cfg.seed)
        ledger = build_ledger(_own_ledger(cfg), task, Path(folder))
        empty = _bytes_in(folder)
        trial = run_trial(task, ledger, asked, genotype)
        scored = time.perf_counter()
        for number in range(ROWS):
            ledger.append(replace(trial, number=number))
        wrote = time.perf_counter()
        row = (_bytes_in(folder) - empty) // ROWS
        ledger.close()
    disk = {"cache": cache, "ledger": empty, "ledger row": row, "store row": 0}
    if task.store is not None and trial.score is not None:
        texts = json.dumps([asdict(trial.score), own_environment()])
        records = task.store.records(_place(task, trial)) or b""
        disk["store row"] = len(texts) + len(records)
    wall_s = scored - prepared + (wrote - scored) / ROWS
    return Measured(trial, wall_s, prepared - began, disk)


def unknown_network(task: Task, seed: int) -> tuple[Trial, Genotype]:
    """Return a network that random search will propose, if possible an unknown one."""
    for number in range(DRAWS):
        proposal = Proposal(uniform_choices(task.space.decisions, seed, number))
        asked, genotype = decode(task, proposal, number)
        if task.store is None or task.store.find(_place(task, asked)) is None:
            break
    return asked, genotype


def _own_ledger(cfg: DictConfig) -> DictConfig:
    """Keep away from a database that is not of the run folder alone."""
    if "{folder}" in str(cfg.ledger.url):
        return cfg
    return cast(DictConfig, OmegaConf.merge(cfg, {"ledger": {"url": None}}))


def _place(task: Task, trial: Trial) -> Place:
    evaluator = task.evaluator
    return Place(trial.key, evaluator.benchmark, evaluator.seed, trial.epochs)


def _bytes_in(folder: str) -> int:
    return sum(path.stat().st_size for path in Path(folder).iterdir())


def _size(count: int) -> str:
    return f"{count / 1e6:.1f} MB" if count >= 1e5 else f"{count / 1e3:.3g} kB"


def _table(rows: Mapping[str, str]) -> Table:
    table = Table(show_header=False, box=None)
    for name, value in rows.items():
        table.add_row(name, value)
    return table
