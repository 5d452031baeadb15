"""Proposals and trials: what a searcher asks for and what it is told."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal

from fpnbench.graph.decision import Choices
from fpnbench.graph.score import Score

Status = Literal["evaluation", "repeat", "failed", "infeasible", "timeout"]


@dataclass(frozen=True, slots=True)
class Proposal:
    """A choice vector to be scored, at `epochs` (None: the evaluator's default)."""

    choices: Choices
    epochs: int | None = None


@dataclass(frozen=True, slots=True)
class Trial:
    """One finished trial.

    Attributes:
        number: order of asking, from 0.
        choices: what was proposed.
        key: the canonical genotype's digest; empty if it could not be decoded.
        epochs: fidelity it was scored at.
        status: `evaluation` (a score newly charged), `repeat` (a recorded reward told
            again, no charge), or one of the three failures.
        reward: what the searcher maximises; None exactly for failures.
        score: raw metrics; None for failures.
        seconds: charged seconds (a failure costs what it really cost, a repeat
            nothing); likewise `images`, `gmacs`.
        repeat_of: number of the trial whose reward is repeated.
        reason: why it failed, in one line.
        wall_s: seconds that really passed since the trial before was finished.
        stored: the score came from the score store: charged, not computed.
        asks: proposals it took; more than 1 where known networks were asked again.
        evaluator_seed: the score's; later trainings of one network have later seeds.
        cell: name of a known cell that was scored without being asked for; its choices
            are empty where it is of another space.
    """

    number: int
    choices: Choices
    key: str
    epochs: int
    status: Status
    reward: float | None
    score: Score | None
    seconds: float = 0.0
    images: int = 0
    gmacs: float = 0.0
    repeat_of: int | None = None
    reason: str = ""
    wall_s: float = 0.0
    stored: bool = False
    asks: int = 1
    evaluator_seed: int = 0
    cell: str = ""


def full_epochs(trials: Iterable[Trial]) -> int:
    """Return the highest epochs at which any of the trials has a reward, 0 for none.

    Where a searcher has trainings of several lengths, only rewards of the longest can
    be compared: others are higher or lower for their length.
    """
    return max(
        (trial.epochs for trial in trials if trial.reward is not None), default=0
    )
