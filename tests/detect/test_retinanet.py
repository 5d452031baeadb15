"""Anchor-based heads: conventions by hand, sizes as known, learning.

RetinaNet's, MnasFPN's shared tower and SSDLite's branches per level.
"""

import math
from collections.abc import Callable

import pytest
import torch
from omegaconf import DictConfig
from torch import Tensor, nn
from torchvision.models.detection.anchor_utils import DefaultBoxGenerator
from torchvision.models.detection.image_list import ImageList
from torchvision.models.detection.ssdlite import SSDLiteHead

from fpnbench.cli.build import build
from fpnbench.detect.anchor_head import AnchorHead
from fpnbench.detect.anchors import ssd_anchors_MS4
from fpnbench.detect.boxes import encode
from fpnbench.detect.cost import part_cost
from fpnbench.detect.targets import Predictions, Targets
from fpnbench.graph.errors import UserError

PX = 128
TARGETS = Targets(
    torch.tensor(
        [
            [[4.0, 4, 40, 44], [30, 2, 118, 116], [0, 0, 0, 0]],
            [[80, 80, 92, 90], [4, 60, 36, 124], [72, 8, 104, 40]],
        ]
    ),
    torch.tensor([[0, 2, -1], [1, 2, 0]]),
)


@pytest.fixture
def make(conf: Callable[..., DictConfig]) -> Callable[..., AnchorHead]:
    """Build the configured head for three classes at 128 px."""

    def build_head(
        *overrides: str,
        detector: str = "retinanet",
        levels: tuple[int, ...] = (3, 4, 5),
        channels: int | dict[int, int] = 8,
        classes: int = 3,
        px: int = PX,
    ) -> AnchorHead:
        node = conf(f"detector={detector}", *overrides).detector
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(0)
            head: AnchorHead = build(node)(
                in_channels=channels, num_classes=classes, levels=levels, image_px=px
            )
        return head

    return build_head


every_detector = pytest.mark.parametrize(
    "detector", ["retinanet", "mnasfpn", "ssdlite"]
)


def random_feats(levels: tuple[int, ...]) -> dict[int, Tensor]:
    g = torch.Generator().manual_seed(0)
    return {
        level: torch.randn(2, 8, PX >> level, PX >> level, generator=g)
        for level in levels
    }


def perfect(head: AnchorHead, targets: Targets) -> Predictions:
    classes, boxes = head.assign(targets).pick(targets)
    logits = torch.full((*classes.shape, 3), -20.0)
    logits.scatter_(2, classes.clamp(min=0).unsqueeze(-1), 20.0)
    logits[classes < 0] = -20.0
    return Predictions(logits, encode(head.anchors_A4, boxes) * head.coder_4, None)


def test_anchor_counts_of_the_paper(make: Callable[..., AnchorHead]) -> None:
    """640 px, P3-P7: 8 525 cells, 76 725 anchors (facts of the paper's head)."""
    head: AnchorHead = make(levels=(3, 4, 5, 6, 7))
    areas = (head.anchors_A4[:, 2:] - head.anchors_A4[:, :2]).prod(1)
    assert math.isclose(areas.min(), 32**2, rel_tol=1e-4)
    assert math.isclose(areas.max() ** 0.5, 512 * 2 ** (2 / 3), rel_tol=1e-4)
    cells = sum((640 >> level) ** 2 for level in (3, 4, 5, 6, 7))
    assert (cells, 9 * cells) == (8_525, 76_725)
    assert head.sizes == tuple(9 * (128 >> level) ** 2 for level in (3, 4, 5, 6, 7))


@every_detector
def test_perfect_predictions_find_their_boxes_and_cost_nothing(
    make: Callable[..., AnchorHead], detector: str
) -> None:
    head = make(detector=detector)
    predictions = perfect(head, TARGETS)
    for found, boxes, labels in zip(
        head.detect(predictions),
        TARGETS.boxes_xyxy_BN4,
        TARGETS.labels_BN,
        strict=True,
    ):
        wanted = {
            (*map(round, box), label)
            for box, label in zip(boxes.tolist(), labels.tolist(), strict=True)
            if label >= 0
        }
        got = zip(found.boxes_xyxy_N4.tolist(), found.labels_N.tolist(), strict=True)
        assert {(*map(round, box), label) for box, label in got} == wanted
    losses = head.loss(predictions, TARGETS)
    assert losses["class"] < 1e-6
    assert losses["box"] < 1e-4


