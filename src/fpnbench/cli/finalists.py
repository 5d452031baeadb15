"""`mode=finalists`: what a search is worth: its best networks, trained anew.

The best of many noisy scores is biased upward. So the most rewarded networks of each
run are trained on all of train with seeds that no search uses, and scored on val.
"""

import csv
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from statistics import fmean, stdev
from typing import Any, cast

import numpy as np
from omegaconf import DictConfig, OmegaConf, open_dict
from rich.console import Console
from rich.progress import Progress
from rich.table import Table

from fpnbench.cli.build import build_space
from fpnbench.cli.folder import mode_folder, write_whole
from fpnbench.cli.report import configuration, run_folders
from fpnbench.cli.store import measured, open_store
from fpnbench.cli.train import trainer
from fpnbench.graph.canonical import canonical, digest
from fpnbench.graph.decision import Choices
from fpnbench.graph.errors import UserError
from fpnbench.graph.genotype import Genotype
from fpnbench.report.runs import Run, check_comparable, ranked, read_run
from fpnbench.report.statistics import centred
from fpnbench.search.reward import average_precision
from fpnbench.train.proxy import ProxyTrainer
from fpnbench.train.records import Records, WeightedAP, resampled

COLUMNS = [
    *("run", "space", "searcher", "seed", "rank", "key", "reward"),
    *("ap", "ap_sd", "ap_low", "ap_high", "seeds", "macs", "params", "optimism"),
    *("seconds", "train_gmacs", "stored", "benchmark", "search_benchmark", "aps"),
]


@dataclass(frozen=True, slots=True)
class Finalist:
    """A network of a run: its rank by reward, from 1."""

    rank: int
    key: str
    reward: float
    choices: Choices


def main(cfg: DictConfig) -> int:
    """Train the finalists of `runs=`; write `finalists.csv` here and in every run.

    What is trained is kept in the score store at once, so that the same command
    continues after an interruption.
    """
    top = selection(cfg)
    found, _ = run_folders(cfg.runs)
    runs = [read_run(folder, configuration(folder)) for folder in found]
    check_comparable(runs)
    chosen = [finalists(run, top) for run in runs]
    folder, console = mode_folder(cfg, "finalists"), Console()
    recorded = cast(DictConfig, OmegaConf.load(runs[0].folder / "config.yaml"))
    judge = Judge(recorded, cfg.store, cfg.final_seeds, cfg.resamples)
    rows: list[dict[str, Any]] = []
    total = sum(map(len, chosen)) * len(cfg.final_seeds)
    with Progress(console=console, disable=not console.is_terminal) as progress:
        advance = partial(progress.advance, progress.add_task("finalists", total=total))
        for run, networks in zip(runs, chosen, strict=True):
            own = list(scored(run, networks, judge, advance))
            write_rows(run.folder / "finalists.csv", own)
            aps = ", ".join(f"{row['ap']:.4f}" for row in own)
            console.print(f"{run.folder}: AP {aps}", soft_wrap=True, highlight=False)
            rows += own
    write_rows(folder / "finalists.csv", rows)
    console.print(table(rows))
    console.print(f"written to {folder}", soft_wrap=True, highlight=False)
    return 0


def selection(cfg: DictConfig) -> int:
    """Return how many networks of a run are finalists.

    Raises:
        UserError: `top` or `select` is not what it may be.
    """
    if cfg.select not in ("top", "paper"):
        raise UserError(f"select={cfg.select} is not one of top, paper")
    if isinstance(cfg.top, bool) or not isinstance(cfg.top, int) or cfg.top < 1:
        raise UserError(f"top={cfg.top}: it must be a whole number from 1 on")
    return 1 if cfg.select == "paper" else cfg.top


def finalists(run: Run, top: int) -> list[Finalist]:
    """Return the networks of a run with the highest rewards, the first of equals.

    Of a network that was trained several times the last reward counts, a mean.

    Raises:
        UserError: the run has fewer.
    """
    best = list(ranked(run.trials).itertuples())
    if len(best) < top:
        raise UserError(
            f"top={top}: {run.folder} has only {len(best)} networks with a reward"
        )
    return [
        Finalist(rank, row.key, row.reward, tuple(map(int, row.choices.split())))
        for rank, row in enumerate(best[:top], 1)
    ]


