"""Boxes against torchvision, round trips and hand-made suppression."""

import torch
from torchvision.models.detection._utils import BoxCoder
from torchvision.ops import box_iou, generalized_box_iou_loss

from fpnbench.detect.boxes import (
    Suppression,
    area,
    decode,
    encode,
    from_sides,
    giou_loss,
    iou_BNA,
    sides,
    suppress,
)


def boxes(count: int, seed: int, batch: int = 1) -> torch.Tensor:
    g = torch.Generator().manual_seed(seed)
    corner = torch.rand(batch, count, 2, generator=g) * 80
    size = torch.rand(batch, count, 2, generator=g) * 40 + 1
    return torch.cat((corner, corner + size), -1)


def test_overlap_equals_torchvisions() -> None:
    objects, anchors = boxes(7, 0, batch=3), boxes(50, 1)[0]
    ours = iou_BNA(objects, anchors)
    for one, theirs in zip(ours, objects, strict=True):
        assert torch.allclose(one, box_iou(theirs, anchors), atol=1e-6)


def test_padding_overlaps_nothing() -> None:
    assert iou_BNA(torch.zeros(1, 1, 4), boxes(20, 0)[0]).abs().max() == 0


def test_giou_loss_and_its_slope_equal_torchvisions() -> None:
    one, two = boxes(200, 0)[0].requires_grad_(), boxes(200, 1)[0]
    ours = giou_loss(one, two)
    theirs = generalized_box_iou_loss(one, two)
    assert torch.allclose(ours, theirs, atol=1e-5)
    (slope,) = torch.autograd.grad(ours.sum(), one)
    (their_slope,) = torch.autograd.grad(theirs.sum(), one)
    assert torch.allclose(slope, their_slope, atol=1e-5)
    assert giou_loss(one, one).abs().max() < 1e-5


def test_giou_loss_of_empty_boxes_is_finite() -> None:
    nothing = torch.zeros(3, 4, requires_grad=True)
    loss = giou_loss(nothing, torch.zeros(3, 4)).sum()
    (slope,) = torch.autograd.grad(loss, nothing)
    assert loss.isfinite()
    assert slope.isfinite().all()


def test_code_equals_torchvisions_and_decodes_to_the_box() -> None:
    anchors, targets = boxes(100, 0)[0], boxes(100, 1)
    code = encode(anchors, targets)
    coder = BoxCoder((1.0, 1.0, 1.0, 1.0))
    assert torch.allclose(code[0], coder.encode_single(targets[0], anchors), atol=1e-5)
    assert torch.allclose(decode(anchors, code), targets, atol=1e-3)
    wild = code * 30
    theirs = coder.decode_single(wild[0], anchors)
    assert torch.allclose(decode(anchors, wild)[0], theirs, rtol=1e-4)
    assert decode(anchors, wild).isfinite().all()


def test_sides_are_undone() -> None:
    points, targets = torch.tensor([[10.0, 20.0]]), torch.tensor([[[4.0, 5, 12, 40]]])
    assert sides(points, targets).tolist() == [[[6.0, 15.0, 2.0, 20.0]]]
    assert torch.equal(from_sides(points, sides(points, targets)), targets)


def test_area_by_hand() -> None:
    assert area(torch.tensor([2.0, 3.0, 5.0, 7.0])) == 12


RULE = Suppression(score_threshold=0.1, pre_nms=100, nms_iou=0.5, max_detections=10)


def test_suppression_by_hand() -> None:
    """Twice the same object, another class on it, one outside, one too weak."""
    found = suppress(
        torch.tensor(
            [[[0.0, 0, 10, 10], [1, 0, 10, 10], [40, 40, 80, 80], [20, 20, 30, 30]]]
        ),
        torch.tensor([[[0.9, 0.2], [0.8, 0.0], [0.0, 0.5], [0.1, 0.05]]]),
        image_px=64,
        rule=RULE,
    )[0]
    assert found.boxes_xyxy_N4.tolist() == [
        [0, 0, 10, 10],
        [40, 40, 64, 64],
        [0, 0, 10, 10],
    ]
    assert torch.allclose(found.scores_N, torch.tensor([0.9, 0.5, 0.2]))
    assert found.labels_N.tolist() == [0, 1, 1]


def test_limits_keep_the_best() -> None:
    many = torch.arange(20.0).view(1, 20, 1) * torch.ones(4) * 3
    many[..., 2:] += 2  # 20 boxes apart from each other
    scores = torch.linspace(0.2, 0.9, 20).view(1, 20, 1)
    last = Suppression(0.1, pre_nms=100, nms_iou=0.5, max_detections=3)
    early = Suppression(0.1, pre_nms=3, nms_iou=0.5, max_detections=100)
    for rule in (last, early):
        found = suppress(many, scores, 64, rule)[0]
        assert torch.equal(found.scores_N, scores[0, -3:, 0].flip(0))


def test_an_image_without_detections_is_empty() -> None:
    found = suppress(boxes(5, 0, batch=2), torch.zeros(2, 5, 3), 64, RULE)
    assert [len(each.scores_N) for each in found] == [0, 0]
    assert found[0].boxes_xyxy_N4.shape == (0, 4)