def test_losses_by_hand(make: Callable[..., AnchorHead]) -> None:
    head = make()
    zero = Predictions(
        torch.zeros(2, sum(head.sizes), 3), torch.zeros(2, sum(head.sizes), 4), None
    )
    losses = head.loss(zero, TARGETS)
    objects = head.assign(TARGETS).objects_BA
    total = positives = 0.0
    for image, a in (objects >= 0).nonzero().tolist():
        x1, y1, x2, y2 = head.anchors_A4[a].tolist()
        gx1, gy1, gx2, gy2 = TARGETS.boxes_xyxy_BN4[image, objects[image, a]].tolist()
        width, height = x2 - x1, y2 - y1
        for error in (
            ((gx1 + gx2) - (x1 + x2)) / 2 / width,
            ((gy1 + gy2) - (y1 + y2)) / 2 / height,
            math.log((gx2 - gx1) / width),
            math.log((gy2 - gy1) / height),
        ):
            size = abs(error)
            total += size**2 / 2 if size < 0.1 else 0.1 * (size - 0.05)
        positives += 1
    assert positives > 10
    assert math.isclose(losses["box"], 50 * total / (4 * positives), rel_tol=1e-4)
    each = math.log(2) * 0.5**1.5
    everything = 2 * sum(head.sizes) * 3
    expected = each * (0.25 * positives + 0.75 * (everything - positives)) / positives
    assert math.isclose(losses["class"], expected, rel_tol=1e-4)


@every_detector
def test_first_predictions_are_the_prior_and_the_anchors(
    make: Callable[..., AnchorHead], detector: str
) -> None:
    head = make(detector=detector)
    predictions = head(random_feats(head.levels))
    scores = predictions.logits_BAK.sigmoid()
    # SSDLite's last layers start wide: 0.03, and only 8 channels average it here
    slack = 0.5 if detector == "ssdlite" else 0.02
    assert torch.allclose(scores, torch.tensor(0.01), rtol=slack)
    assert predictions.deltas_BA4.abs().max() < slack


def test_an_anchors_predictions_come_from_its_own_channels(
    make: Callable[..., AnchorHead],
) -> None:
    """Bias set per channel: anchor j of a cell, class k, reads channel 3 j + k."""
    head = make()
    with torch.no_grad():
        head.predictor.class_conv.weight.zero_()
        head.predictor.class_conv.bias.copy_(torch.arange(27.0))
        logits = head(random_feats(head.levels)).logits_BAK
    assert torch.equal(logits[0, :9].flatten(), torch.arange(27.0))
    assert torch.equal(logits[1, -9:].flatten(), torch.arange(27.0))


def test_an_object_without_good_anchor_is_forced_unless_the_paper_rules(
    make: Callable[..., AnchorHead],
) -> None:
    tiny = Targets(torch.tensor([[[60.0, 60, 66, 66]]]), torch.tensor([[1]]))
    forced = make().assign(tiny)
    assert (forced.objects_BA == 0).sum() == forced.forced_BA.sum() == 1
    paper = make("detector.rule.force_match=false").assign(tiny)
    assert not (paper.objects_BA >= 0).any()


@every_detector
def test_a_batch_can_be_learnt(make: Callable[..., AnchorHead], detector: str) -> None:
    width = [] if detector == "ssdlite" else ["detector.width=16"]
    head = make(*width, detector=detector)
    feats = random_feats(head.levels)
    optimiser = torch.optim.Adam(head.parameters(), lr=0.01)
    history = []
    for _ in range(30):
        loss = torch.stack(list(head.loss(head(feats), TARGETS).values())).sum()
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        history.append(loss.item())
    assert history[-1] < 0.7 * history[0]


@every_detector
def test_images_without_objects_cost_only_background(
    make: Callable[..., AnchorHead], detector: str
) -> None:
    head = make(detector=detector)
    nothing = Targets(torch.zeros(2, 0, 4), torch.zeros(2, 0, dtype=torch.int64))
    losses = head.loss(head(random_feats(head.levels)), nothing)
    assert losses["class"] > 0
    assert losses["box"] == 0


def test_losses_of_the_shared_tower_by_hand(make: Callable[..., AnchorHead]) -> None:
    """MnasFPN's detector: box coder 10, 10, 5, 5, smooth L1, box weight 1."""
    head = make(detector="mnasfpn")
    nothing = torch.zeros(2, sum(head.sizes), 4)
    zero = Predictions(torch.zeros(2, sum(head.sizes), 3), nothing, None)
    objects = head.assign(TARGETS).objects_BA
    total = positives = 0.0
    for image, a in (objects >= 0).nonzero().tolist():
        anchor, box = (
            head.anchors_A4[a],
            TARGETS.boxes_xyxy_BN4[image, objects[image, a]],
        )
        size, wanted = anchor[2:] - anchor[:2], box[2:] - box[:2]
        offset = ((box[:2] + box[2:]) - (anchor[:2] + anchor[2:])) / 2 / size
        for error in (*(10 * offset), *(5 * (wanted / size).log())):
            big = abs(float(error))
            total += big**2 / 2 if big < 1 else big - 0.5
        positives += 1
    assert positives > 10
    found = head.loss(zero, TARGETS)["box"]
    assert math.isclose(found, total / (4 * positives), rel_tol=1e-4)