class Judge:
    """Scores finalists: the search's protocol on all of train and val.

    Args:
        recorded: configuration of a run; all runs of one benchmark have one judge.
        store: where scores are kept, as `store=`.
        seeds: evaluator seeds.
        resamples: of the bootstrap over images.
    """

    def __init__(
        self,
        recorded: DictConfig,
        store: str | None,
        seeds: Sequence[int],
        resamples: int,
    ) -> None:
        with open_dict(recorded):
            recorded.store = store
            if "folds" in recorded.evaluator:  # else it does not train, said below
                recorded.evaluator.folds = None
        self._evaluator: ProxyTrainer = trainer(recorded).for_final("val")
        self._store = open_store(recorded, self._evaluator, _note)
        self._epochs = int(recorded.data.final_epochs)
        self._seeds, self._resamples = seeds, resamples
        self._known: dict[str, dict[str, Any]] = {}
        self.levels, self.benchmark = self._evaluator.levels, self._evaluator.benchmark

    def __call__(
        self, genotype: Genotype, key: str, advance: Callable[[], None]
    ) -> dict[str, Any]:
        """Return a finalist's columns from `ap` on."""
        if key in self._known:
            for _ in self._seeds:
                advance()
            return self._known[key]
        scores, records, hits = [], [], 0
        for seed in self._seeds:
            score, found, hit = measured(
                self._evaluator, self._store, genotype, self._epochs, seed
            )
            scores.append(score)
            records.append(found)
            hits += hit
            advance()
        aps = [average_precision(score) for score in scores]
        low, high = centred(self._draws(records), fmean(aps))
        self._known[key] = {
            "ap": fmean(aps),
            "ap_sd": stdev(aps) if len(aps) > 1 else None,
            "ap_low": low,
            "ap_high": high,
            "seeds": len(aps),
            "macs": scores[0].macs,
            "params": scores[0].params,
            "seconds": sum(score.cost_s for score in scores),
            "train_gmacs": sum(score.train_gmacs for score in scores),
            "stored": hits,
            "benchmark": self.benchmark,
            "aps": " ".join(f"{ap:.6f}" for ap in aps),
        }
        return self._known[key]

    def _draws(self, records: Sequence[Records]) -> list[float]:
        """Return the AP on draws of the scored images, seeds averaged."""
        rng = np.random.default_rng(0)
        images = len(records[0].objects_IK)
        judges = [WeightedAP(each) for each in records]
        draws = []
        for _ in range(self._resamples):
            weights = resampled(images, rng)
            draws.append(fmean(judge(weights) for judge in judges))
        return draws


def scored(
    run: Run,
    networks: Sequence[Finalist],
    judge: Judge,
    advance: Callable[[], None],
) -> Iterator[dict[str, Any]]:
    """Yield a row for each finalist of a run.

    Raises:
        UserError: the space decodes its choices to another network than recorded.
    """
    recorded = OmegaConf.load(run.folder / "config.yaml")
    space = build_space(cast(DictConfig, recorded))
    for network in networks:
        genotype = space.decode(network.choices).restrict(judge.levels)
        genotype = canonical(genotype)
        if digest(genotype) != network.key:
            raise UserError(
                f"{run.folder}: choices of {network.key} decode to {digest(genotype)}; "
                "the space has changed since the run"
            )
        told = judge(genotype, network.key, advance)
        yield {
            "run": str(run.folder),
            **{name: run.summary[name] for name in ("space", "searcher", "seed")},
            "rank": network.rank,
            "key": network.key,
            "reward": network.reward,
            **told,
            "optimism": network.reward - told["ap"],
            "search_benchmark": run.summary["benchmark"],
        }


def write_rows(path: Path, rows: Sequence[dict[str, Any]]) -> None:
    """Write `finalists.csv` whole."""

    def write(part: Path) -> None:
        with part.open("w", newline="") as file:
            writer = csv.DictWriter(file, COLUMNS, lineterminator="\n")
            writer.writeheader()
            writer.writerows(rows)

    write_whole(path, write)


def table(rows: Sequence[dict[str, Any]]) -> Table:
    """Return what is printed."""
    shown = Table("space", "searcher", "seed", "rank", "reward", "AP on val", box=None)
    for name in ("95 % of images", "optimism", "MMAC"):
        shown.add_column(name)
    for row in rows:
        spread = "" if row["ap_sd"] is None else f" ± {row['ap_sd']:.4f}"
        shown.add_row(
            *(str(row[name]) for name in ("space", "searcher", "seed", "rank")),
            f"{row['reward']:.4f}",
            f"{row['ap']:.4f}{spread}",
            f"{row['ap_low']:.4f} to {row['ap_high']:.4f}",
            f"{row['optimism']:+.4f}",
            f"{row['macs'] / 1e6:.1f}",
        )
    return shown


def _note(message: str) -> None:
    Console().print(f"note: {message}", soft_wrap=True, highlight=False)
