"""Fits images and boxes into the network's square input, and detections back.

The long side becomes `image_px` with the aspect kept; the rest of the square, right and
below, is grey. A flip mirrors the image inside its valid area, so padding stays there.
"""

from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor
from torch.nn.utils.rnn import pad_sequence

from fpnbench.detect.targets import PADDING, Detections, Targets
from fpnbench.train.data import DetectionSet, Record

GREY = 128  # near every backbone's mean, so that padding is near zero after normalising


def fitted(record: Record, image_px: int) -> tuple[int, int]:
    """Return (width, height) in whole pixels of a record's image inside the square."""
    scale = image_px / max(record.width, record.height)
    return max(1, round(record.width * scale)), max(1, round(record.height * scale))


def fit(
    pixels: NDArray[np.uint8], size: tuple[int, int], image_px: int
) -> NDArray[np.uint8]:
    """Resize an image and pad it, (image_px, image_px, 3) uint8.

    Args:
        pixels: (height, width, 3) RGB.
        size: of the resized image, (width, height).
        image_px: side of the square.
    """
    width, height = size
    canvas = np.full((image_px, image_px, 3), GREY, np.uint8)
    resized = Image.fromarray(pixels).resize(size, Image.Resampling.BILINEAR)
    canvas[:height, :width] = np.asarray(resized)
    return canvas


def mirror(canvas: NDArray[np.uint8], width: int) -> NDArray[np.uint8]:
    """Flip a fitted image left to right inside its valid `width`."""
    flipped = canvas.copy()
    flipped[:, :width] = canvas[:, :width][:, ::-1]
    return flipped


class ResizedSet:
    """The boxes of a set in the network's input, and the way back.

    Crowd boxes are left out: they are scored, never trained on.

    Args:
        dataset: the set.
        image_px: side of the square input, pixels.
    """

    def __init__(self, dataset: DetectionSet, image_px: int) -> None:
        self.dataset = dataset
        self.image_px = image_px
        self.sizes = [fitted(record, image_px) for record in dataset.records]
        # (x, y) factors from stored to input pixels; rounding makes the two differ.
        self._scales = [
            torch.tensor((w / r.width, h / r.height) * 2, dtype=torch.float64)
            for r, (w, h) in zip(dataset.records, self.sizes, strict=True)
        ]
        self._boxes = [
            (torch.from_numpy(r.boxes_xyxy[~r.crowd]).double() * scale).float()
            for r, scale in zip(dataset.records, self._scales, strict=True)
        ]
        self._labels = [torch.from_numpy(r.labels[~r.crowd]) for r in dataset.records]

    def __len__(self) -> int:
        return len(self.sizes)

    def boxes(self, index: int, flip: bool) -> Tensor:
        """Return one image's boxes in the input, (n, 4) float32."""
        boxes = self._boxes[index]
        if not flip:
            return boxes
        x1, y1, x2, y2 = boxes.unbind(1)
        width = self.sizes[index][0]
        return torch.stack((width - x2, y1, width - x1, y2), 1)

    def targets(self, indices: Sequence[int], flips: Sequence[bool]) -> Targets:
        """Return the targets of a batch, padded to its fullest image.

        Args:
            indices: records.
            flips: which of them are mirrored.
        """
        boxes = [self.boxes(i, f) for i, f in zip(indices, flips, strict=True)]
        labels = [self._labels[i] for i in indices]
        return Targets(
            pad_sequence(boxes, batch_first=True),
            pad_sequence(labels, batch_first=True, padding_value=PADDING),
        )

    def to_original(self, detections: Detections, index: int) -> Detections:
        """Map detections in an image's input to pixels of the stored image, clipped."""
        record = self.dataset.records[index]
        scale = self._scales[index].to(detections.boxes_xyxy_N4)
        limits = torch.tensor((record.width, record.height) * 2).to(scale)
        boxes = (detections.boxes_xyxy_N4 / scale).clamp(min=0).minimum(limits)
        return Detections(boxes, detections.scores_N, detections.labels_N)
