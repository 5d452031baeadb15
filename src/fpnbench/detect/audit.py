"""Assignment audit: which feature levels a detector's training really uses.

A pyramid can only be ranked on levels that own objects, so every preset is audited on
its training boxes before anything is searched with it.
"""

from collections.abc import Iterable
from dataclasses import dataclass

import torch
from torch import Tensor

from fpnbench.detect.head import Head
from fpnbench.detect.targets import Targets


@dataclass(frozen=True, slots=True)
class Audit:
    """Shares in [0, 1]; the levels' owned shares and `unmatched` add up to 1.

    Attributes:
        levels: feature levels, rising.
        owned: share of all boxes that each level owns: it has most of the box's regular
            positives, the finer level at a tie. A positive is regular if the ordinary
            rule made it one, not force matching.
        positives: share of all positives, forced ones too, that stand on each level.
        unmatched: share of boxes without a regular positive.
        boxes: number of boxes.
    """

    levels: tuple[int, ...]
    owned: tuple[float, ...]
    positives: tuple[float, ...]
    unmatched: float
    boxes: int


def audit(head: Head, batches: Iterable[Targets]) -> Audit:
    """Count what a head's assignment does with objects; at least one is needed."""
    owned = torch.zeros(len(head.levels), dtype=torch.int64)
    positives = torch.zeros_like(owned)
    sizes = list(head.sizes)
    boxes = 0
    for targets in batches:
        real_BN = targets.labels_BN >= 0
        assignment = head.assign(targets)
        taken = assignment.objects_BA >= 0
        regular = assignment.objects_BA.where(taken & ~assignment.forced_BA, -1)
        per_level = [
            _per_object(part, real_BN.shape[1])
            for part in torch.split(regular, sizes, 1)
        ]
        counts_LM = torch.stack(per_level)[:, real_BN]
        matched_M = counts_LM.sum(0) > 0
        # The first of equal counts is the finest level.
        owner_M = counts_LM.argmax(0)[matched_M]
        owned += torch.bincount(owner_M, minlength=len(owned))
        positives += torch.stack([p.sum() for p in torch.split(taken, sizes, 1)])
        boxes += int(real_BN.sum())
    return Audit(
        levels=head.levels,
        owned=tuple((owned / boxes).tolist()),
        positives=tuple((positives / positives.sum()).tolist()),
        unmatched=1 - int(owned.sum()) / boxes,
        boxes=boxes,
    )


def _per_object(objects_BA: Tensor, objects: int) -> Tensor:
    """Count how often each object occurs in a row, (B, A) to (B, objects)."""
    counts = objects_BA.new_zeros(objects_BA.shape[0], objects + 1)
    counts.scatter_add_(1, objects_BA + 1, torch.ones_like(objects_BA))
    return counts[:, 1:]


def reaches_px(batches: Iterable[Targets]) -> Tensor:
    """Return half the long side of every box in pixels, rising.

    It is the largest distance to a side as seen from the middle of the box: what FCOS
    compares with its ranges.
    """
    halves = []
    for targets in batches:
        boxes = targets.boxes_xyxy_BN4[targets.labels_BN >= 0]
        halves.append((boxes[:, 2:] - boxes[:, :2]).amax(-1) / 2)
    return torch.cat(halves).sort().values


def suggest_ranges(reaches: Tensor, levels: int) -> list[int]:
    """Return range bounds for FCOS that leave each level a third of what is left.

    The bounds are the 2/3, 8/9, 26/27 ... quantiles of the reaches. A starting point
    for the yaml: where boxes have few distinct sizes, the audit decides.

    Args:
        reaches: of training boxes, see `reaches_px`, pixels.
        levels: how many levels the detector reads.

    Returns:
        Whole pixels, one bound fewer than levels.
    """
    shares = [1 - 3.0**-i for i in range(1, levels)]
    return [round(float(reaches.quantile(share))) for share in shares]
