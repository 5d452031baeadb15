"""Anchors against torchvision's, both assignments against brute force over objects."""

import math

import pytest
import torch
from torchvision.models.detection.anchor_utils import AnchorGenerator
from torchvision.models.detection.image_list import ImageList
from torchvision.ops import box_iou

from fpnbench.detect.anchors import (
    anchors_A4,
    assign_anchors,
    assign_locations,
    cells,
    locations_A2,
    range_bounds,
)
from fpnbench.detect.targets import Assignment, Targets
from fpnbench.graph.errors import UserError

LEVELS = (3, 4, 5)
PX = 100  # no multiple of any stride


def random_targets(seed: int) -> Targets:
    """Objects of all sizes, none to 9 an image, many of them inside each other."""
    g = torch.Generator().manual_seed(seed)
    middle = torch.rand(6, 9, 2, generator=g) * 60 + 20
    half = 2 ** (torch.rand(6, 9, 2, generator=g) * 4) * 2
    labels = torch.randint(0, 5, (6, 9), generator=g)
    boxes = torch.cat((middle - half, middle + half), -1)
    there = torch.arange(9) < torch.tensor([[0], [1], [9], [9], [9], [9]])
    return Targets(boxes * there.unsqueeze(-1), labels.where(there, -1))


def test_locations_are_the_middles_of_cells() -> None:
    points = locations_A2((3, 4), 20)
    assert points.tolist() == [
        *([x, y] for y in (4, 12, 20) for x in (4, 12, 20)),
        *([x, y] for y in (8, 24) for x in (8, 24)),
    ]
    assert [cells(level, 20) for level in (3, 4, 5)] == [9, 4, 1]


def test_anchors_equal_torchvisions_up_to_its_centres_and_rounding() -> None:
    """Torchvision stands on cell corners and rounds sides to pixels; ratios are h/w."""
    octave = [2 ** (i / 3) for i in range(3)]
    theirs = AnchorGenerator(
        tuple(tuple(4 * 2**level * o for o in octave) for level in LEVELS),
        ((1.0, 2.0, 0.5),) * len(LEVELS),
    )
    images = ImageList(torch.zeros(1, 3, 128, 128), [(128, 128)])
    maps = [torch.zeros(1, 1, 128 >> level, 128 >> level) for level in LEVELS]
    ours = anchors_A4(
        LEVELS, 128, anchor_scale=4, octave_scales=3, ratios=(1.0, 0.5, 2.0)
    ).split([9 * cells(level, 128) for level in LEVELS])
    split = theirs(images, maps)[0].split([len(part) for part in ours])
    for level, one, other in zip(LEVELS, ours, split, strict=True):
        their_order = other.view(-1, 3, 3, 4).transpose(1, 2).reshape(-1, 4)
        assert (one - their_order - 2**level / 2).abs().max() <= 0.5


def test_anchor_sizes_by_hand() -> None:
    first = anchors_A4((3,), 8, anchor_scale=4, octave_scales=2, ratios=(1.0, 4.0))
    sizes = first[:, 2:] - first[:, :2]
    root = math.sqrt(2)
    by_hand = [(32, 32), (64, 16), (32 * root, 32 * root), (64 * root, 16 * root)]
    assert torch.allclose(sizes, torch.tensor(by_hand))
    assert torch.allclose((first[:, 2:] + first[:, :2]) / 2, torch.tensor(4.0))


@pytest.mark.parametrize(
    ("levels", "bounds"),
    [
        ((3, 4, 5, 6), [(0, 16), (16, 32), (32, 64), (64, math.inf)]),
        ((4, 5, 6), [(0, 32), (32, 64), (64, math.inf)]),
        ((3, 6), [(0, 32), (32, math.inf)]),
        ((3, 5), [(0, 32), (32, math.inf)]),  # P4 is as near to both: the finer
        ((5,), [(0, math.inf)]),
    ],
)
def test_missing_levels_leave_no_gap(
    levels: tuple[int, ...], bounds: list[tuple[float, float]]
) -> None:
    assert range_bounds((16, 32, 64), (3, 4, 5, 6), levels) == bounds


@pytest.mark.parametrize(
    ("ranges", "levels", "message"),
    [
        ((16, 32), (3, 4), "need 3 bounds"),
        ((16, 64, 32), (3, 4), "must be positive and rise"),
        ((0, 16, 32), (3, 4), "must be positive and rise"),
        ((16, 32, 64), (2, 3), "are for the levels"),
    ],
)
def test_ranges_that_do_not_fit_are_named(
    ranges: tuple[float, ...], levels: tuple[int, ...], message: str
) -> None:
    with pytest.raises(UserError, match=message):
        range_bounds(ranges, (3, 4, 5, 6), levels)


def brute_force_location(
    x: float, y: float, boxes: list[list[float]], radius: float, low: float, high: float
) -> int:
    """FCOS as its paper tells it, one location and one object at a time."""
    best, smallest = -1, math.inf
    for index, (x1, y1, x2, y2) in enumerate(boxes):
        cx, cy = (x1 + x2) / 2, (y1 + y2) / 2
        inside = x1 < x < x2 and y1 < y < y2
        central = abs(x - cx) < radius and abs(y - cy) < radius
        fits = low < max(x - x1, y - y1, x2 - x, y2 - y) <= high
        size = (x2 - x1) * (y2 - y1)
        if inside and central and fits and size < smallest:
            best, smallest = index, size
    return best


