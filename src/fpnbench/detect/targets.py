"""The values that pass between data, detectors and scoring.

Shape legend of this folder: B images, N objects or detections of an image, A anchors or
locations of all levels in a row (fine to coarse, row by row), K classes, 4 box sides.
"""

from dataclasses import dataclass

import torch
from torch import Tensor

PADDING = -1  # the label of a row that holds no object
BACKGROUND = -1  # instead of an object or a class: the prediction must find nothing
IGNORED = -2  # instead of an object or a class: the prediction does not count


@dataclass(frozen=True, slots=True, eq=False)
class Targets:
    """The objects of a batch of images, padded to the same number per image.

    Args:
        boxes_xyxy_BN4: corners in pixels of the network's square input, float32;
            padding rows are zero, so that they overlap nothing.
        labels_BN: class 0..K-1, int64; -1 marks padding.
    """

    boxes_xyxy_BN4: Tensor
    labels_BN: Tensor

    def to(self, device: torch.device | str) -> "Targets":
        """Return the same targets on another device."""
        return Targets(self.boxes_xyxy_BN4.to(device), self.labels_BN.to(device))

    def with_room(self) -> "Targets":
        """Return targets of at least one row, so that reductions over N are defined."""
        if self.labels_BN.shape[1]:
            return self
        B = self.labels_BN.shape[0]
        return Targets(
            self.boxes_xyxy_BN4.new_zeros(B, 1, 4),
            self.labels_BN.new_full((B, 1), PADDING),
        )


@dataclass(frozen=True, slots=True, eq=False)
class Assignment:
    """Which object each anchor or location shall predict.

    Args:
        objects_BA: index 0..N-1 of the object, -1 background, -2 ignored, int64.
        forced_BA: positive only because the object had nothing better, bool.
    """

    objects_BA: Tensor
    forced_BA: Tensor

    def pick(self, targets: Targets) -> tuple[Tensor, Tensor]:
        """Return the class (or -1, -2) and the box wanted of each anchor.

        Returns:
            classes_BA, int64, and boxes_BA4; boxes of negatives mean nothing.
        """
        index_BA = self.objects_BA.clamp(min=0)
        labels_BA = targets.labels_BN.gather(1, index_BA)
        classes_BA = torch.where(self.objects_BA >= 0, labels_BA, self.objects_BA)
        index_BA4 = index_BA.unsqueeze(-1).expand(-1, -1, 4)
        return classes_BA, targets.boxes_xyxy_BN4.gather(1, index_BA4)


@dataclass(frozen=True, slots=True, eq=False)
class Predictions:
    """What a head says about every anchor or location, before any decoding.

    Args:
        logits_BAK: class scores before the sigmoid.
        deltas_BA4: boxes in the head's own code.
        centerness_BA: before the sigmoid; None where the head has none.
    """

    logits_BAK: Tensor
    deltas_BA4: Tensor
    centerness_BA: Tensor | None


@dataclass(frozen=True, slots=True, eq=False)
class Detections:
    """What a detector found in one image, best score first.

    Args:
        boxes_xyxy_N4: corners in pixels, float32.
        scores_N: confidence in [0, 1], float32.
        labels_N: class 0..K-1, int64.
    """

    boxes_xyxy_N4: Tensor
    scores_N: Tensor
    labels_N: Tensor

    def to(self, device: torch.device | str) -> "Detections":
        """Return the same detections on another device."""
        return Detections(
            self.boxes_xyxy_N4.to(device),
            self.scores_N.to(device),
            self.labels_N.to(device),
        )
