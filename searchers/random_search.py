"""Random search: the baseline that every claim about a searcher is measured against.

Uniform over choice vectors, which is not uniform over networks: one with many vectors
is drawn more often.
Source: Li & Talwalkar 2019, Random Search and Reproducibility for NAS (arXiv
1902.07638).
"""

from pathlib import Path

from fpnbench.graph.protocols import Space
from fpnbench.search.searcher import uniform_choices
from fpnbench.search.trial import Proposal, Trial


class RandomSearch:
    """Draws every proposal uniformly and learns nothing."""

    def start(self, space: Space, seed: int, folder: Path | None) -> None:
        """Begin a run."""
        self._decisions, self._seed, self._asked = space.decisions, seed, 0

    def ask(self) -> Proposal:
        """Propose a uniform draw, a function of (seed, number) alone."""
        self._asked += 1
        return Proposal(uniform_choices(self._decisions, self._seed, self._asked - 1))

    def tell(self, trial: Trial) -> None:
        """Learn nothing."""

    def spent(self) -> tuple[float, int, float]:
        """Return (seconds, images, gmacs): none outside of trials."""
        return 0.0, 0, 0.0
