"""Folds: every photo of train scored by a network that has not seen its group.

A search-val of a hundred photos is a noisy judge. With k folds all of train judges, at
k times the cost; what it buys is measured by `mode=check what=noise`.
"""

from collections.abc import Sequence
from dataclasses import replace
from itertools import chain

import numpy as np

from fpnbench.detect.targets import Detections
from fpnbench.graph.errors import UserError
from fpnbench.graph.score import Checkpoint, Score
from fpnbench.train.data import DetectionSet, subset
from fpnbench.train.fit import Trained
from fpnbench.train.scoring import coco_ap

Sides = tuple[DetectionSet, DetectionSet]
"""The set trained on and the set scored."""


def grouped_folds(
    train: DetectionSet, split_seed: int, count: int
) -> tuple[Sides, ...]:
    """Divide train into `count` parts by whole groups; each is scored once.

    Groups go, the largest first (equal ones in an order drawn by `split_seed`), to the
    part with the fewest images.

    Raises:
        UserError: fewer than two parts, or fewer groups than parts.
    """
    groups: dict[str, list[int]] = {}
    for index, record in enumerate(train.records):
        groups.setdefault(record.group, []).append(index)
    if not 2 <= count <= len(groups):
        raise UserError(
            f"evaluator.folds={count}: it must be from 2 to the {len(groups)} groups "
            f"of {train.name}"
        )
    drawn = np.random.default_rng(split_seed).permutation(len(groups))
    names = [sorted(groups)[index] for index in drawn]
    parts: list[list[int]] = [[] for _ in range(count)]
    for name in sorted(names, key=lambda name: -len(groups[name])):
        min(parts, key=len).extend(groups[name])
    rest = [sorted(set(range(len(train.records))) - set(part)) for part in parts]
    return tuple(
        (
            subset(train, others, f"{train.name} (all but fold {n})"),
            subset(train, sorted(part), f"{train.name} (fold {n})"),
        )
        for n, (part, others) in enumerate(zip(parts, rest, strict=True))
    )


def together(
    scored: Sequence[DetectionSet], parts: Sequence[Trained]
) -> tuple[DetectionSet, list[Detections]]:
    """Return the scored photos of all folds as one set, with their detections."""
    records = tuple(chain.from_iterable(side.records for side in scored))
    found = list(chain.from_iterable(part.detections for part in parts))
    return replace(scored[0], records=records), found


def joined(
    dataset: DetectionSet, found: list[Detections], parts: Sequence[Trained]
) -> Score:
    """Return the score of all folds as one: AP of all photos, costs added up.

    Args:
        dataset: the scored photos of all folds.
        found: their detections.
        parts: what came of each fold.
    """
    if len(parts) == 1:
        return parts[0].score
    ap = coco_ap(dataset, found)
    scores = [part.score for part in parts]
    losses = [
        (score.loss or 0.0) * len(part.detections)
        for score, part in zip(scores, parts, strict=True)
    ]
    seconds = sum(score.cost_s for score in scores)
    return replace(
        scores[0],
        ap=ap["ap"] or 0.0,
        ap50=ap["ap50"],
        ap_s=ap["ap_s"],
        ap_m=ap["ap_m"],
        ap_l=ap["ap_l"],
        loss=sum(losses) / len(found),
        cost_s=seconds,
        images=sum(score.images for score in scores),
        train_gmacs=sum(score.train_gmacs for score in scores),
        curve=_mean_curve(scores, ap["ap"], seconds),
    )


def _mean_curve(
    scores: Sequence[Score], ap: float | None, seconds: float
) -> tuple[Checkpoint, ...]:
    epochs = len(scores[0].curve)
    return tuple(
        Checkpoint(
            epoch,
            sum(score.curve[epoch - 1].loss for score in scores) / len(scores),
            ap if epoch == epochs else None,
            seconds * epoch / epochs,
        )
        for epoch in range(1, epochs + 1)
    )
