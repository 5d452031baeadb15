"""Box arithmetic for batches: overlap, codes and suppression.

Corners are in pixels, (x1, y1, x2, y2). Losses and codes are dense, without branches
on values, so that a GPU never waits for them. Letters as in `targets`.
"""

import math
from dataclasses import dataclass

import torch
from torch import Tensor
from torchvision.ops import batched_nms, clip_boxes_to_image

from fpnbench.detect.targets import Detections

EPSILON = 1e-6  # square pixels; keeps 0 / 0 of padding rows finite
MAX_LOG_RATIO = math.log(1000 / 16)  # Detectron's bound on a predicted log size


def area(boxes_xyxy: Tensor) -> Tensor:
    """Return the area of boxes, (..., 4) to (...), square pixels."""
    x1, y1, x2, y2 = boxes_xyxy.unbind(-1)
    return (x2 - x1) * (y2 - y1)


def iou_BNA(boxes_BN4: Tensor, anchors_A4: Tensor) -> Tensor:
    """Return the intersection over union of objects with anchors, (B, N, A)."""
    ax1, ay1, ax2, ay2 = anchors_A4.unbind(-1)
    x1, y1, x2, y2 = boxes_BN4.unsqueeze(-2).unbind(-1)
    wide = (torch.minimum(x2, ax2) - torch.maximum(x1, ax1)).clamp_(min=0)
    high = (torch.minimum(y2, ay2) - torch.maximum(y1, ay1)).clamp_(min=0)
    both = wide.mul_(high)
    return both / (area(boxes_BN4).unsqueeze(-1) + area(anchors_A4) - both + EPSILON)


def giou_loss(boxes_xyxy: Tensor, targets_xyxy: Tensor) -> Tensor:
    """Return 1 - GIoU of boxes with their targets, (..., 4) twice to (...).

    Torchvision has the same loss, but picks rows by a mask, which stalls a GPU.

    Source: Rezatofighi et al. 2019, algorithm 1 (arXiv 1902.09630).
    """
    x1, y1, x2, y2 = boxes_xyxy.unbind(-1)
    tx1, ty1, tx2, ty2 = targets_xyxy.unbind(-1)
    wide = (torch.minimum(x2, tx2) - torch.maximum(x1, tx1)).clamp(min=0)
    high = (torch.minimum(y2, ty2) - torch.maximum(y1, ty1)).clamp(min=0)
    both = wide * high
    union = area(boxes_xyxy) + area(targets_xyxy) - both
    hull = (torch.maximum(x2, tx2) - torch.minimum(x1, tx1)) * (
        torch.maximum(y2, ty2) - torch.minimum(y1, ty1)
    )
    return 1 - both / (union + EPSILON) + (hull - union) / (hull + EPSILON)


def sides(points_A2: Tensor, boxes_BA4: Tensor) -> Tensor:
    """Return the distances of points to the left, top, right and bottom side."""
    return torch.cat(
        (points_A2 - boxes_BA4[..., :2], boxes_BA4[..., 2:] - points_A2), -1
    )


def from_sides(points_A2: Tensor, sides_BA4: Tensor) -> Tensor:
    """Return the boxes whose sides lie at these distances: the inverse of `sides`."""
    return torch.cat(
        (points_A2 - sides_BA4[..., :2], points_A2 + sides_BA4[..., 2:]), -1
    )


def _centre_size(boxes_xyxy: Tensor) -> tuple[Tensor, Tensor]:
    low, high = boxes_xyxy[..., :2], boxes_xyxy[..., 2:]
    return (low + high) / 2, high - low


def encode(anchors_A4: Tensor, boxes_BA4: Tensor) -> Tensor:
    """Return the offset of boxes from anchors: centre per anchor size, log size ratio.

    Padding boxes (size 0) get a finite code that means nothing.

    Source: Girshick et al. 2014, appendix C (arXiv 1311.2524); scale factors are 1.
    """
    centre_A2, size_A2 = _centre_size(anchors_A4)
    middle, extent = _centre_size(boxes_BA4)
    ratio = (extent / size_A2).clamp(min=EPSILON)
    return torch.cat(((middle - centre_A2) / size_A2, ratio.log()), -1)


def decode(anchors_A4: Tensor, deltas_BA4: Tensor) -> Tensor:
    """Return the boxes that codes stand for: the inverse of `encode`."""
    centre_A2, size_A2 = _centre_size(anchors_A4)
    middle = centre_A2 + deltas_BA4[..., :2] * size_A2
    extent = deltas_BA4[..., 2:].clamp(max=MAX_LOG_RATIO).exp() * size_A2
    return torch.cat((middle - extent / 2, middle + extent / 2), -1)


@dataclass(frozen=True, slots=True)
class Suppression:
    """How scored boxes become detections.

    Attributes:
        score_threshold: lower scores are dropped.
        pre_nms: most (box, class) pairs of an image that enter suppression.
        nms_iou: overlap above which the lower score of a class is dropped.
        max_detections: most detections of an image.
    """

    score_threshold: float
    pre_nms: int
    nms_iou: float
    max_detections: int


def suppress(
    boxes_BA4: Tensor, scores_BAK: Tensor, image_px: int, rule: Suppression
) -> list[Detections]:
    """Turn scored boxes into each image's detections by suppression within a class.

    A box may be reported under several classes.

    Args:
        boxes_BA4: predicted corners, pixels; clipped to the image here.
        scores_BAK: confidence in [0, 1].
        image_px: side of the square image.
        rule: thresholds and limits.

    Source: Lin et al. 2017, section 4.1 (arXiv 1708.02002).
    """
    K = scores_BAK.shape[-1]
    boxes_BA4 = clip_boxes_to_image(boxes_BA4, (image_px, image_px))
    flat = scores_BAK.flatten(1)
    best = flat.topk(min(rule.pre_nms, flat.shape[1]), dim=1)
    found = []
    for boxes_A4, scores_M, pairs_M in zip(boxes_BA4, *best, strict=True):
        keep = scores_M > rule.score_threshold
        scores, pairs = scores_M[keep], pairs_M[keep]
        boxes, labels = boxes_A4[pairs // K], pairs % K
        kept = batched_nms(boxes, scores, labels, rule.nms_iou)
        kept = kept[: rule.max_detections]
        found.append(Detections(boxes[kept], scores[kept], labels[kept]))
    return found