def test_locations_are_assigned_as_by_brute_force() -> None:
    targets = random_targets(0)
    points = locations_A2(LEVELS, PX)
    sizes = torch.tensor([cells(level, PX) for level in LEVELS])
    strides = torch.tensor([8.0, 16.0, 32.0]).repeat_interleave(sizes)
    low = torch.tensor([0.0, 10.0, 20.0]).repeat_interleave(sizes)
    high = torch.tensor([10.0, 20.0, math.inf]).repeat_interleave(sizes)
    ours = assign_locations(targets, points, 1.5 * strides, low, high)
    rows = list(
        zip(*(x.tolist() for x in (points, 1.5 * strides, low, high)), strict=True)
    )
    for objects, boxes in zip(
        ours.objects_BA.tolist(), targets.boxes_xyxy_BN4.tolist(), strict=True
    ):
        wanted = [brute_force_location(*at, boxes, r, lo, hi) for at, r, lo, hi in rows]
        assert objects == wanted
    used = (ours.objects_BA >= 0).split(sizes.tolist(), 1)
    assert all(part.sum() > 3 for part in used)
    assert not ours.forced_BA.any()


@pytest.mark.parametrize("order", [[0, 1], [1, 0]])
def test_a_location_of_two_objects_takes_the_smaller(order: list[int]) -> None:
    boxes = torch.tensor([[[0.0, 0, 32, 32], [8, 8, 24, 24]]])[:, order]
    everywhere = torch.full((1,), math.inf)
    found = assign_locations(
        Targets(boxes, torch.zeros(1, 2, dtype=torch.int64)),
        torch.tensor([[15.0, 17.0]]),
        everywhere,
        torch.zeros(1),
        everywhere,
    )
    assert found.objects_BA.tolist() == [[order.index(1)]]


def test_an_anchor_that_two_objects_need_goes_to_the_first() -> None:
    anchors = torch.tensor([[0.0, 0, 40, 40], [60, 60, 100, 100]])
    boxes = torch.tensor([[[2.0, 2, 6, 6], [1, 1, 9, 9], [65, 65, 70, 70]]])
    found = assign_anchors(
        Targets(boxes, torch.zeros(1, 3, dtype=torch.int64)),
        anchors,
        positive_iou=0.5,
        negative_iou=0.5,
        force_match=True,
    )
    assert found.objects_BA.tolist() == [[0, 2]]
    assert found.forced_BA.all()


def brute_force_anchors(
    boxes: torch.Tensor, anchors: torch.Tensor, force: bool
) -> tuple[list[int], set[int]]:
    """RetinaNet at 0.5 / 0.4, one anchor and then one object at a time."""
    iou = box_iou(boxes, anchors)
    regular = []
    for column in iou.T:
        value = float(column.max())
        best = int(column.argmax())
        regular.append(best if value >= 0.5 else -2 if value >= 0.4 else -1)
    objects = list(regular)
    for n in reversed(range(len(boxes) if force else 0)):  # so that the first stays
        if iou[n].max() > 0:
            objects[int(iou[n].argmax())] = n
    return objects, {a for a, n in enumerate(objects) if n != regular[a]}


@pytest.mark.parametrize("force", [True, False])
def test_anchors_are_assigned_as_by_brute_force(force: bool) -> None:
    targets = random_targets(1)
    anchors = anchors_A4(
        LEVELS, PX, anchor_scale=2, octave_scales=2, ratios=(1.0, 2.0, 0.5)
    )
    ours = assign_anchors(
        targets, anchors, positive_iou=0.5, negative_iou=0.4, force_match=force
    )
    for image, objects in enumerate(ours.objects_BA.tolist()):
        real = targets.boxes_xyxy_BN4[image][targets.labels_BN[image] >= 0]
        if not len(real):
            assert set(objects) == {-1}
            continue
        wanted, forced = brute_force_anchors(real, anchors, force)
        assert objects == wanted
        assert set(ours.forced_BA[image].nonzero().flatten().tolist()) == forced
    assert {-2, -1, 0} <= set(ours.objects_BA.flatten().tolist())
    assert ours.forced_BA.any() == force


def test_picking_takes_class_and_box_of_the_object() -> None:
    targets = Targets(
        torch.tensor([[[0.0, 0, 1, 1], [0, 0, 2, 2]]]), torch.tensor([[7, 3]])
    )
    objects = torch.tensor([[1, -1, 0, -2]])
    classes, boxes = Assignment(objects, objects < -9).pick(targets)
    assert classes.tolist() == [[3, -1, 7, -2]]
    assert boxes[0, [0, 2]].tolist() == [[0, 0, 2, 2], [0, 0, 1, 1]]


def test_images_without_any_row_assign_nothing() -> None:
    empty = Targets(
        torch.zeros(2, 0, 4), torch.zeros(2, 0, dtype=torch.int64)
    ).with_room()
    points = locations_A2(LEVELS, PX)
    wide = torch.full((len(points),), math.inf)
    located = assign_locations(empty, points, wide, torch.zeros_like(wide), wide)
    anchors = anchors_A4(LEVELS, PX, anchor_scale=2, octave_scales=1, ratios=(1.0,))
    anchored = assign_anchors(
        empty, anchors, positive_iou=0.5, negative_iou=0.4, force_match=True
    )
    for each in (located, anchored):
        assert set(each.objects_BA.flatten().tolist()) == {-1}
        assert not each.forced_BA.any()
