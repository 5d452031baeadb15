"""Rewards: what a searcher maximises, computed from the raw metrics of a score.

Raw metrics stand in the ledger, so that another reward can be computed afterwards.
"""

from collections.abc import Callable

from fpnbench.graph.errors import UserError
from fpnbench.graph.score import Score

Reward = Callable[[Score], float]


def average_precision(score: Score) -> float:
    """Return COCO AP in [0, 1], the reward of NAS-FPN (Ghiasi et al. 2019).

    Raises:
        UserError: the evaluator measures none.
    """
    if score.ap is None:
        raise UserError("AP is wanted, and this evaluator measures none")
    return score.ap


def estimate(score: Score) -> float:
    """Return what an evaluator that measures no AP tells in its place.

    Raises:
        UserError: it tells nothing.
    """
    if score.estimate is None:
        raise UserError("reward=estimate: this evaluator measures AP, reward=ap")
    return score.estimate
