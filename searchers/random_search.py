"""Random search: the baseline that every claim about a searcher is measured against.

Its law is uniform over choice vectors (`over=choices`), which is not uniform over
networks: one with many vectors is drawn more often. `over=networks` draws all networks
alike, by rejection: a vector is accepted with probability 1/m, where m is the number of
vectors of its network.
Source: Li & Talwalkar 2019, Random Search and Reproducibility for NAS (arXiv
1902.07638).
"""

from collections.abc import Callable
from pathlib import Path
from statistics import fmean
from typing import Literal, get_args

from fpnbench.graph.decision import Choices
from fpnbench.graph.errors import UserError
from fpnbench.graph.protocols import CountedSpace, Space
from fpnbench.search.searcher import generator, uniform_choices
from fpnbench.search.trial import Proposal, Trial

Over = Literal["choices", "networks"]
PROBES = 200
"""Draws by which the share that is accepted is guessed before a run begins."""
LEAST_SHARE = 1e-6
"""A million draws a proposal are minutes; below this share a run would not move."""


class RandomSearch:
    """Draws every proposal by one law and learns nothing."""

    def __init__(self, over: Over = "choices") -> None:
        """Choose the law.

        Args:
            over: what is drawn uniformly, choice vectors or different networks.

        Raises:
            UserError: any other word.
        """
        if over not in get_args(Over):
            raise UserError(f"over={over} is not one of {', '.join(get_args(Over))}")
        self._over = over

    def start(self, space: Space, seed: int, folder: Path | None) -> None:
        """Begin a run.

        Raises:
            UserError: over networks, where the space cannot count the vectors of one,
                or where hardly any draw would be accepted.
        """
        self._decisions, self._seed, self._asked = space.decisions, seed, 0
        self._count: Callable[[Choices], int] | None = None
        if self._over == "networks":
            if not isinstance(space, CountedSpace):
                raise UserError(
                    f"over=networks: space {space.name} does not count the choice "
                    "vectors of a network; over=choices needs no count"
                )
            self._count = space.multiplicity
            drawn = (uniform_choices(self._decisions, seed, n) for n in range(PROBES))
            share = fmean(1 / space.multiplicity(choices) for choices in drawn)
            if share < LEAST_SHARE:
                raise UserError(
                    f"over=networks: of space {space.name} only about {share:.0e} "
                    "of the draws would be accepted; use over=choices"
                )

    def ask(self) -> Proposal:
        """Propose a uniform draw, a function of (seed, number) alone."""
        number = self._asked
        self._asked += 1
        if self._count is None:
            return Proposal(uniform_choices(self._decisions, self._seed, number))
        rng = generator(self._seed, number)
        sizes = [len(decision.options) for decision in self._decisions]
        while True:
            choices = tuple(rng.integers(sizes).tolist())
            if rng.random() < 1 / self._count(choices):
                return Proposal(choices)

    def tell(self, trial: Trial) -> None:
        """Learn nothing."""

    def spent(self) -> tuple[float, int, float]:
        """Return (seconds, images, gmacs): none outside of trials."""
        return 0.0, 0, 0.0
