"""The values that pass between data, detectors and scoring: targets and detections.

Shape legend of this folder: B images, N objects or detections of an image, A anchors or
locations of all levels in a row (fine to coarse, row by row), K classes, 4 box sides.
"""

# ruff: noqa: N815  (shape suffixes)
from dataclasses import dataclass

import torch
from torch import Tensor

PADDING = -1  # the label of a row that holds no object


@dataclass(frozen=True, slots=True, eq=False)
class Targets:
    """The objects of a batch of images, padded to the same number per image.

    Args:
        boxes_xyxy_BN4: corners in pixels of the network's square input, float32;
            padding rows are zero.
        labels_BN: class 0..K-1, int64; -1 marks padding.
    """

    boxes_xyxy_BN4: Tensor
    labels_BN: Tensor

    def to(self, device: torch.device | str) -> "Targets":
        """Return the same targets on another device."""
        return Targets(self.boxes_xyxy_BN4.to(device), self.labels_BN.to(device))


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
