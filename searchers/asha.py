"""Successive halving over epochs, asynchronous: many short trainings, few long ones.

Source: Li et al. 2020, A System for Massively Parallel Hyperparameter Tuning (arXiv
1810.05934), algorithm 2.
Differs: a promotion trains anew, a complete schedule of the rung's epochs, and is
charged, since a schedule that was cut off is no short one; the paper goes on from a
checkpoint.
"""

from math import inf
from pathlib import Path

from fpnbench.graph.decision import Choices
from fpnbench.graph.errors import UserError
from fpnbench.graph.protocols import Space
from fpnbench.search.searcher import uniform_choices
from fpnbench.search.trial import Proposal, Trial


class SuccessiveHalving:
    """Promotes the best of every rung to the next, else draws a random network.

    A rung is a number of epochs. A failure counts in its rung, as the worst.
    """

    def __init__(self, epochs: int | None, eta: int, rungs: int) -> None:
        """Set the rungs: epochs / eta**k, rounded, at least 1.

        Args:
            epochs: of the highest rung, those of the evaluator; None: it has none.
            eta: one in so many of a rung is promoted.
            rungs: how many there are.

        Raises:
            UserError: there are no epochs, or they make no such rungs.
        """
        if epochs is None:
            raise UserError("successive halving needs an evaluator that has epochs")
        if eta < 2 or rungs < 2:
            raise UserError(f"eta={eta} and rungs={rungs} must be >= 2")
        self._epochs = [max(1, round(epochs / eta**k)) for k in reversed(range(rungs))]
        if len(set(self._epochs)) < rungs:
            made = ", ".join(map(str, self._epochs))
            raise UserError(
                f"eta={eta} and rungs={rungs} make rungs of {made} epochs: they must "
                f"differ, so take fewer rungs or more than {epochs} epochs"
            )
        self._eta = eta

    def start(self, space: Space, seed: int, folder: Path | None) -> None:
        """Begin a run."""
        self._decisions, self._seed, self._asked = space.decisions, seed, 0
        self._told: list[dict[Choices, float]] = [{} for _ in self._epochs]
        self._promoted: list[set[Choices]] = [set() for _ in self._epochs]

    def ask(self) -> Proposal:
        """Propose a promotion from the highest rung that has one, or a uniform draw."""
        number = self._asked
        self._asked += 1
        for rung in reversed(range(len(self._epochs) - 1)):
            told = self._told[rung]
            best = sorted(told, key=told.__getitem__, reverse=True)
            for choices in best[: len(told) // self._eta]:
                if choices not in self._promoted[rung] and told[choices] > -inf:
                    self._promoted[rung].add(choices)
                    return Proposal(choices, self._epochs[rung + 1])
        drawn = uniform_choices(self._decisions, self._seed, number)
        return Proposal(drawn, self._epochs[0])

    def tell(self, trial: Trial) -> None:
        """Put a trial on the rung of its epochs; below that it counts as promoted."""
        if trial.epochs not in self._epochs:
            return
        rung = self._epochs.index(trial.epochs)
        reward = -inf if trial.reward is None else trial.reward
        self._told[rung][trial.choices] = reward
        for lower in self._promoted[:rung]:
            lower.add(trial.choices)

    def spent(self) -> tuple[float, int, float]:
        """Return (seconds, images, gmacs): none outside of trials."""
        return 0.0, 0, 0.0
