"""FCOS: every location predicts the object it lies central in; no anchors.

Source: Tian et al. 2019 (arXiv 1904.01355), with what the authors' release added:
centre sampling, centre-ness on the box branch, GIoU loss, distances in strides.
Differs: batch norm per level in the towers instead of group norm; a distance cannot
exceed the image.
"""

import math
from collections.abc import Mapping, Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from fpnbench.detect.anchors import (
    assign_locations,
    cells,
    locations_A2,
    range_bounds,
)
from fpnbench.detect.boxes import (
    EPSILON,
    Suppression,
    from_sides,
    giou_loss,
    sides,
    suppress,
)
from fpnbench.detect.head import Channels, Tower, common_channels, final_conv, rows
from fpnbench.detect.losses import focal_loss
from fpnbench.detect.targets import Assignment, Detections, Predictions, Targets


class FcosHead(nn.Module):
    """The anchor-free head.

    Args:
        in_channels: of the pyramid's maps, the same on all levels.
        num_classes: K.
        levels: feature levels that are there, rising.
        image_px: side of the square input.
        range_levels: feature levels that `ranges` were made for, rising.
        ranges: largest distance from a location to a side of its object, pixels: upper
            bounds of all range levels but the last, which has none.
        centre_radius: half side of the square of positives, strides.
        width: channels of the towers.
        tower_depth: 3x3 convolutions in each of the class and the box tower.
        init_std: spread of initial weights.
        prior: class probability at first.
        focal_alpha: see `losses.focal_loss`; likewise `focal_gamma`.
        suppression: how scored boxes become detections.
    """

    points_A2: Tensor
    stride_A: Tensor
    low_A: Tensor
    high_A: Tensor

    def __init__(
        self,
        in_channels: Channels,
        num_classes: int,
        levels: Sequence[int],
        image_px: int,
        *,
        range_levels: Sequence[int],
        ranges: Sequence[float],
        centre_radius: float,
        width: int,
        tower_depth: int,
        init_std: float,
        prior: float,
        focal_alpha: float,
        focal_gamma: float,
        suppression: Suppression,
    ) -> None:
        super().__init__()
        self.levels = tuple(levels)
        self.sizes = tuple(cells(level, image_px) for level in levels)
        self.image_px = image_px
        self.num_classes = num_classes
        self.centre_radius = centre_radius
        self.focal_alpha, self.focal_gamma = focal_alpha, focal_gamma
        self.suppression = suppression

        channels = common_channels(in_channels, levels)
        shape = (channels, width, tower_depth, levels, init_std)
        self.class_tower, self.box_tower = Tower(*shape), Tower(*shape)
        self.class_conv = final_conv(width, num_classes, init_std=init_std, prior=prior)
        self.box_conv = final_conv(width, 4, init_std=init_std)
        self.centre_conv = final_conv(width, 1, init_std=init_std)
        self.scales = nn.Parameter(torch.ones(len(levels)))

        low, high = zip(*range_bounds(ranges, range_levels, levels), strict=True)
        strides = [2.0**level for level in levels]
        self.register_buffer("points_A2", locations_A2(levels, image_px), False)
        for name, values in (("stride_A", strides), ("low_A", low), ("high_A", high)):
            per_level = torch.tensor(values, dtype=torch.float32)
            spread = per_level.repeat_interleave(torch.tensor(self.sizes))
            self.register_buffer(name, spread, persistent=False)

    def forward(self, feats: Mapping[int, Tensor]) -> Predictions:
        """Predict; a box's code is the log of its four distances in strides."""
        maps = [feats[level] for level in self.levels]
        logits = [self.class_conv(x) for x in self.class_tower(maps)]
        box_maps = self.box_tower(maps)
        deltas = [
            self.box_conv(x) * scale
            for x, scale in zip(box_maps, self.scales, strict=True)
        ]
        centre = [self.centre_conv(x) for x in box_maps]
        return Predictions(
            rows(logits, self.num_classes), rows(deltas, 4), rows(centre, 1).squeeze(-1)
        )

    def assign(self, targets: Targets) -> Assignment:
        """Give each location the smallest object it is central to and in range of."""
        radius_A = self.centre_radius * self.stride_A
        return assign_locations(
            targets.with_room(), self.points_A2, radius_A, self.low_A, self.high_A
        )

    def loss(self, predictions: Predictions, targets: Targets) -> dict[str, Tensor]:
        """Return focal class loss, GIoU box loss and centre-ness loss.

        The box loss is an average weighted by the wanted centre-ness.
        """
        targets = targets.with_room()
        classes_BA, boxes_BA4 = self.assign(targets).pick(targets)
        positive_BA = classes_BA >= 0
        centre_BA = centreness(sides(self.points_A2, boxes_BA4))
        weight_BA = centre_BA * positive_BA
        box_BA = giou_loss(self._boxes(predictions), boxes_BA4)
        assert predictions.centerness_BA is not None
        centre_loss_BA = F.binary_cross_entropy_with_logits(
            predictions.centerness_BA, centre_BA, reduction="none"
        )
        return {
            "class": focal_loss(
                predictions.logits_BAK,
                classes_BA,
                alpha=self.focal_alpha,
                gamma=self.focal_gamma,
            ),
            "box": (box_BA * weight_BA).sum() / weight_BA.sum().clamp(min=EPSILON),
            "centre": (centre_loss_BA * positive_BA).sum()
            / positive_BA.sum().clamp(min=1),
        }

    def detect(self, predictions: Predictions) -> list[Detections]:
        """Score by the root of class probability times centre-ness, then suppress."""
        assert predictions.centerness_BA is not None
        centre_BA1 = predictions.centerness_BA.sigmoid().unsqueeze(-1)
        scores_BAK = (predictions.logits_BAK.sigmoid() * centre_BA1).sqrt()
        boxes_BA4 = self._boxes(predictions)
        return suppress(boxes_BA4, scores_BAK, self.image_px, self.suppression)

    def _boxes(self, predictions: Predictions) -> Tensor:
        limit_A = math.log(self.image_px) - self.stride_A.log()
        logs_BA4 = predictions.deltas_BA4.minimum(limit_A.unsqueeze(-1))
        return from_sides(self.points_A2, logs_BA4.exp() * self.stride_A.unsqueeze(-1))


def centreness(sides_BA4: Tensor) -> Tensor:
    """Return how central a location is in its object, 1 in the middle, (B, A).

    Args:
        sides_BA4: distances left, top, right, bottom; negative ones count as 0.

    Source: Tian et al. 2019, equation 3.
    """
    left, top, right, bottom = sides_BA4.clamp(min=0).unbind(-1)
    wide = left.minimum(right) / left.maximum(right).clamp(min=EPSILON)
    high = top.minimum(bottom) / top.maximum(bottom).clamp(min=EPSILON)
    return (wide * high).sqrt()
