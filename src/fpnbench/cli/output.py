"""What a search leaves in its run folder."""

import csv
import resource
import sys
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from omegaconf import DictConfig

from fpnbench.cli.build import space_args
from fpnbench.cli.folder import names, write_json, write_text, write_whole
from fpnbench.graph.canonical import canonical
from fpnbench.graph.draw import draw_svg
from fpnbench.graph.genotype import FORMAT, Genotype
from fpnbench.report.curves import search_figure
from fpnbench.report.png import svg_to_png
from fpnbench.search.budget import Ending, tally_of
from fpnbench.search.loop import Task
from fpnbench.search.searcher import Searcher, SharesEvaluator
from fpnbench.search.trial import Trial, full_epochs

SCORES = [
    *("ap", "ap50", "ap_s", "ap_m", "ap_l", "loss"),
    *("macs", "params", "latency_ms", "estimate"),
]
COLUMNS = [
    *("number", "choices", "key", "status", "reward"),
    *SCORES,
    *("seconds", "images", "gmacs", "repeat_of", "reason", "epochs"),
    *("evaluator_seed", "cell"),
]


def best_trial(trials: Sequence[Trial]) -> Trial | None:
    """Return the trial with the highest reward at the most epochs, the first of equals.

    Of a network that was trained several times the last counts, which has the mean.
    Known cells of other spaces, which have no choices here, are left out.
    """
    own = [trial for trial in trials if trial.choices]
    full = full_epochs(own)
    found = [
        trial for trial in own if trial.reward is not None and trial.epochs == full
    ]
    latest = {trial.key: trial for trial in found}
    return max(latest.values(), key=lambda trial: trial.reward or 0.0, default=None)


def write_trials(path: Path, trials: Sequence[Trial]) -> None:
    """Write `trials.csv`: a row a trial, in order of asking."""

    def write(part: Path) -> None:
        with part.open("w", newline="") as file:
            writer = csv.DictWriter(file, COLUMNS, lineterminator="\n")
            writer.writeheader()
            writer.writerows(map(_row, trials))

    write_whole(path, write)


def summary(
    cfg: DictConfig,
    task: Task,
    searcher: Searcher,
    trials: Sequence[Trial],
    ending: Ending,
) -> dict[str, Any]:
    """Return what `summary.json` holds."""
    seconds, images, gmacs = searcher.spent()
    tally, best = tally_of(trials), best_trial(trials)
    updates = getattr(searcher, "updates", None)
    queries = searcher.val_queries if isinstance(searcher, SharesEvaluator) else 0
    return {
        **names(),
        "seed": cfg.seed,
        "status": ending.name,
        "reason": ending.reason,
        "trials": tally.trials,
        "evaluations": tally.evaluations,
        "repeats": tally.repeats,
        "failures": tally.failures,
        "store_hits": tally.store_hits,
        "unique": len(tally.keys),
        "seconds": tally.seconds + seconds,
        "wall_s": tally.wall_s,
        "images": tally.images + images,
        "gmacs": tally.gmacs + gmacs,
        "val_queries": tally.evaluations + queries,
        "peak_memory_mb": peak_memory_mb(),
        "benchmark": task.evaluator.benchmark,
        "best": None if best is None else _told(best),
        **({} if updates is None else {"updates": updates}),
    }


def peak_memory_mb() -> float:
    """Return the most memory that this process held at a time, in 10**6 bytes."""
    # Kilobytes on Linux, bytes on macOS.
    unit = 1 if sys.platform == "darwin" else 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit / 1e6


def write_best(folder: Path, cfg: DictConfig, task: Task, best: Trial) -> None:
    """Write the best network as a cell file and as pictures."""
    cell = {
        "format": FORMAT,
        "space": names()["space"],
        "space_args": space_args(cfg),
        "repeats": cfg.repeats,
        "width": cfg.width,
        "benchmark": task.evaluator.benchmark,
        **_told(best),
    }
    write_json(folder / "best.json", cell)
    title = "{space}, {searcher}: reward ".format(**names()) + f"{best.reward:.4f}"
    svg = draw_svg(_network(task, best), title)
    write_text(folder / "best.svg", svg)
    write_whole(folder / "best.png", lambda part: svg_to_png(svg, part))


def write_figure(folder: Path, cfg: DictConfig, trials: Sequence[Trial]) -> None:
    """Write `search.png`."""
    title = ", ".join([*names().values(), f"seed {cfg.seed}"])
    write_whole(folder / "search.png", lambda part: search_figure(trials, part, title))


def _network(task: Task, trial: Trial) -> Genotype:
    genotype = task.space.decode(trial.choices)
    return canonical(genotype.restrict(task.evaluator.levels))


def _told(trial: Trial) -> dict[str, Any]:
    score = None if trial.score is None else asdict(trial.score)
    return {
        "choices": list(trial.choices),
        "key": trial.key,
        "reward": trial.reward,
        "number": trial.number,
        "epochs": trial.epochs,
        "score": score,
    }


def _row(trial: Trial) -> dict[str, Any]:
    row = {name: getattr(trial, name) for name in COLUMNS if name not in SCORES}
    if trial.score is not None:
        row |= {name: getattr(trial.score, name) for name in SCORES}
    row["choices"] = " ".join(map(str, trial.choices))
    return row
