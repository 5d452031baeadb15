"""The composed digits: same bytes, tight boxes, hands that stand on one side."""

import importlib.util
import json
from difflib import SequenceMatcher
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
from sklearn.datasets import load_digits

from fpnbench.graph.errors import UserError
from fpnbench.train.compose import INK, compose, scaled
from fpnbench.train.data import search_split
from fpnbench.train.digits import FORMS, SIDES, Digits

GOLDEN = Path(__file__).parents[1] / "golden"
spec = importlib.util.spec_from_file_location("writer", GOLDEN / "write_digits.py")
writer = importlib.util.module_from_spec(spec)
spec.loader.exec_module(writer)


def make(seed=0, train=24, sizes=(12, 20, 40), objects=(3, 6), image_px=128):
    images = {"train": train, "val": 6, "test": 6}
    return Digits("digits", seed, image_px, images, sizes, objects)


def test_scenes_are_the_recorded_bytes():
    assert writer.digests() == json.loads((GOLDEN / "digits.json").read_text())


def test_forms_repeat_one_sequence_of_labels():
    """What the docstring says of the file: one form filled 14 times, with few gaps."""
    labels = load_digits().target.tolist()
    assert len(FORMS) == 15
    assert FORMS[-1] == len(labels)
    forms = [labels[begin:end] for begin, end in pairwise(FORMS)]
    for form in forms:
        assert form[:10] == list(range(10))
        assert SequenceMatcher(None, forms[0], form, autojunk=False).ratio() > 0.9


def test_sides_share_no_form():
    used = [form for forms in SIDES.values() for form in forms]
    assert sorted(used) == list(range(14))
    assert len(set(used)) == 14


def test_search_val_shows_other_hands_than_search_train():
    inner, held = search_split(make().split("train"), 0, 0.25)
    hands = [{r.group for r in side.records} for side in (inner, held)]
    assert hands[0].isdisjoint(hands[1])
    assert (len(hands[0]), len(hands[1])) == (6, 2)
    assert len(held.records) == 6


def test_more_scenes_change_none_of_the_first():
    few, many = make(train=5).split("train"), make(train=8).split("train")
    for record, same in zip(few.records, many.records, strict=False):
        assert (few.load(record) == many.load(same)).all()
        assert (record.boxes_xyxy == same.boxes_xyxy).all()
    assert few.digest != many.digest


def test_seed_and_side_draw_other_scenes():
    images = [
        make(seed).split(part).load(make(seed).split(part).records[0]).tobytes()
        for seed, part in ((0, "train"), (1, "train"), (0, "val"), (0, "test"))
    ]
    assert len(set(images)) == 4


def test_records_are_sound():
    train = make().split("train")
    assert train.categories == tuple("0123456789")
    seen = set()
    for record in train.records:
        boxes = record.boxes_xyxy
        assert train.load(record).shape == (128, 128, 3)
        assert train.load(record).dtype == np.uint8
        assert 1 <= len(boxes) <= 6
        assert (boxes >= 0).all()
        assert (boxes <= 128).all()
        sides = boxes[:, 2:] - boxes[:, :2]
        assert (sides > 0).all()
        assert (sides.max(1) <= 40).all()
        assert record.areas.tolist() == sides.prod(1).tolist()
        seen |= set(record.labels.tolist())
        for i, (x1, y1, x2, y2) in enumerate(boxes.tolist()):
            for u1, v1, u2, v2 in boxes[:i].tolist():
                assert x1 >= u2 or x2 <= u1 or y1 >= v2 or y2 <= v1
    assert len(seen) == 10


def test_box_is_tight_around_what_was_drawn():
    """A full square of opacity 255 on the ground: the box is where pixels turn."""
    glyph = np.zeros((1, 8, 8), np.uint8)
    glyph[0, 1:7, 2:5] = 255
    for seed in range(5):
        arguments = {"side": 64, "sizes": [24], "objects": (1, 1)}
        scene = compose(
            glyph, np.array([3]), rng=np.random.default_rng(seed), **arguments
        )
        (x1, y1, x2, y2) = scene.boxes_xyxy[0]
        assert (x2 - x1, y2 - y1) == (12, 24)
        inside = scene.pixels[y1:y2, x1:x2]
        assert len(np.unique(inside)) == 1
        assert scene.labels.tolist() == [3]
        outside = scene.pixels.copy()
        outside[y1:y2, x1:x2] = 128
        assert outside.max() + 80 < inside[0, 0]  # ink is brighter than the ground


@pytest.mark.parametrize("size", [12, 28, 64])
def test_digits_are_enlarged_to_their_long_side(size):
    glyph = (load_digits().images[0] * 255 // 16).astype(np.uint8)
    opacity = scaled(glyph, size)
    assert max(opacity.shape) == size
    assert opacity.max() > INK


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"sizes": ()}, r"data\.sizes=\[\]"),
        ({"sizes": (12, 300)}, r"data\.sizes=\[12, 300\]: 4 to 128 pixels"),
        ({"objects": (0, 3)}, r"data\.objects=\[0, 3\]"),
        ({"objects": (4, 3)}, r"data\.objects=\[4, 3\]"),
    ],
)
def test_impossible_settings_are_refused(wrong, message):
    with pytest.raises(UserError, match=message):
        make(**wrong)


def test_empty_side_is_refused():
    with pytest.raises(UserError, match="0 train images, an empty split"):
        make(train=0).split("train")
