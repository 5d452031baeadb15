"""COCO folders: what is read, what is repaired, what is refused in one line."""

import json
import time

import numpy as np
import pytest
from PIL import Image

from fpnbench.graph.errors import UserError
from fpnbench.train.coco import CocoFolder


def test_ids_become_labels_by_rising_category_id(write, source):
    train = source(write()).split("train")
    assert train.categories == ("early", "late")
    first, second, third = train.records
    assert (first.image_id, first.file, first.width, first.height) == (
        7,
        "7.png",
        40,
        20,
    )
    assert first.boxes_xyxy.tolist() == [[2, 4, 12, 12], [20, 0, 40, 20]]
    assert first.boxes_xyxy.dtype == np.float32
    assert first.labels.tolist() == [1, 0]
    assert first.areas.tolist() == [80, 400]
    assert second.crowd.tolist() == [True, False]
    assert second.areas.tolist() == [123.5, 12]  # the stated area is the mask's
    assert third.boxes_xyxy.shape == (0, 4)  # an image without objects stays
    assert train.notes == ()
    assert train.load(second).shape == (40, 20, 3)


def test_group_is_a_field_or_the_image_itself(write, source):
    root = write()
    scenes = source(root, group="scene").split("train").records
    singles = source(root).split("train").records
    assert [r.group for r in scenes] == ["a", "a", "b"]
    assert [r.group for r in singles] == ["7", "3", "900"]


def test_digest_follows_annotations_files_and_group(write, source, content):
    root = write()
    digests = [source(root).split("train").digest]
    assert source(root).split("train").digest == digests[0]
    digests.append(source(root, group="scene").split("train").digest)
    path = root / "images" / "7.png"
    path.write_bytes(path.read_bytes() + b"x")
    digests.append(source(root).split("train").digest)
    content["annotations"][0]["bbox"][0] += 1
    (root / "train.json").write_text(json.dumps(content))
    digests.append(source(root).split("train").digest)
    assert len(set(digests)) == 4


def spoil_boxes(content):
    boxes = ([-5, 4, 10, 8], [30, 10, 20, 20], [3, 3, 0, 5], [60, 3, 9, 9])
    content["annotations"] = [
        {"id": i, "image_id": 7, "category_id": 5, "bbox": box}
        for i, box in enumerate([[1, 1, 39.01, 5], *boxes], 1)
    ]
    return content


def test_boxes_are_clipped_or_dropped_counted_and_told(write, source, content):
    train = source(write(train=spoil_boxes(content))).split("train")
    boxes = train.records[0].boxes_xyxy.tolist()
    assert boxes == [[1, 1, 40, 6], [0, 4, 5, 12], [30, 10, 40, 20]]
    assert [note.split(": ")[1] for note in train.notes] == [
        "2 boxes that stuck out were clipped",  # not the one rounded to hundredths
        "2 boxes without a size were dropped",
    ]


def test_strict_names_the_first_bad_box(write, source, content):
    with pytest.raises(UserError, match=r"bbox \[-5, 4, 10, 8\] of image 7.png sticks"):
        source(write(train=spoil_boxes(content)), strict=True).split("train")


def test_rounded_boxes_are_no_mistake_even_if_strict(write, source, content):
    content["annotations"][0]["bbox"] = [1, 1, 39.01, 5]
    train = source(write(train=content), strict=True).split("train")
    assert train.records[0].boxes_xyxy[0].tolist() == [1, 1, 40, 6]


def without(key, *path):
    def spoil(content):
        entry = content
        for step in path:
            entry = entry[step]
        del entry[key]
        return content

    return spoil


def with_value(value, key, *path):
    def spoil(content):
        entry = content
        for step in path:
            entry = entry[step]
        entry[key] = value
        return content

    return spoil


MISTAKES = [
    (lambda content: json.dumps(content)[:100], r"train.json is not JSON: .*char"),
    (lambda content: "[1, 2]", r"train.json is not in COCO format"),
    (without("images"), "train.json lacks the list 'images'"),
    (without("annotations"), "train.json lacks the list 'annotations'"),
    (without("categories"), "train.json lacks the list 'categories'"),
    (without("id", "images", 1), "image entry .*3.png.* lacks the key 'id'"),
    (without("file_name", "images", 1), "image entry .* lacks the key 'file_name'"),
    (without("width", "images", 0), "image entry .*7.png.* lacks the key 'width'"),
    (without("height", "images", 0), "image entry .*7.png.* lacks the key 'height'"),
    (without("bbox", "annotations", 0), "annotation entry .* lacks the key 'bbox'"),
    (without("category_id", "annotations", 0), "lacks the key 'category_id'"),
    (without("image_id", "annotations", 0), "lacks the key 'image_id'"),
    (with_value([], "images"), "train.json has no images: an empty split"),
    (with_value([], "categories"), "train.json has no categories"),
    (
        with_value(6, "category_id", "annotations", 1),
        "annotation 12 names the unknown category 6",
    ),
    (
        with_value(4, "image_id", "annotations", 1),
        "annotation 12 names the unknown image 4",
    ),
    (with_value([[]], "image_id", "annotations", 1), r"the unknown image \[\[\]\]"),
    (with_value([1, 2, 3], "bbox", "annotations", 1), r"12 has the bbox \[1, 2, 3\]"),
    (
        with_value([1, 2, float("nan"), 3], "bbox", "annotations", 1),
        r"annotation 12 has the bbox \[1, 2, nan, 3\]",
    ),
    (with_value(3, "id", "images", 0), "image id 3 stands twice"),
    (with_value("x", "id", "images", 0), "image id 'x' is not an integer"),
    (with_value(12, "id", "annotations", 0), "annotation id 12 stands twice"),
    (with_value(5, "id", "categories", 0), "category id 5 stands twice"),
    (with_value(0, "width", "images", 0), "image 7.png has the size 0 x 20"),
    (with_value(5, 0, "annotations"), "annotation entry 5 is not an object"),
]


