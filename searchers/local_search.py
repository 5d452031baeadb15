"""Local search: hill climbing over one-decision neighbours, begun anew at every peak.

Source: White et al. 2020, Local Search is State of the Art for NAS Benchmarks (arXiv
2005.02960), algorithm 1, as in their released code: the best of some random networks is
the first centre, and the first better neighbour is the next one.
Differs: algorithm 1 itself asks for a whole neighbourhood (in our spaces 114 to 328
networks) and moves to its best. Only what the present climb asked for counts as known:
a network of an earlier climb is told again (`dedup`), at no charge.
"""

from collections.abc import Iterator, Sequence
from math import inf
from pathlib import Path

from fpnbench.graph.decision import Choices, Decision
from fpnbench.graph.errors import UserError
from fpnbench.graph.protocols import Space
from fpnbench.search.searcher import generator, uniform_choices
from fpnbench.search.trial import Proposal, Trial


class LocalSearch:
    """Climbs from the best of some random networks until no neighbour is better.

    While the last neighbours of a centre are still out (several workers), the next
    climb begins. If one of them is better than its centre after all, and better than
    what the new climb has, the climb goes on from there.
    """

    def __init__(self, starts: int) -> None:
        """Set the one number of the algorithm.

        Args:
            starts: random networks that a climb begins with.

        Raises:
            UserError: it is below 1.
        """
        if starts < 1:
            raise UserError(f"starts={starts}: it must be a whole number from 1 on")
        self._starts = starts

    def start(self, space: Space, seed: int, folder: Path | None) -> None:
        """Begin a run."""
        self._decisions, self._seed, self._asked = space.decisions, seed, 0
        # What is out, and what it must exceed beside the present centre.
        self._out: dict[Choices, float] = {}
        self._begin()

    def _begin(self) -> None:
        """Forget the climb."""
        self._drawn, self._height = 0, -inf
        self._centre: Choices | None = None
        self._tried: set[Choices] = set()

    def ask(self) -> Proposal:
        """Propose a random network, or a neighbour of the centre at random."""
        number = self._asked
        self._asked += 1
        left: list[Choices] = []
        if self._centre is not None and self._drawn >= self._starts:
            around = neighbours(self._decisions, self._centre)
            left = [each for each in around if each not in self._tried]
            if not left:
                self._out = {c: max(r, self._height) for c, r in self._out.items()}
                self._begin()
        if left:
            choices = left[generator(self._seed, number).integers(len(left))]
        else:
            choices = uniform_choices(self._decisions, self._seed, number)
            self._drawn += 1
        self._tried.add(choices)
        self._out[choices] = -inf
        return Proposal(choices)

    def tell(self, trial: Trial) -> None:
        """Move to what is better than the centre."""
        least = max(self._out.pop(trial.choices, -inf), self._height)
        if trial.reward is not None and trial.reward > least:
            self._centre, self._height = trial.choices, trial.reward

    def spent(self) -> tuple[float, int, float]:
        """Return (seconds, images, gmacs): none outside of trials."""
        return 0.0, 0, 0.0


def neighbours(decisions: Sequence[Decision], choices: Choices) -> Iterator[Choices]:
    """Yield every vector that differs in exactly one decision, in a fixed order."""
    for place, decision in enumerate(decisions):
        for option in range(len(decision.options)):
            if option != choices[place]:
                yield (*choices[:place], option, *choices[place + 1 :])
