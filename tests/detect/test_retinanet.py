"""The RetinaNet head: its conventions by hand, perfect predictions, learning."""

import math
from collections.abc import Callable

import pytest
import torch
from omegaconf import DictConfig
from torch import Tensor

from fpnbench.cli.build import build
from fpnbench.detect.boxes import encode
from fpnbench.detect.retinanet import RetinaNetHead
from fpnbench.detect.targets import Predictions, Targets

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
def make(conf: Callable[..., DictConfig]) -> Callable[..., RetinaNetHead]:
    """Build the configured head for three classes at 128 px."""

    def build_head(
        *overrides: str, levels: tuple[int, ...] = (3, 4, 5)
    ) -> RetinaNetHead:
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(0)
            head: RetinaNetHead = build(
                conf("detector=retinanet", *overrides).detector
            )(in_channels=8, num_classes=3, levels=levels, image_px=PX)
        return head

    return build_head


def random_feats(levels: tuple[int, ...]) -> dict[int, Tensor]:
    g = torch.Generator().manual_seed(0)
    return {
        level: torch.randn(2, 8, PX >> level, PX >> level, generator=g)
        for level in levels
    }


def perfect(head: RetinaNetHead, targets: Targets) -> Predictions:
    classes, boxes = head.assign(targets).pick(targets)
    logits = torch.full((*classes.shape, 3), -20.0)
    logits.scatter_(2, classes.clamp(min=0).unsqueeze(-1), 20.0)
    logits[classes < 0] = -20.0
    return Predictions(logits, encode(head.anchors_A4, boxes), None)


def test_anchor_counts_of_the_paper(make: Callable[..., RetinaNetHead]) -> None:
    """640 px, P3-P7: 8 525 cells, 76 725 anchors (facts of the paper's head)."""
    head: RetinaNetHead = make(levels=(3, 4, 5, 6, 7))
    areas = (head.anchors_A4[:, 2:] - head.anchors_A4[:, :2]).prod(1)
    assert math.isclose(areas.min(), 32**2, rel_tol=1e-4)
    assert math.isclose(areas.max() ** 0.5, 512 * 2 ** (2 / 3), rel_tol=1e-4)
    cells = sum((640 >> level) ** 2 for level in (3, 4, 5, 6, 7))
    assert (cells, 9 * cells) == (8_525, 76_725)
    assert head.sizes == tuple(9 * (128 >> level) ** 2 for level in (3, 4, 5, 6, 7))


def test_perfect_predictions_find_their_boxes_and_cost_nothing(
    make: Callable[..., RetinaNetHead],
) -> None:
    head = make()
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


def test_losses_by_hand(make: Callable[..., RetinaNetHead]) -> None:
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


def test_first_predictions_are_the_prior_and_the_anchors(
    make: Callable[..., RetinaNetHead],
) -> None:
    head = make()
    predictions = head(random_feats(head.levels))
    scores = predictions.logits_BAK.sigmoid()
    assert torch.allclose(scores, torch.tensor(0.01), rtol=0.01)
    assert predictions.deltas_BA4.abs().max() < 0.01


def test_an_anchors_predictions_come_from_its_own_channels(
    make: Callable[..., RetinaNetHead],
) -> None:
    """Bias set per channel: anchor j of a cell, class k, reads channel 3 j + k."""
    head = make()
    with torch.no_grad():
        head.class_conv.weight.zero_()
        head.class_conv.bias.copy_(torch.arange(27.0))
        logits = head(random_feats(head.levels)).logits_BAK
    assert torch.equal(logits[0, :9].flatten(), torch.arange(27.0))
    assert torch.equal(logits[1, -9:].flatten(), torch.arange(27.0))


def test_an_object_without_good_anchor_is_forced_unless_the_paper_rules(
    make: Callable[..., RetinaNetHead],
) -> None:
    tiny = Targets(torch.tensor([[[60.0, 60, 66, 66]]]), torch.tensor([[1]]))
    forced = make().assign(tiny)
    assert (forced.objects_BA == 0).sum() == forced.forced_BA.sum() == 1
    paper = make("detector.force_match=false").assign(tiny)
    assert not (paper.objects_BA >= 0).any()


def test_a_batch_can_be_learnt(make: Callable[..., RetinaNetHead]) -> None:
    head = make("detector.width=16")
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


def test_images_without_objects_cost_only_background(
    make: Callable[..., RetinaNetHead],
) -> None:
    head = make()
    nothing = Targets(torch.zeros(2, 0, 4), torch.zeros(2, 0, dtype=torch.int64))
    losses = head.loss(head(random_feats(head.levels)), nothing)
    assert losses["class"] > 0
    assert losses["box"] == 0