@pytest.mark.parametrize(("spoil", "message"), MISTAKES)
def test_mistake_is_one_line_with_file_and_value(
    write, source, content, spoil, message
):
    root = write(train=spoil(content))
    with pytest.raises(UserError, match=message) as caught:
        source(root).split("train")
    assert "train.json" in str(caught.value)
    assert "\n" not in str(caught.value)


def test_absent_group_field_is_refused(write, source, content):
    del content["images"][1]["scene"]
    with pytest.raises(UserError, match=r"image 3\.png has no field 'scene'"):
        source(write(train=content), group="scene").split("train")


def test_missing_folder_files_and_splits_are_refused(write, source, tmp_path):
    with pytest.raises(UserError, match=r"no folder .*nowhere"):
        source(tmp_path / "nowhere").split("train")
    root = write()
    with pytest.raises(UserError, match=r"val\.json cannot be read: No such file"):
        source(root).split("val")
    with pytest.raises(UserError, match="has no test split"):
        source(root).split("test")
    with pytest.raises(UserError, match=r"needs data\.root"):
        CocoFolder("tiny", None, {}, {}, None, False)


def test_missing_image_is_found_when_the_split_is_read(write, source):
    root = write()
    (root / "images" / "3.png").unlink()
    with pytest.raises(UserError, match=r"3\.png cannot be read: No such file"):
        source(root).split("train")


def test_an_image_too_large_for_pillow_is_refused(write, source, monkeypatch):
    train = source(write()).split("train")
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 20 * 40 // 2 - 1)
    with pytest.raises(UserError, match=r"image .*3\.png cannot be read: Image size"):
        train.load(train.records[1])


def test_broken_image_is_refused_when_loaded(write, source):
    root = write()
    train = source(root).split("train")
    path = root / "images" / "3.png"
    path.write_bytes(path.read_bytes()[:200])
    with pytest.raises(UserError, match=r"image .*3\.png cannot be read: "):
        train.load(train.records[1])
    path.write_bytes(b"no image")
    with pytest.raises(UserError, match=r"image .*3\.png cannot be read: "):
        train.load(train.records[1])


def test_image_of_another_size_is_refused(write, source, content):
    content["images"][1]["width"] = 21
    train = source(write(train=content)).split("train")
    with pytest.raises(UserError, match=r"3\.png is 20 x 40 pixels, .* says 21 x 40"):
        train.load(train.records[1])


def test_sides_with_other_categories_are_refused(write, source, content):
    other = json.loads(json.dumps(content))
    other["categories"][0]["name"] = "other"
    tiny = source(write(train=content, val=other))
    tiny.split("train")
    with pytest.raises(UserError, match=r"categories of .*val\.json are not those of"):
        tiny.split("val")


def test_large_sets_are_read_quickly(write, source, content):
    """A tenth of COCO's annotations; the bound is generous, quadratic work is not."""
    content["annotations"] = [
        {"id": i, "image_id": 7, "category_id": 5, "bbox": [1, 2, 3, 4]}
        for i in range(86_000)
    ]
    root = write(train=content)
    start = time.process_time()
    assert len(source(root).split("train").records[0].labels) == 86_000
    assert time.process_time() - start < 5


@pytest.mark.parametrize(
    ("by_scene", "images", "boxes"),
    [
        (True, (413, 129, 96), (3104, 982, 728)),
        (False, (448, 127, 63), (3323, 909, 582)),
    ],
)
def test_aquarium_has_the_counts_of_its_readme(data_folder, by_scene, images, boxes):
    folder = "annotations/by_scene" if by_scene else "annotations"
    parts = ("train", "val", "test")
    aquarium = CocoFolder(
        "aquarium",
        str(data_folder / "aquarium"),
        dict.fromkeys(parts, "images"),
        {part: f"{folder}/{part}.json" for part in parts},
        "scene",
        True,
    )
    sides = [aquarium.split(part) for part in parts]
    assert tuple(len(side.records) for side in sides) == images
    assert tuple(sum(len(r.labels) for r in s.records) for s in sides) == boxes
    groups = [{r.group for r in side.records} for side in sides]
    shared = [a & b for a, b in zip(groups, groups[1:] + groups[:1], strict=True)]
    assert any(shared) != by_scene
    record = sides[0].records[0]
    assert sides[0].load(record).shape == (record.height, record.width, 3)


def test_bccd_is_read_without_a_group(data_folder):
    parts = ("train", "val", "test")
    bccd = CocoFolder(
        "bccd",
        str(data_folder / "bccd"),
        dict.fromkeys(parts, "images"),
        {part: f"annotations/{part}.json" for part in parts},
        None,
        True,
    )
    train = bccd.split("train")
    assert train.categories == ("RBC", "WBC", "Platelets")
    assert len({r.group for r in train.records}) == len(train.records) == 205
