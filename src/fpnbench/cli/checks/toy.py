"""`what=toy`: evolution and PPO against random search on the toy evaluator.

Run i of every searcher has searcher seed i, toy function i and noise seed i, so runs
are paired and the claim is about the family of functions, not about one of them. A run
is judged by the true value of its most rewarded network: what noise adds is no merit.
"""

import multiprocessing
from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from itertools import product

import torch
from hydra import compose
from omegaconf import DictConfig
from rich.console import Console
from rich.progress import track

from fpnbench.cli.build import build_evaluator, build_searcher, build_space
from fpnbench.graph.canonical import canonical, digest
from fpnbench.graph.genotype import Genotype
from fpnbench.graph.protocols import Space
from fpnbench.report.bar import Bar
from fpnbench.report.statistics import block_difference, sign_test
from fpnbench.search.reward import average_precision
from fpnbench.search.searcher import Searcher
from fpnbench.search.toy import ToyEvaluator
from fpnbench.search.trial import Status, Trial

SPACES = ("mnasfpn", "nasfpn")
NOISES = (0.0, 0.02)
BASELINE = "random"
SEARCHERS = ("evolution", "ppo")
PROCESSES = 2


@dataclass(frozen=True, slots=True)
class Case:
    """One search to run, everything built and nothing started."""

    space: Space
    searcher: Searcher
    evaluator: ToyEvaluator
    seed: int
    trials: int


def run(cfg: DictConfig) -> list[Bar]:
    """Run all searches and return one bar per space, noise and searcher.

    The keys `toy.trials`, `toy.seeds` and `toy.first_seed` change the sizes.
    """
    trials, first = int(cfg.toy.trials), int(cfg.toy.first_seed)
    seeds = range(first, first + int(cfg.toy.seeds))
    groups = list(product(SPACES, NOISES))
    names = (BASELINE, *SEARCHERS)
    Console().print(f"{trials} trials, seeds {seeds.start}..{seeds.stop - 1}")
    cases = [
        case(space, noise, name, seed, trials)
        for (space, noise), name, seed in product(groups, names, seeds)
    ]
    values = iter(list(track(values_of(cases), "toy searches", total=len(cases))))
    found = {
        (group, name): [next(values) for _ in seeds]
        for group, name in product(groups, names)
    }
    return [
        bar(space, noise, name, *(found[(space, noise), n] for n in (name, BASELINE)))
        for (space, noise), name in product(groups, SEARCHERS)
    ]


def case(space: str, noise: float, searcher: str, seed: int, trials: int) -> Case:
    """Build one search from the configuration."""
    cfg = compose(
        "config",
        overrides=[
            f"space={space}",
            f"searcher={searcher}",
            "evaluator=toy",
            f"evaluator.noise={noise}",
            f"evaluator.toy_seed={seed}",
            f"evaluator.seed={seed}",
        ],
    )
    evaluator = build_evaluator(cfg)
    if not isinstance(evaluator, ToyEvaluator):
        raise TypeError(f"evaluator=toy built a {type(evaluator).__name__}")
    return Case(build_space(cfg), build_searcher(cfg), evaluator, seed, trials)


def values_of(cases: Sequence[Case]) -> Iterator[float]:
    """Run the searches in other processes and yield what each found, in order."""
    # Spawned, because torch's threads do not survive a fork.
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(PROCESSES, context, _one_thread) as pool:
        yield from pool.map(best_value, cases)


def best_value(case: Case) -> float:
    """Run one search in memory; return the true value of its most rewarded network."""
    evaluator, searcher = case.evaluator, case.searcher
    searcher.start(case.space, case.seed, None)
    networks: dict[str, tuple[float, Genotype]] = {}
    for number in range(case.trials):
        choices = searcher.ask().choices
        genotype = canonical(case.space.decode(choices).restrict(evaluator.levels))
        key, epochs = digest(genotype), evaluator.epochs
        status: Status = "repeat" if key in networks else "evaluation"
        if status == "evaluation":
            score = evaluator(genotype, epochs, evaluator.seed)
            networks[key] = average_precision(score), genotype
        reward, _ = networks[key]
        searcher.tell(Trial(number, choices, key, epochs, status, reward, None))
    _, best = max(networks.values(), key=lambda network: network[0])
    return evaluator.value(best, evaluator.epochs)


def bar(
    space: str, noise: float, name: str, ours: Sequence[float], theirs: Sequence[float]
) -> Bar:
    """Compare the runs of a searcher with those of the baseline."""
    effect = block_difference({space: ours}, {space: theirs})
    signs = sign_test([a - b for a, b in zip(ours, theirs, strict=True)])
    mean, base = sum(ours) / len(ours), sum(theirs) / len(theirs)
    measured = (
        f"{effect.value:+.4f} [{effect.low:+.4f}, {effect.high:+.4f}] "
        f"({mean:.4f} against {base:.4f}), "
        f"{signs.wins} wins, {signs.losses} losses, p={signs.p:.1g}"
    )
    title = f"{space}, noise {noise:g}: {name} over {BASELINE}"
    return Bar(title, "95 % interval above 0", measured, effect.low > 0)


def _one_thread() -> None:
    torch.set_num_threads(1)