def test_sizes_of_mnasfpns_predictor_are_the_published_ones(
    make: Callable[..., AnchorHead],
) -> None:
    """Depth 64, 91 slots, 48 channels, 320 px: .156 G, .076 M (facts 3.5)."""
    levels = (3, 4, 5, 6)
    head = make(detector="mnasfpn", levels=levels, channels=48, classes=91, px=320)
    feats = {level: torch.empty(1, 48, 320 >> level, 320 >> level) for level in levels}
    cost = part_cost(head, feats)
    # The tower and both last layers, on 2 125 cells; four norms of each of four layers.
    first, rest, classes, boxes = (
        9 * inputs + inputs * outputs
        for inputs, outputs in ((48, 64), (64, 64), (64, 819), (64, 36))
    )
    weights = first + 3 * rest + classes + boxes
    assert cost.macs == 2_125 * weights
    assert cost.params == weights + 819 + 36 + 4 * 4 * 2 * 64
    assert (round(cost.macs / 1e9, 3), round(cost.params / 1e6, 3)) == (0.156, 0.076)
    assert len(head.anchors_A4) == 19_125
    sides = (head.anchors_A4[:, 2:] - head.anchors_A4[:, :2]).prod(1).sqrt()
    assert math.isclose(sides.min(), 24, rel_tol=1e-4)


def test_branches_of_ssdlite_are_torchvisions(make: Callable[..., AnchorHead]) -> None:
    channels = {4: 576, 5: 1280, 6: 512, 7: 256, 8: 256, 9: 128}
    ours = make(
        detector="ssdlite",
        levels=tuple(channels),
        channels=channels,
        classes=91,
        px=320,
    )
    boxes = [3, 6, 6, 6, 6, 6]
    theirs = SSDLiteHead(list(channels.values()), boxes, 91, nn.BatchNorm2d)
    shapes = [
        sorted(tuple(p.shape) for p in head.parameters())
        for head in (ours.predictor, theirs)
    ]
    assert shapes[0] == shapes[1]
    cells = [400, 100, 25, 9, 4, 1]
    assert ours.sizes == tuple(n * m for n, m in zip(cells, boxes, strict=True))


def test_default_boxes_are_torchvisions() -> None:
    """All levels but the lowest, whose boxes torchvision does not reduce."""
    levels, px = (4, 5, 6, 7, 8, 9), 320
    ours = ssd_anchors_MS4(
        levels,
        px,
        min_scale=0.2,
        max_scale=0.95,
        ratios=(1, 2, 0.5, 3, 1 / 3),
        lowest=((0.1, 1.0), (0.2, 2.0), (0.2, 0.5)),
    )
    make_theirs = DefaultBoxGenerator(
        [[2, 3]] * 6, min_ratio=0.2, max_ratio=0.95, clip=False
    )
    images = ImageList(torch.zeros(1, 3, px, px), [(px, px)])
    sides = [20, 10, 5, 3, 2, 1]
    theirs = make_theirs(images, [torch.zeros(1, 1, side, side) for side in sides])[0]
    parts = theirs.split([6 * side**2 for side in sides])
    for one, other in zip(ours[1:], parts[1:], strict=True):
        rows = [
            sorted(map(tuple, x.flatten(0, -2).round(decimals=2).tolist()))
            for x in (one, other)
        ]
        assert torch.allclose(torch.tensor(rows[0]), torch.tensor(rows[1]), atol=0.02)
    middles = (ours[0][..., :2] + ours[0][..., 2:]) / 2
    assert torch.allclose(middles[0, 0], torch.tensor([8.0, 8.0]))
    size = ours[0][0, :, 2:] - ours[0][0, :, :2]
    root = 2**0.5
    wanted = [[32, 32], [64 * root, 64 / root], [64 / root, 64 * root]]
    assert torch.allclose(size, torch.tensor(wanted))


def test_a_shared_tower_needs_one_width(make: Callable[..., AnchorHead]) -> None:
    with pytest.raises(UserError, match="P3: 8, P4: 8, P5: 16"):
        make(detector="mnasfpn", channels={3: 8, 4: 8, 5: 16})
