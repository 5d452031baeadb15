"""Tabular problems: every architecture's value is known, so regret can be told.

A table has decisions like a space, but its architectures are no pyramids: searchers are
driven by ask and tell alone. The one table here, NAS-Bench-Graph, is not made by us.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from itertools import product
from statistics import pstdev
from typing import NamedTuple

from fpnbench.graph.decision import Choices, Decision
from fpnbench.graph.errors import UserError
from fpnbench.graph.genotype import Genotype
from fpnbench.search.searcher import Searcher
from fpnbench.search.toy import gauss
from fpnbench.search.trial import Status, Trial

TABLES = ("cora", "citeseer", "pubmed", "cs", "physics", "photo", "computers", "arxiv")
"""Data sets of NAS-Bench-Graph with all nine operations (proteins has five)."""


@dataclass(slots=True)  # not frozen: a `Space` has attributes that can be set
class Table:
    """A search problem with known answers; to a searcher it is a `Space`.

    Attributes:
        name: of the table.
        decisions: what a searcher sees.
        keys: network of each valid choice vector; other vectors fail.
        values: what each network is worth, higher is better.
    """

    name: str
    decisions: tuple[Decision, ...]
    keys: Mapping[Choices, str]
    values: Mapping[str, float]

    def decode(self, choices: Choices) -> Genotype:
        """Refuse: an architecture of a table is no pyramid."""
        raise UserError(f"{choices} of table {self.name} is no pyramid")

    @property
    def best(self) -> float:
        """The highest value."""
        return max(self.values.values())

    @property
    def sd(self) -> float:
        """Standard deviation of the value over uniform draws of valid vectors."""
        return pstdev(self.values[key] for key in self.keys.values())


class Step(NamedTuple):
    """What a run had found after so many evaluations.

    Attributes:
        evaluation: different networks scored so far, from 1.
        trials: proposals so far, repeats and failures among them.
        regret: the table's best value minus the true value of the incumbent, which is
            chosen by what was observed.
        regret_seen: minus the highest true value seen, as if it could be told.
    """

    evaluation: int
    trials: int
    regret: float
    regret_seen: float


class Run:
    """One run's bookkeeping, shared by our searchers and by loops of others.

    A network is a repeat wherever its key is known: it is told its recorded reward and
    is no evaluation. Noise is a function of (seed, key), so that runs with one seed see
    the same reward for the same network, whoever searches.

    Attributes:
        trials: vectors scored so far.
        steps: one for every evaluation.
    """

    def __init__(
        self,
        table: Table,
        *,
        evaluations: int,
        max_repeats: int,
        seed: int,
        noise: float,
    ) -> None:
        """Begin.

        Args:
            table: the problem.
            evaluations: different networks after which the run is over.
            max_repeats: trials in a row without an evaluation after which it is over,
                too: the searcher has settled.
            seed: of the noise.
            noise: standard deviation of the Gaussian noise.
        """
        self.table, self.trials = table, 0
        self.steps: list[Step] = []
        self._evaluations, self._max_repeats = evaluations, max_repeats
        self._seed, self._noise = seed, noise
        self._told: dict[str, float] = {}
        self._best, self._incumbent = table.best, ""
        self._seen = float("-inf")

    @property
    def over(self) -> bool:
        """Whether every evaluation is used up, or no other network is proposed."""
        idle = self.trials - (self.steps[-1].trials if self.steps else 0)
        return len(self.steps) >= self._evaluations or idle >= self._max_repeats

    def score(self, choices: Choices) -> tuple[str, float | None, Status]:
        """Return key, reward and status of one proposal; an invalid one fails."""
        self.trials += 1
        key = self.table.keys.get(choices)
        if key is None:
            return "", None, "failed"
        if key in self._told:
            return key, self._told[key], "repeat"
        value = self.table.values[key]
        noise = self._noise * gauss(f"{self._seed} {key}") if self._noise else 0.0
        self._told[key] = value + noise
        if not self._incumbent or self._told[key] > self._told[self._incumbent]:
            self._incumbent = key
        self._seen = max(self._seen, value)
        chosen = self._best - self.table.values[self._incumbent]
        seen = self._best - self._seen
        self.steps.append(Step(len(self._told), self.trials, chosen, seen))
        return key, self._told[key], "evaluation"

    def course(self) -> list[Step]:
        """Return a step for each evaluation; one that ended early stays as it was.

        Raises:
            UserError: it found no valid network at all.
        """
        if not self.steps:
            raise UserError(f"table {self.table.name}: no valid network was proposed")
        last = self.steps[-1]._replace(trials=self.trials)
        rest = range(len(self.steps) + 1, self._evaluations + 1)
        return [*self.steps, *(last._replace(evaluation=n) for n in rest)]


def explore(run: Run, searcher: Searcher, seed: int) -> None:
    """Let a searcher run, by ask and tell, as `loop.search` does with `dedup=replay`.

    Args:
        run: not yet begun.
        searcher: not yet started.
        seed: of the searcher.

    Raises:
        UserError: the searcher asks for trainings of other lengths.
    """
    searcher.start(run.table, seed, None)
    first: dict[str, int] = {}
    while not run.over:
        number, proposal = run.trials, searcher.ask()
        if proposal.epochs is not None:
            raise UserError(
                f"{run.table.name} has no epochs, this searcher asks for them"
            )
        choices = proposal.choices
        key, reward, status = run.score(choices)
        known = first.setdefault(key, number) if key else number
        searcher.tell(
            Trial(
                number,
                choices,
                key,
                1,
                status,
                reward,
                None,
                repeat_of=known if known < number else None,
                reason="" if key else "the table holds no such network",
            )
        )


def nas_bench_graph(name: str) -> Table:
    """Read a table of NAS-Bench-Graph: validation accuracy, the mean of three seeds.

    Decisions: how four layers are linked (9 ways), and the operation of each (9). Links
    and operations that make one network share its key, as the package computes it.
    The four skips, 9 vectors, are in no table.

    Raises:
        UserError: no such table, or the package is not installed.

    Source: Qin et al. 2022, NAS-Bench-Graph (arXiv 2206.09166).
    """
    if name not in TABLES:
        raise UserError(f"table {name} is not one of {', '.join(TABLES)}")
    try:
        from nas_bench_graph import Arch, light_read
        from nas_bench_graph.architecture import gnn_list, link_list
    except ImportError as error:
        raise UserError(
            f"tables need nas-bench-graph, pip install 'fpnbench[bench]': {error}"
        ) from error
    links = tuple("".join(map(str, link)) for link in link_list)
    operations = tuple(gnn_list)
    decisions = (
        Decision("link", links),
        *(Decision(f"operation{n}", operations) for n in range(1, 5)),
    )
    values = {str(key): row["valid_perf"] for key, row in light_read(name).items()}
    keys = {}
    for choices in product(*(range(len(each.options)) for each in decisions)):
        link, *chosen = choices
        # Its methods move skips within the lists that they are given.
        arch = Arch(list(link_list[link]), [gnn_list[index] for index in chosen])
        key = str(arch.valid_hash())
        if key in values:
            keys[choices] = key
    return Table(f"nas-bench-graph-{name}", decisions, keys, values)
