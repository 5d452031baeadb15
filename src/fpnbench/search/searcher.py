"""The interface of every search algorithm, and the uniform draw that all share."""

from collections.abc import Sequence
from pathlib import Path
from typing import Protocol, runtime_checkable

import numpy as np

from fpnbench.graph.decision import Choices, Decision
from fpnbench.graph.protocols import Evaluator, Space
from fpnbench.search.trial import Proposal, Trial


class Searcher(Protocol):
    """A search algorithm. It sees decisions and rewards, nothing else.

    Life: `start` once, then any interleaving of `ask` and `tell`; several asks may
    precede a tell. Proposal n draws from a generator seeded by (seed, n), so that a run
    resumes by replaying its recorded trials through the same calls. `tell` uses the
    trial's own choices. A trial with `reward=None` failed and must be learned from all
    the same. Proposals must not change under reward -> a * reward + b with a > 0.
    """

    def start(self, space: Space, seed: int, folder: Path | None) -> None:
        """Begin a run; `folder` is the searcher's own place (None: keep nothing)."""
        ...

    def ask(self) -> Proposal:
        """Propose the next architecture."""
        ...

    def tell(self, trial: Trial) -> None:
        """Learn from a finished trial of this run."""
        ...

    def spent(self) -> tuple[float, int, float]:
        """Return (seconds, images, gmacs) used by the searcher itself."""
        ...


@runtime_checkable
class SharesEvaluator(Searcher, Protocol):
    """A searcher that trains weights of its own for the evaluator's task: optional.

    `attach` comes before all other calls.
    """

    @property
    def val_queries(self) -> int:
        """Networks that it scored on search-val by itself."""
        ...

    def attach(self, evaluator: Evaluator) -> None:
        """Take the evaluator.

        Raises:
            UserError: its task has no weights to be trained.
        """
        ...

    def foretell(self, space: Space) -> tuple[int, float]:
        """Return images and about the gmacs that come before the first proposal."""
        ...


def generator(seed: int, number: int) -> np.random.Generator:
    """Return the generator of proposal `number` of a run with this seed."""
    return np.random.default_rng((seed, number))


def uniform_choices(decisions: Sequence[Decision], seed: int, number: int) -> Choices:
    """Draw one choice vector uniformly.

    Random search and every first population share this function of (seed, n).
    """
    rng = generator(seed, number)
    return tuple(int(rng.integers(len(decision.options))) for decision in decisions)


class Scale:
    """Takes origin and unit away from rewards, for libraries with fixed tolerances.

    The first reward becomes 0 and the first that differs from it 1 or -1. Nine digits
    are kept: the others are rounding, which would differ with the unit.
    """

    def __init__(self) -> None:
        self._origin: float | None = None
        self._unit: float | None = None

    def __call__(self, reward: float) -> float:
        """Return a reward on this scale."""
        if self._origin is None:
            self._origin = reward
        distance = reward - self._origin
        if self._unit is None and distance:
            self._unit = abs(distance)
        return round(distance / self._unit, 9) if self._unit else 0.0
