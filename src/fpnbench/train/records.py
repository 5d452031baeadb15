"""Records: what AP needs to know of every detection, so that images can be resampled.

The photographs that score a network are few, and another draw of them would have given
another AP. With the matches of every detection kept, a bootstrap over images costs no
training: an image drawn twice counts twice.

Shapes: D detections, T = 10 IoU thresholds, I images, K classes.
"""

import io
from dataclasses import dataclass, fields

import numpy as np
from numpy.typing import NDArray

from fpnbench.detect.targets import Detections
from fpnbench.train.data import DetectionSet
from fpnbench.train.scoring import evaluate

EPSILON = np.spacing(1)
"""pycocotools' own, in its division by the number of detections."""
RECALLS = np.linspace(0, 1, 101)
"""COCO's 101 recall points."""


@dataclass(frozen=True, slots=True)
class Records:
    """The matches of all detections of one network, best scores first.

    Attributes:
        image_D: index of the image.
        label_D: class.
        score_D: confidence.
        hit_TD: whether it found an object at each IoU threshold.
        ignored_TD: whether it counts neither way (crowds).
        objects_IK: objects to be found.
    """

    image_D: NDArray[np.int32]
    label_D: NDArray[np.int32]
    score_D: NDArray[np.float64]
    hit_TD: NDArray[np.bool_]
    ignored_TD: NDArray[np.bool_]
    objects_IK: NDArray[np.int32]

    def pack(self) -> bytes:
        """Return all arrays as one compressed NPZ file."""
        file = io.BytesIO()
        arrays = {entry.name: getattr(self, entry.name) for entry in fields(self)}
        np.savez_compressed(file, **arrays)
        return file.getvalue()


def unpack(data: bytes) -> Records:
    """Read what `Records.pack` wrote."""
    with np.load(io.BytesIO(data), allow_pickle=False) as arrays:
        return Records(**arrays)


def match(dataset: DetectionSet, detections: list[Detections]) -> Records:
    """Match detections with objects as pycocotools does.

    Args:
        dataset: the set.
        detections: one a record, boxes in pixels of the stored image; the best 100 of
            an image and class are kept.
    """
    evaluation = evaluate(dataset, detections)
    images, thresholds = len(dataset.records), len(evaluation.params.iouThrs)
    objects_IK = np.zeros((images, len(dataset.categories)), np.int32)
    # Columns: image, class, score, then hit and ignored at every threshold.
    columns = [np.zeros((3 + 2 * thresholds, 0))]
    # evalImgs runs over classes, size classes (the first is "all") and images.
    sizes = len(evaluation.params.areaRng)
    for place, found in enumerate(evaluation.evalImgs):
        if found is None or place // images % sizes:
            continue
        image, label = found["image_id"], found["category_id"]
        objects_IK[image, label] = int((np.asarray(found["gtIgnore"]) == 0).sum())
        if scores := found["dtScores"]:
            of = np.tile([[image], [label]], len(scores))
            hit, ignored = np.asarray(found["dtMatches"]) > 0, found["dtIgnore"]
            columns.append(np.vstack([of, [scores], hit, ignored]))
    table = np.concatenate(columns, 1)
    # pycocotools' order: stable, so that equal scores keep the order of images.
    table = table[:, np.argsort(-table[2], kind="mergesort")]
    return Records(
        image_D=table[0].astype(np.int32),
        label_D=table[1].astype(np.int32),
        score_D=table[2],
        hit_TD=table[3 : 3 + thresholds] > 0,
        ignored_TD=table[3 + thresholds :] > 0,
        objects_IK=objects_IK,
    )


class WeightedAP:
    """COCO's AP of one network where images count several times, or not at all.

    Args:
        records: the network's; sorted by class once, as a bootstrap asks often.
    """

    def __init__(self, records: Records) -> None:
        self._objects_IK = records.objects_IK
        self._classes = []
        for label in range(records.objects_IK.shape[1]):
            chosen = records.label_D == label
            counted = ~records.ignored_TD[:, chosen]
            hit = records.hit_TD[:, chosen]
            self._classes.append((records.image_D[chosen], hit & counted, counted))

    def __call__(self, weight_I: NDArray[np.int64]) -> float:
        """Return AP in [0, 1] where image i counts `weight_I[i]` times.

        NaN where no object is left. Classes without an object are left out, as COCO
        does.
        """
        per_class = []
        for objects, (image_D, true_TD, counted_TD) in zip(
            weight_I @ self._objects_IK, self._classes, strict=True
        ):
            if objects:
                weight_D = weight_I[image_D]
                true = np.cumsum(weight_D * true_TD, 1)
                found = np.cumsum(weight_D * counted_TD, 1)
                per_class.append(
                    _interpolated(true / objects, true / (found + EPSILON))
                )
        return float(np.mean(per_class)) if per_class else float("nan")


def _interpolated(
    recall_TD: NDArray[np.float64], precision_TD: NDArray[np.float64]
) -> NDArray[np.float64]:
    """Return the best precision at each of the recall points or a higher recall."""
    best = np.maximum.accumulate(precision_TD[:, ::-1], 1)[:, ::-1]
    best = np.pad(best, ((0, 0), (0, 1)))
    points = [
        row[np.searchsorted(recall, RECALLS)]
        for row, recall in zip(best, recall_TD, strict=True)
    ]
    return np.array(points)


def resampled(images: int, rng: np.random.Generator) -> NDArray[np.int64]:
    """Draw `images` images with replacement; return how often each was drawn."""
    return np.bincount(rng.integers(images, size=images), minlength=images)


def resampled_groups(
    group_I: NDArray[np.int64], rng: np.random.Generator
) -> NDArray[np.int64]:
    """Draw whole groups of images with replacement, as many as there are.

    Photos of one scene are alike: another draw of scenes moves AP by more than another
    draw of photos. As the groups differ in size, so do the draws.

    Args:
        group_I: group of every image, 0..G-1; each image its own: `resampled`.
        rng: draws.

    Returns:
        How often each image was drawn, that is its group, (I,).
    """
    return resampled(int(group_I.max()) + 1, rng)[group_I]
