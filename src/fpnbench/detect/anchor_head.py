"""What all anchor-based heads share: matching, losses and decoding around a predictor.

Source: Lin et al. 2017, section 4 (arXiv 1708.02002); the details in which NAS-FPN's,
MnasFPN's and SSDLite's detectors differ stand in the yaml of each.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from fpnbench.detect.anchors import assign_anchors
from fpnbench.detect.boxes import Suppression, decode, encode, suppress
from fpnbench.detect.head import rows
from fpnbench.detect.losses import focal_loss, huber_loss
from fpnbench.detect.targets import Assignment, Detections, Predictions, Targets


@dataclass(frozen=True, slots=True)
class AnchorRule:
    """How anchors are matched, punished and decoded.

    Attributes:
        positive_iou: see `anchors.assign_anchors`; likewise `negative_iou` and
            `force_match`.
        coder: factors of a box's code (x, y, width, height), see `boxes.encode`.
        focal_alpha: see `losses.focal_loss`; likewise `focal_gamma`.
        huber_delta: see `losses.huber_loss`.
        box_weight: weight of the box loss.
        suppression: how scored boxes become detections.
    """

    positive_iou: float
    negative_iou: float
    force_match: bool
    coder: Sequence[float]
    focal_alpha: float
    focal_gamma: float
    huber_delta: float
    box_weight: float
    suppression: Suppression


class AnchorHead(nn.Module):
    """The anchor-based head.

    Objects of the size of a level that is not there still get their best anchor where
    `force_match` is on.

    Args:
        predictor: from one map a level to lists of class and box maps.
        num_classes: K.
        levels: feature levels that are there, rising.
        image_px: side of the square input.
        anchors: corners in pixels of each level, (A of the level, 4).
        rule: matching, losses and decoding.
    """

    anchors_A4: Tensor
    coder_4: Tensor

    def __init__(
        self,
        predictor: nn.Module,
        num_classes: int,
        levels: Sequence[int],
        image_px: int,
        anchors: Sequence[Tensor],
        rule: AnchorRule,
    ) -> None:
        super().__init__()
        self.levels = tuple(levels)
        self.sizes = tuple(len(each) for each in anchors)
        self.image_px = image_px
        self.num_classes = num_classes
        self.rule = rule
        self.predictor = predictor
        self.register_buffer("anchors_A4", torch.cat(list(anchors)), persistent=False)
        self.register_buffer("coder_4", torch.tensor(rule.coder), persistent=False)

    def forward(self, feats: Mapping[int, Tensor]) -> Predictions:
        """Predict; a box's code is its offset from the anchor, see `boxes.encode`."""
        logits, deltas = self.predictor([feats[level] for level in self.levels])
        return Predictions(rows(logits, self.num_classes), rows(deltas, 4), None)

    def assign(self, targets: Targets) -> Assignment:
        """Give each anchor the object it overlaps most, by the thresholds."""
        return assign_anchors(
            targets.with_room(),
            self.anchors_A4,
            positive_iou=self.rule.positive_iou,
            negative_iou=self.rule.negative_iou,
            force_match=self.rule.force_match,
        )

    def loss(self, predictions: Predictions, targets: Targets) -> dict[str, Tensor]:
        """Return focal class loss and weighted Huber box loss."""
        targets, rule = targets.with_room(), self.rule
        classes_BA, boxes_BA4 = self.assign(targets).pick(targets)
        box_loss = huber_loss(
            predictions.deltas_BA4,
            encode(self.anchors_A4, boxes_BA4) * self.coder_4,
            classes_BA >= 0,
            delta=rule.huber_delta,
        )
        return {
            "class": focal_loss(
                predictions.logits_BAK,
                classes_BA,
                alpha=rule.focal_alpha,
                gamma=rule.focal_gamma,
            ),
            "box": rule.box_weight * box_loss,
        }

    def detect(self, predictions: Predictions) -> list[Detections]:
        """Score by class probability, then suppress."""
        deltas_BA4 = predictions.deltas_BA4 / self.coder_4
        boxes_BA4 = decode(self.anchors_A4, deltas_BA4)
        scores_BAK = predictions.logits_BAK.sigmoid()
        return suppress(boxes_BA4, scores_BAK, self.image_px, self.rule.suppression)
