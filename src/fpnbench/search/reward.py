"""Rewards: what a searcher maximises, computed from the raw metrics of a score.

Raw metrics stand in the ledger, so that another reward can be computed afterwards.
"""

from collections.abc import Callable

from fpnbench.graph.score import Score

Reward = Callable[[Score], float]


def average_precision(score: Score) -> float:
    """Return COCO AP in [0, 1], the reward of NAS-FPN (Ghiasi et al. 2019)."""
    return score.ap
