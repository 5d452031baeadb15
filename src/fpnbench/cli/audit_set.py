"""What an audit compares: its networks, and the supernets that score them."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import chain, zip_longest
from pathlib import Path
from typing import Any

from omegaconf import DictConfig
from rich.console import Console
from rich.progress import track

from fpnbench.cli.audit_plan import Plan, supernet_name
from fpnbench.cli.checks._networks import Drawn, draw
from fpnbench.cli.progress import Preparation
from fpnbench.cli.report import configuration, run_folders
from fpnbench.detect.shared import SharedDetector
from fpnbench.graph.canonical import digest
from fpnbench.graph.decision import check_choices
from fpnbench.graph.errors import UserError
from fpnbench.graph.protocols import Evaluator, Space
from fpnbench.report.audit import RANDOM
from fpnbench.report.runs import Run, ranked, read_run
from fpnbench.search.feasible import what_is_read
from fpnbench.train.proxy import ProxyTrainer
from fpnbench.train.shared import SupernetSettings, shared_scores
from fpnbench.train.shared_fit import Epoch
from fpnbench.train.shared_paths import PathTable, ScoredPath, Spent, claim, total

DECILE, BESTS = "supernet's top decile", "bests of searchers"
SUPERNET = "searchers.supernet.Supernet"
"""The searcher, in several yaml, whose bests are no other searcher's."""
Train = Callable[..., tuple[SharedDetector, Sequence[Epoch]]]
"""`searchers.supernet_nni.train_supernet`, or what does as it does."""


@dataclass(frozen=True, slots=True)
class Member:
    """A network of the set, and whence it comes."""

    group: str
    network: Drawn


class Supernets:
    """Trains supernets and scores by them; finds both again in a folder.

    Attributes:
        spent: (seconds, images, gmacs) of each training, and of scoring by it.
    """

    def __init__(
        self,
        train: Train,
        proxy: ProxyTrainer,
        space: Space,
        folder: Path,
        console: Console,
    ) -> None:
        """Keep what they need; nothing is trained yet."""
        self.spent: dict[str, Spent] = {}
        self._train, self._proxy, self._space = train, proxy, space
        self._folder, self._console = folder, console
        self._held: tuple[str, SharedDetector] | None = None

    def claim(self, plan: Plan) -> None:
        """Make sure, before anything is trained, that no folder is another's.

        Raises:
            UserError: one is; names what differs.
        """
        for _, _, settings, seed, _ in plan.supernets():
            folder = self._home(supernet_name(settings, seed))
            claim(folder, self._proxy, self._space, settings, seed)

    def _home(self, name: str) -> Path:
        return self._folder / "supernets" / name

    def __call__(
        self,
        settings: SupernetSettings,
        seed: int,
        norm_batches: int,
        networks: Sequence[Drawn],
    ) -> list[ScoredPath]:
        """Return what the weights of one supernet say of networks, in their order.

        Raises:
            EvaluationError: it cannot be trained.
            UserError: its folder holds another's.
        """
        name = supernet_name(settings, seed)
        if self._held is None or self._held[0] != name:
            self._held = name, self._weights(name, settings, seed)
        weights, task = self._held[1], (self._proxy, self._space)
        folder = self._folder / "paths" / f"{name}-n{norm_batches}"
        folder.mkdir(parents=True, exist_ok=True)
        table = PathTable(folder)
        known = {row.choices: row for row in table.rows}
        missing = [each for each in networks if each.choices not in known]
        told = f"{name}, {norm_batches} norm batches"
        for each in track(missing, told, console=self._console):
            known[each.choices] = table.add(
                each.choices,
                each.key,
                lambda vector: next(
                    shared_scores(*task, weights, [vector], norm_batches)
                ),
            )
        self.spent[folder.name] = total(table.rows)
        return [known[each.choices] for each in networks]

    def _weights(
        self, name: str, settings: SupernetSettings, seed: int
    ) -> SharedDetector:
        weights, epochs = self._train(
            evaluator=self._proxy,
            space=self._space,
            settings=settings,
            seed=seed,
            folder=self._home(name),
            progress=Preparation(),
        )
        self.spent[name] = total(epochs)
        seconds = self.spent[name][0]
        self._console.print(f"{name}: trained, {seconds:.0f} s", highlight=False)
        return weights


def choose(
    cfg: DictConfig, plan: Plan, space: Space, proxy: ProxyTrainer, supernets: Supernets
) -> tuple[list[Member], list[str]]:
    """Return the networks of a set, and in words how many of each kind there are.

    The top decile is that of the first supernet, seed and number of norm batches, among
    the random networks that come after the set's.

    Raises:
        UserError: the space has too few networks, or `runs=` holds none.
    """
    count = plan.stop + plan.candidates
    drawn = draw(space, proxy, cfg.seed, count, f"audit.sets.{plan.name}")
    members = [Member(RANDOM, each) for each in drawn[plan.first : plan.stop]]
    told = [f"{len(members)} random networks"]
    if candidates := drawn[plan.stop :]:
        scored = supernets(
            *(plan.settings[0], plan.supernet_seeds[0], plan.norm_batches[0]),
            candidates,
        )
        order = sorted(range(len(scored)), key=lambda n: _rank(scored[n]))
        best = order[: len(order) // 10]
        members += [Member(DECILE, candidates[n]) for n in best]
        told.append(f"{len(best)} of the {DECILE} of {len(candidates)}")
    if plan.bests:
        # Of earlier sets, too: what was chosen on may not be reported on.
        taken = {each.key for each in drawn[: plan.stop]}
        taken |= {member.network.key for member in members}
        found = list(read_bests(cfg.runs, space, proxy, taken, plan.bests))
        members += [Member(BESTS, each) for each in found]
        lack = " (runs= has no more)" if len(found) < plan.bests else ""
        told.append(f"{len(found)} of {plan.bests} {BESTS}{lack}")
    return members, told


def read_bests(
    runs: Any, space: Space, evaluator: Evaluator, taken: set[str], count: int
) -> Iterator[Drawn]:
    """Yield the best networks of other searchers' runs: of each its best, then on.

    A run of another benchmark, or of a space that makes other networks of its choices,
    has none. `number` is the trial's.

    Args:
        runs: as `runs=`; None: no run.
        space: of the audit.
        evaluator: of the audit.
        taken: keys that are not wanted; those yielded are added.
        count: of networks, at most.

    Raises:
        UserError: a run cannot be read.
    """
    found, _ = ([], "") if runs is None else run_folders(runs)
    read = [read_run(folder, configuration(folder)) for folder in found]
    fitting = [
        _networks(run, space, evaluator)
        for run in read
        if run.config.get("searcher._target_") != SUPERNET
        and run.summary["benchmark"] == evaluator.benchmark
    ]
    for network in chain.from_iterable(zip_longest(*fitting)):
        if not count:
            return
        if network is not None and network.key not in taken:
            taken.add(network.key)
            count -= 1
            yield network


def _networks(run: Run, space: Space, evaluator: Evaluator) -> Iterator[Drawn]:
    """Yield the networks of a run as far as they are this space's, the best first."""
    for row in ranked(run.trials).itertuples():
        choices = tuple(map(int, row.choices.split()))
        try:
            check_choices(space.decisions, choices)
            genotype = what_is_read(space.decode(choices), evaluator)
        except UserError:
            continue
        if digest(genotype) == row.key:
            yield Drawn(int(row.number), choices, row.key, genotype)


def _rank(row: ScoredPath) -> tuple[float, float]:
    """Order as the supernet proposes: by AP, by loss where it is equal."""
    return -row.ap, row.loss
