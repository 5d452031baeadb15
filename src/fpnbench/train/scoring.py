"""COCO's average precision by pycocotools, the reference scorer."""

import contextlib
import io
from typing import Any

import numpy as np
from pycocotools.coco import COCO
from pycocotools.cocoeval import COCOeval

from fpnbench.detect.targets import Detections
from fpnbench.train.data import DetectionSet


def coco_ap(
    dataset: DetectionSet, detections: list[Detections]
) -> dict[str, float | None]:
    """Score detections by COCO's rules, at most 100 an image and class.

    Args:
        dataset: the set; its crowd boxes are ignored as pycocotools does.
        detections: one a record, boxes in pixels of the stored image.

    Returns:
        `ap` (mean over IoU .50:.05:.95), `ap50`, and `ap_s`, `ap_m`, `ap_l` by COCO's
        size classes (areas below 32^2, up to 96^2, above), in [0, 1]; None where the
        set has no such object.

    Raises:
        ValueError: not one entry of detections a record.

    Source: Lin et al. 2014; pycocotools.
    """
    evaluation = evaluate(dataset, detections)
    with contextlib.redirect_stdout(io.StringIO()):
        evaluation.accumulate()
    # axes: IoU, recall, class, size class, limit of detections; -1 where no object is
    precision = evaluation.eval["precision"][..., -1]
    return {
        "ap": _mean(precision[..., 0]),
        "ap50": _mean(precision[0, ..., 0]),
        "ap_s": _mean(precision[..., 1]),
        "ap_m": _mean(precision[..., 2]),
        "ap_l": _mean(precision[..., 3]),
    }


def evaluate(dataset: DetectionSet, detections: list[Detections]) -> Any:
    """Return pycocotools' evaluation with all detections matched, by index of image.

    Raises:
        ValueError: not one entry of detections a record.
    """
    if len(detections) != len(dataset.records):
        raise ValueError(
            f"{len(detections)} lists of detections for {len(dataset.records)} images"
        )
    images = [{"id": i} for i in range(len(dataset.records))]
    categories = [{"id": k} for k in range(len(dataset.categories))]
    with contextlib.redirect_stdout(io.StringIO()):
        evaluation = COCOeval(
            _coco(images, categories, _truth(dataset)),
            _coco(images, categories, _found(detections)),
            "bbox",
        )
        evaluation.evaluate()
    return evaluation


def _mean(precision: Any) -> float | None:
    present = precision[precision > -1]
    return float(np.mean(present)) if present.size else None


def _coco(
    images: list[dict[str, int]],
    categories: list[dict[str, int]],
    annotations: list[dict[str, Any]],
) -> Any:
    """Build an index in memory; ids start at 1 (0 would read as unmatched)."""
    coco = COCO()
    for number, annotation in enumerate(annotations, 1):
        annotation["id"] = number
    coco.dataset = {
        "images": images,
        "categories": categories,
        "annotations": annotations,
    }
    coco.createIndex()
    return coco


def _truth(dataset: DetectionSet) -> list[dict[str, Any]]:
    return [
        {
            "image_id": index,
            "category_id": int(label),
            "bbox": [x1, y1, x2 - x1, y2 - y1],
            "area": float(area),
            "iscrowd": int(crowd),
        }
        for index, record in enumerate(dataset.records)
        for (x1, y1, x2, y2), label, area, crowd in zip(
            record.boxes_xyxy.tolist(),
            record.labels,
            record.areas,
            record.crowd,
            strict=True,
        )
    ]


def _found(detections: list[Detections]) -> list[dict[str, Any]]:
    return [
        {
            "image_id": index,
            "category_id": label,
            "bbox": [x1, y1, x2 - x1, y2 - y1],
            "area": (x2 - x1) * (y2 - y1),
            "score": score,
            "iscrowd": 0,
        }
        for index, found in enumerate(detections)
        for (x1, y1, x2, y2), score, label in zip(
            found.boxes_xyxy_N4.tolist(),
            found.scores_N.tolist(),
            found.labels_N.tolist(),
            strict=True,
        )
    ]
