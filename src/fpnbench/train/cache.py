"""Features of a frozen backbone, or resized images, computed once and kept on disk.

One folder per set, image size and backbone, named by a digest of all three. Levels are
float16, channels last, of the image and of its mirror image: what is cached knows
flips, no jitter. Level 0 is the image itself (uint8), for backbones that are trained.
"""

import hashlib
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from fpnbench.detect.backbone import Backbone
from fpnbench.detect.targets import Detections, Targets
from fpnbench.graph.errors import UserError
from fpnbench.train.array_store import Arrays, Progress, stored
from fpnbench.train.data import DetectionSet
from fpnbench.train.resize import ResizedSet, fit, mirror

VERSION = 1  # of what is stored: raise it when resizing or layout change
BATCH = 16


class CachedSet:
    """A set whose inputs are ready: batches of features, or of images, and targets.

    Args:
        dataset: the set.
        image_px: side of the square input, pixels.
        arrays: by level, (N, views, H, W, C): two views of features, or one of images.

    Attributes:
        channels: of each level.
        nbytes: what the arrays take on disk.
    """

    def __init__(self, dataset: DetectionSet, image_px: int, arrays: Arrays) -> None:
        self.dataset = dataset
        self.resized = ResizedSet(dataset, image_px)
        self.channels = {level: int(a.shape[-1]) for level, a in arrays.items()}
        self.nbytes = sum(array.nbytes for array in arrays.values())
        self._arrays = arrays

    def __len__(self) -> int:
        return len(self.resized)

    def batch(
        self, indices: Tensor, flips: Tensor
    ) -> tuple[dict[int, Tensor], Targets]:
        """Gather a batch.

        Args:
            indices: records, (B,) int64.
            flips: which of them are mirrored, (B,) bool.

        Returns:
            By level, (B, C, H, W) float32 in channels-last memory (level 0: images in
            [0, 1]); and the targets.
        """
        chosen, mirrored = indices.tolist(), flips.tolist()
        feats = {}
        for level, array in self._arrays.items():
            if level == 0:
                feats[level] = self._images(chosen, mirrored)
            else:
                rows = array[chosen, flips.long().numpy()]
                feats[level] = torch.from_numpy(rows).float().permute(0, 3, 1, 2)
        return feats, self.resized.targets(chosen, mirrored)

    def to_original(self, detections: Detections, index: int) -> Detections:
        """Map one image's detections to pixels of the stored image."""
        return self.resized.to_original(detections, index)

    def _images(self, indices: list[int], flips: list[bool]) -> Tensor:
        pixels = [
            mirror(canvas, self.resized.sizes[index][0]) if flip else canvas
            for canvas, index, flip in zip(
                self._arrays[0][indices, 0], indices, flips, strict=True
            )
        ]
        return _as_input(np.stack(pixels))


def cache_features(
    dataset: DetectionSet,
    backbone: Backbone,
    image_px: int,
    folder: Path,
    progress: Progress,
) -> CachedSet:
    """Compute, or find on disk, a frozen backbone's features of a set.

    Args:
        dataset: the set.
        backbone: a frozen one; its digest is part of the cache's name.
        image_px: side of the square input, pixels.
        folder: of all caches.
        progress: told (images done, images in all) while computing.

    Raises:
        UserError: an image cannot be read, the cache cannot be written or read,
            features do not fit into float16.
    """
    key = _key(dataset, image_px, backbone.digest)

    def batches(start: int) -> Iterator[Arrays]:
        for canvases in _canvases(dataset, image_px, start):
            yield _features(backbone, canvases)

    place = folder / f"features-{image_px}px-{key}"
    arrays = stored(place, len(dataset.records), batches, progress)
    return CachedSet(dataset, image_px, arrays)


def cache_images(
    dataset: DetectionSet, image_px: int, folder: Path, progress: Progress
) -> CachedSet:
    """Resize, or find on disk, the images of a set, for a backbone that is trained.

    Arguments and errors as for `cache_features`.
    """
    key = _key(dataset, image_px, "images")

    def batches(start: int) -> Iterator[Arrays]:
        for canvases in _canvases(dataset, image_px, start):
            yield {0: canvases[:, :1]}

    place = folder / f"images-{image_px}px-{key}"
    arrays = stored(place, len(dataset.records), batches, progress)
    return CachedSet(dataset, image_px, arrays)


def _key(dataset: DetectionSet, image_px: int, kind: str) -> str:
    text = f"{VERSION} {dataset.digest} {image_px} {kind}"
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def _canvases(
    dataset: DetectionSet, image_px: int, first: int
) -> Iterator[NDArray[np.uint8]]:
    """Yield fitted images and their mirror images, (B, 2, image_px, image_px, 3).

    From record `first` on, a multiple of `BATCH`: the last bit of a feature depends on
    what else is in its batch.
    """
    sizes = ResizedSet(dataset, image_px).sizes
    for start in range(first, len(sizes), BATCH):
        views = []
        for record, size in zip(
            dataset.records[start : start + BATCH], sizes[start:], strict=False
        ):
            canvas = fit(dataset.load(record), size, image_px)
            views.append(np.stack((canvas, mirror(canvas, size[0]))))
        yield np.stack(views)


def _features(backbone: Backbone, canvases: NDArray[np.uint8]) -> Arrays:
    """Run the backbone on both views, (B, 2, H, W, C) float16 by level."""
    count = len(canvases)
    with torch.inference_mode():
        images = _as_input(canvases.reshape(-1, *canvases.shape[2:]))
        weights = next(backbone.parameters(), images)
        feats = backbone(images.to(weights.device))
    arrays = {}
    for level, feat in feats.items():
        half = feat.half().permute(0, 2, 3, 1).contiguous()
        if not torch.isfinite(half).all():
            raise UserError(
                f"the backbone's features at level {level} do not fit into float16, "
                "in which they are cached"
            )
        arrays[level] = half.reshape(count, 2, *half.shape[1:]).cpu().numpy()
    return arrays


def _as_input(pixels: NDArray[np.uint8]) -> Tensor:
    """Turn images (B, H, W, 3) uint8 into input, (B, 3, H, W) in [0, 1]."""
    return torch.from_numpy(pixels).permute(0, 3, 1, 2).float() / 255
