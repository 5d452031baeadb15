"""RetinaNet: anchors of several sizes and shapes at every cell, focal loss.

Source: Lin et al. 2017 (arXiv 1708.02002); the details in which NAS-FPN's and MnasFPN's
experiments differ from it follow Google's release and stand in the yaml.
"""

from collections.abc import Mapping, Sequence

from torch import Tensor, nn

from fpnbench.detect.anchors import anchors_A4, assign_anchors, cells
from fpnbench.detect.boxes import Suppression, decode, encode, suppress
from fpnbench.detect.head import Tower, final_conv, rows
from fpnbench.detect.losses import focal_loss, huber_loss
from fpnbench.detect.targets import Assignment, Detections, Predictions, Targets


class RetinaNetHead(nn.Module):
    """The anchor-based head.

    Objects of the size of a level that is not there still get their best anchor where
    `force_match` is on.

    Args:
        in_channels: of every map of the pyramid.
        num_classes: K.
        levels: feature levels that are there, rising.
        image_px: side of the square input.
        anchor_scale: see `anchors.anchors_A4`; likewise `octave_scales`, `ratios`.
        positive_iou: see `anchors.assign_anchors`; likewise `negative_iou` and
            `force_match`.
        width: channels of the towers.
        tower_depth: 3x3 convolutions in each of the class and the box tower.
        init_std: spread of the towers' initial weights.
        final_init_std: spread of the final convolutions' initial weights.
        prior: class probability at first.
        focal_alpha: see `losses.focal_loss`; likewise `focal_gamma`.
        huber_delta: see `losses.huber_loss`.
        box_weight: weight of the box loss.
        suppression: how scored boxes become detections.
    """

    anchors_A4: Tensor

    def __init__(
        self,
        in_channels: int,
        num_classes: int,
        levels: Sequence[int],
        image_px: int,
        *,
        anchor_scale: float,
        octave_scales: int,
        ratios: Sequence[float],
        positive_iou: float,
        negative_iou: float,
        force_match: bool,
        width: int,
        tower_depth: int,
        init_std: float,
        final_init_std: float,
        prior: float,
        focal_alpha: float,
        focal_gamma: float,
        huber_delta: float,
        box_weight: float,
        suppression: Suppression,
    ) -> None:
        super().__init__()
        per_cell = octave_scales * len(ratios)
        self.levels = tuple(levels)
        self.sizes = tuple(cells(level, image_px) * per_cell for level in levels)
        self.image_px = image_px
        self.num_classes = num_classes
        self.positive_iou, self.negative_iou = positive_iou, negative_iou
        self.force_match = force_match
        self.focal_alpha, self.focal_gamma = focal_alpha, focal_gamma
        self.huber_delta, self.box_weight = huber_delta, box_weight
        self.suppression = suppression

        shape = (in_channels, width, tower_depth, levels, init_std)
        self.class_tower, self.box_tower = Tower(*shape), Tower(*shape)
        self.class_conv = final_conv(
            width, per_cell * num_classes, init_std=final_init_std, prior=prior
        )
        self.box_conv = final_conv(width, per_cell * 4, init_std=final_init_std)
        anchors = anchors_A4(
            levels,
            image_px,
            anchor_scale=anchor_scale,
            octave_scales=octave_scales,
            ratios=ratios,
        )
        self.register_buffer("anchors_A4", anchors, persistent=False)

    def forward(self, feats: Mapping[int, Tensor]) -> Predictions:
        """Predict; a box's code is its offset from the anchor, see `boxes.encode`."""
        maps = [feats[level] for level in self.levels]
        logits = [self.class_conv(x) for x in self.class_tower(maps)]
        deltas = [self.box_conv(x) for x in self.box_tower(maps)]
        return Predictions(rows(logits, self.num_classes), rows(deltas, 4), None)

    def assign(self, targets: Targets) -> Assignment:
        """Give each anchor the object it overlaps most, by the thresholds."""
        return assign_anchors(
            targets.with_room(),
            self.anchors_A4,
            positive_iou=self.positive_iou,
            negative_iou=self.negative_iou,
            force_match=self.force_match,
        )

    def loss(self, predictions: Predictions, targets: Targets) -> dict[str, Tensor]:
        """Return focal class loss and weighted Huber box loss."""
        targets = targets.with_room()
        classes_BA, boxes_BA4 = self.assign(targets).pick(targets)
        box_loss = huber_loss(
            predictions.deltas_BA4,
            encode(self.anchors_A4, boxes_BA4),
            classes_BA >= 0,
            delta=self.huber_delta,
        )
        return {
            "class": focal_loss(
                predictions.logits_BAK,
                classes_BA,
                alpha=self.focal_alpha,
                gamma=self.focal_gamma,
            ),
            "box": self.box_weight * box_loss,
        }

    def detect(self, predictions: Predictions) -> list[Detections]:
        """Score by class probability, then suppress."""
        boxes_BA4 = decode(self.anchors_A4, predictions.deltas_BA4)
        scores_BAK = predictions.logits_BAK.sigmoid()
        return suppress(boxes_BA4, scores_BAK, self.image_px, self.suppression)
