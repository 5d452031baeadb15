"""Regularized (aging) evolution: tournaments among the youngest.

Source: Real et al. 2019, Regularized Evolution for Image Classifier Architecture Search
(arXiv 1802.01548), algorithm 1.
Differs: one mutation redraws one decision to another of its options; the paper's
identity mutation (probability .05) would only propose a known network again, and is
left out.
"""

from collections import deque
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from fpnbench.graph.decision import Choices, Decision
from fpnbench.graph.errors import UserError
from fpnbench.graph.protocols import Space
from fpnbench.search.searcher import generator, uniform_choices
from fpnbench.search.trial import Proposal, Trial


class RegularizedEvolution:
    """Aging evolution over choice vectors.

    The population is the last `population` trials in order of telling, failures and
    repeats among them: age is what removes a member, never its reward. The first
    `population` proposals are those of random search.
    """

    def __init__(self, population: int, sample: int) -> None:
        """Set the two numbers of the algorithm.

        Args:
            population: members alive, P.
            sample: members drawn, with replacement, for a tournament, S.

        Raises:
            UserError: one of them is below 1.
        """
        if population < 1 or sample < 1:
            raise UserError(f"population={population} and sample={sample} must be >= 1")
        self._population, self._sample = population, sample

    def start(self, space: Space, seed: int, folder: Path | None) -> None:
        """Begin a run."""
        self._decisions, self._seed, self._asked = space.decisions, seed, 0
        self._alive: deque[Trial] = deque(maxlen=self._population)

    def ask(self) -> Proposal:
        """Propose a uniform draw at first, then a child of a tournament's winner.

        While early trials are still out (several workers), the tournament is held among
        those told so far.
        """
        number = self._asked
        self._asked += 1
        if number < self._population or not self._alive:
            return Proposal(uniform_choices(self._decisions, self._seed, number))
        rng = generator(self._seed, number)
        drawn = rng.integers(len(self._alive), size=self._sample)
        parent = max((self._alive[i] for i in drawn), key=_fitness)
        return Proposal(mutate(self._decisions, parent.choices, rng))

    def tell(self, trial: Trial) -> None:
        """Append the child; the oldest member leaves a full population."""
        self._alive.append(trial)

    def spent(self) -> tuple[float, int, float]:
        """Return (seconds, images, gmacs): none outside of trials."""
        return 0.0, 0, 0.0


def mutate(
    decisions: Sequence[Decision], choices: Choices, rng: np.random.Generator
) -> Choices:
    """Redraw one decision that has a choice to another option, both uniformly."""
    free = [i for i, decision in enumerate(decisions) if len(decision.options) > 1]
    if not free:
        return choices
    place = free[rng.integers(len(free))]
    step = 1 + int(rng.integers(len(decisions[place].options) - 1))
    redrawn = (choices[place] + step) % len(decisions[place].options)
    return (*choices[:place], redrawn, *choices[place + 1 :])


def _fitness(trial: Trial) -> float:
    return -np.inf if trial.reward is None else trial.reward
