"""AP against a case by hand and pycocotools; resampled images against real copies."""

import json
from dataclasses import replace

import numpy as np
import pytest
import torch
from pycocotools.coco import COCO
from pycocotools.cocoeval import COCOeval

from fpnbench.detect.targets import Detections
from fpnbench.train.data import DetectionSet, Record
from fpnbench.train.records import (
    WeightedAP,
    match,
    resampled,
    resampled_groups,
    unpack,
)
from fpnbench.train.scoring import coco_ap


def make_set(images, classes):
    """Images as lists of (x1, y1, x2, y2, label, crowd)."""
    records = []
    for i, objects in enumerate(images):
        rows = np.array(objects, np.float64).reshape(-1, 6)
        sides = rows[:, 2:4] - rows[:, :2]
        records.append(
            Record(
                image_id=100 + i,
                file=f"{i}.png",
                width=640,
                height=640,
                boxes_xyxy=rows[:, :4].astype(np.float32),
                labels=rows[:, 4].astype(np.int64),
                crowd=rows[:, 5] > 0,
                areas=sides.prod(1),
                group=str(i),
            )
        )
    names = tuple(f"c{k}" for k in range(classes))
    return DetectionSet("toy", names, tuple(records), "", (), lambda r: None)


def found(*rows):
    """Detections as (x1, y1, x2, y2, score, label)."""
    table = torch.tensor(rows, dtype=torch.float32).reshape(-1, 6)
    return Detections(table[:, :4], table[:, 4], table[:, 5].long())


def test_hand_computed_case(capsys):
    """Two small objects; one found exactly, one at IoU 0.64, a false one between.

    Up to IoU .60 (3 of 10 thresholds): hit, miss, hit. Precision 1 to recall .5, 2/3
    beyond: 51 of 101 points at 1, 50 at 2/3. Above: only the exact one: 51 / 101.
    """
    truth = make_set([[(10, 10, 30, 30, 0, 0)], [(0, 0, 10, 10, 0, 0)]], 1)
    detections = [
        found((10, 10, 30, 30, 0.9, 0)),
        found((50, 50, 60, 60, 0.8, 0), (0, 0, 8, 8, 0.7, 0)),
    ]
    scores = coco_ap(truth, detections)
    both, one = (51 + 50 * 2 / 3) / 101, 51 / 101
    assert scores["ap"] == pytest.approx((3 * both + 7 * one) / 10)
    assert scores["ap50"] == pytest.approx(both)
    assert scores["ap_s"] == pytest.approx(scores["ap"])
    assert scores["ap_m"] is None
    assert scores["ap_l"] is None
    assert capsys.readouterr().out == ""


def test_no_detections_score_zero_not_nothing():
    truth = make_set([[(10, 10, 30, 30, 0, 0)]], 1)
    assert coco_ap(truth, [found()])["ap"] == 0.0


def test_nothing_to_find_has_no_score():
    assert coco_ap(make_set([[]], 1), [found((0, 0, 9, 9, 0.5, 0))])["ap"] is None


def test_detections_inside_a_crowd_are_ignored():
    truth = make_set([[(0, 0, 200, 200, 0, 1), (300, 300, 400, 400, 0, 0)]], 1)
    inside = [(20 * k, 20, 20 * k + 20, 60, 0.9, 0) for k in range(5)]
    real = (300, 300, 400, 400, 0.5, 0)
    assert coco_ap(truth, [found(*inside, real)])["ap"] == pytest.approx(1.0)


def test_one_list_an_image_is_demanded():
    with pytest.raises(ValueError, match="1 lists of detections for 2 images"):
        coco_ap(make_set([[], []], 1), [found()])


def random_case(rng, images=12, classes=3):
    truth, detections = [], []
    for _ in range(images):
        count = rng.integers(0, 8)
        corner = rng.integers(0, 400, (count, 2))
        side = np.exp(rng.uniform(np.log(8), np.log(230), (count, 2))).round()
        label, crowd = rng.integers(0, classes, count), rng.random(count) < 0.1
        truth.append(np.column_stack((corner, corner + side, label, crowd)))
        boxes = np.concatenate((corner, corner + side), 1)
        boxes = np.repeat(boxes, 3, 0) + rng.normal(0, 6, (3 * count, 4))
        boxes[:, 2:] = np.maximum(boxes[:, 2:], boxes[:, :2] + 1)
        guess = np.where(rng.random(3 * count) < 0.8, np.repeat(label, 3), 0)
        detections.append(
            found(*np.column_stack((boxes, rng.random(3 * count), guess)).tolist())
        )
    return make_set(truth, classes), detections


def score_by_files(truth, detections, folder):
    """Write COCO's two files and let COCOeval summarise them."""
    annotations, results = [], []
    for record, seen in zip(truth.records, detections, strict=True):
        for (x1, y1, x2, y2), label, area, crowd in zip(
            record.boxes_xyxy.tolist(),
            record.labels.tolist(),
            record.areas.tolist(),
            record.crowd.tolist(),
            strict=True,
        ):
            annotations.append(
                {
                    "id": len(annotations) + 1,
                    "image_id": record.image_id,
                    "category_id": label + 1,
                    "bbox": [x1, y1, x2 - x1, y2 - y1],
                    "area": area,
                    "iscrowd": int(crowd),
                }
            )
        for (x1, y1, x2, y2), score, label in zip(
            seen.boxes_xyxy_N4.tolist(),
            seen.scores_N.tolist(),
            seen.labels_N.tolist(),
            strict=True,
        ):
            results.append(
                {
                    "image_id": record.image_id,
                    "category_id": label + 1,
                    "bbox": [x1, y1, x2 - x1, y2 - y1],
                    "score": score,
                }
            )
    content = {
        "info": {},
        "images": [{"id": r.image_id} for r in truth.records],
        "categories": [{"id": k + 1} for k in range(len(truth.categories))],
        "annotations": annotations,
    }
    (folder / "truth.json").write_text(json.dumps(content))
    (folder / "found.json").write_text(json.dumps(results))
    coco = COCO(folder / "truth.json")
    evaluation = COCOeval(coco, coco.loadRes(str(folder / "found.json")), "bbox")
    evaluation.evaluate()
    evaluation.accumulate()
    evaluation.summarize()
    return evaluation.stats


def test_equals_pycocotools_fed_by_files(rng, tmp_path):
    truth, detections = random_case(rng)
    scores = coco_ap(truth, detections)
    stats = score_by_files(truth, detections, tmp_path)
    for name, place in (("ap", 0), ("ap50", 1), ("ap_s", 3), ("ap_m", 4), ("ap_l", 5)):
        assert scores[name] == pytest.approx(stats[place], abs=1e-12)
        assert 0 < scores[name] < 1  # the case tells something


@pytest.mark.parametrize("seed", range(4))
def test_every_image_once_is_cocos_ap(seed) -> None:
    truth, detections = random_case(np.random.default_rng(seed))
    records = match(truth, detections)
    ones = np.ones(len(truth.records), int)
    expected = coco_ap(truth, detections)["ap"]
    assert WeightedAP(records)(ones) == pytest.approx(expected, abs=1e-12)


@pytest.mark.parametrize("seed", range(8))
def test_an_image_drawn_twice_counts_twice(seed) -> None:
    rng = np.random.default_rng(seed)
    truth, detections = random_case(rng)
    weights = resampled(len(truth.records), rng)
    assert weights.sum() == len(truth.records)
    assert weights.max() > 1
    drawn = np.repeat(np.arange(len(weights)), weights)
    copies = replace(truth, records=tuple(truth.records[i] for i in drawn))
    expected = coco_ap(copies, [detections[i] for i in drawn])["ap"]
    got = WeightedAP(match(truth, detections))(weights)
    assert got == pytest.approx(expected, abs=1e-12)


def test_crowds_and_missing_classes_are_left_out() -> None:
    truth = make_set([[(0, 0, 200, 200, 0, 1), (300, 300, 400, 400, 0, 0)], []], 2)
    inside = [(20 * k, 20, 20 * k + 20, 60, 0.9, 0) for k in range(5)]
    detections = [
        found(*inside, (300, 300, 400, 400, 0.5, 0)),
        found((0, 0, 9, 9, 1, 1)),
    ]
    records = match(truth, detections)
    assert WeightedAP(records)(np.array([1, 1])) == pytest.approx(1.0)
    assert np.isnan(WeightedAP(records)(np.array([0, 2])))


def test_records_survive_packing_and_are_small() -> None:
    truth, detections = random_case(np.random.default_rng(0), images=40)
    records = match(truth, detections)
    data = records.pack()
    assert len(data) < 40 * len(records.image_D) + 3000
    again = unpack(data)
    for name in ("image_D", "label_D", "score_D", "hit_TD", "ignored_TD", "objects_IK"):
        np.testing.assert_array_equal(getattr(again, name), getattr(records, name))


def test_no_detection_at_all_is_zero() -> None:
    truth = make_set([[(10, 10, 30, 30, 0, 0)]], 1)
    assert WeightedAP(match(truth, [found()]))(np.array([1])) == 0.0


def test_whole_groups_are_drawn_together() -> None:
    """AP of the drawn groups is COCO's of real copies of all their images."""
    rng = np.random.default_rng(3)
    truth, detections = random_case(rng)
    group_I = np.array([0, 0, 0, 1, 2, 2, 1, 3, 3, 3, 3, 0])
    weights = resampled_groups(group_I, rng)
    drawn = [weights[group_I == group][0] for group in range(4)]
    assert sum(drawn) == 4
    assert max(drawn) > 1
    assert weights.tolist() == [drawn[group] for group in group_I]
    places = [i for i in range(12) for _ in range(weights[i])]
    copies = replace(truth, records=tuple(truth.records[i] for i in places))
    expected = coco_ap(copies, [detections[i] for i in places])["ap"]
    got = WeightedAP(match(truth, detections))(weights)
    assert got == pytest.approx(expected, abs=1e-12)


def test_images_that_are_groups_of_their_own_are_drawn_as_images() -> None:
    one, other = np.random.default_rng(0), np.random.default_rng(0)
    np.testing.assert_array_equal(
        resampled_groups(np.arange(9), one), resampled(9, other)
    )
