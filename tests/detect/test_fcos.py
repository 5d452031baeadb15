"""The FCOS head: its equations by hand, perfect predictions, learning."""

import math
from collections.abc import Callable

import pytest
import torch
from omegaconf import DictConfig
from torch import Tensor, nn

from fpnbench.cli.build import build
from fpnbench.detect.boxes import sides
from fpnbench.detect.fcos import FcosHead, centreness
from fpnbench.detect.head import common_channels
from fpnbench.detect.targets import Predictions, Targets
from fpnbench.graph.errors import UserError

PX = 128
TARGETS = Targets(
    torch.tensor(
        [
            [[8.0, 8, 40, 48], [20, 4, 124, 120], [0, 0, 0, 0]],
            [[80, 80, 104, 100], [4, 60, 52, 124], [72, 8, 100, 32]],
        ]
    ),
    torch.tensor([[0, 2, -1], [1, 2, 0]]),
)


@pytest.fixture
def make(conf: Callable[..., DictConfig]) -> Callable[..., FcosHead]:
    """Build the configured head for three classes at 128 px."""

    def build_head(*overrides: str, levels: tuple[int, ...] = (3, 4, 5, 6)) -> FcosHead:
        cfg = conf("detector=fcos", "data.ranges=[16,32,64]", *overrides)
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(0)
            head: FcosHead = build(cfg.detector)(
                in_channels=8, num_classes=3, levels=levels, image_px=PX
            )
        return head

    return build_head


def random_feats(levels: tuple[int, ...], seed: int = 0) -> dict[int, Tensor]:
    g = torch.Generator().manual_seed(seed)
    return {
        level: torch.randn(2, 8, PX >> level, PX >> level, generator=g)
        for level in levels
    }


def perfect(head: FcosHead, targets: Targets) -> Predictions:
    """What a head would say that has learnt everything."""
    classes, boxes = head.assign(targets).pick(targets)
    logits = torch.full((*classes.shape, 3), -20.0)
    logits.scatter_(2, classes.clamp(min=0).unsqueeze(-1), 20.0)
    logits[classes < 0] = -20.0
    distances = sides(head.points_A2, boxes)
    wanted = centreness(distances).clamp(1e-6, 1 - 1e-6).logit()
    deltas = (distances.clamp(min=1e-3) / head.stride_A.unsqueeze(-1)).log()
    return Predictions(logits, deltas, wanted)


def test_centreness_by_hand() -> None:
    """Equation 3: sqrt(min(l,r)/max(l,r) * min(t,b)/max(t,b)); outside it is 0."""
    given = torch.tensor([[2.0, 1, 8, 4], [3, 3, 3, 3], [-1, 3, 9, 3]])
    expected = [math.sqrt(2 / 8 * 1 / 4), 1.0, 0.0]
    assert torch.allclose(centreness(given), torch.tensor(expected))


def test_perfect_predictions_find_their_boxes_and_cost_nothing(
    make: Callable[..., FcosHead],
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
        strong = found.scores_N > 0.3
        got = zip(
            found.boxes_xyxy_N4[strong].tolist(),
            found.labels_N[strong].tolist(),
            strict=True,
        )
        assert {(*map(round, box), label) for box, label in got} == wanted
    losses = head.loss(predictions, TARGETS)
    assert losses["class"] < 1e-6
    assert losses["box"] < 1e-4


def test_losses_by_hand(make: Callable[..., FcosHead]) -> None:
    """Zero codes predict squares of two strides; compare with a loop over locations."""
    head = make()
    count = sum(head.sizes)
    zero = Predictions(
        torch.zeros(2, count, 3), torch.zeros(2, count, 4), torch.zeros(2, count)
    )
    losses = head.loss(zero, TARGETS)
    objects = head.assign(TARGETS).objects_BA
    box_total = weights = positives = 0.0
    for image, location in (objects >= 0).nonzero().tolist():
        x, y = head.points_A2[location].tolist()
        stride = float(head.stride_A[location])
        x1, y1, x2, y2 = TARGETS.boxes_xyxy_BN4[
            image, objects[image, location]
        ].tolist()
        left, top, right, bottom = x - x1, y - y1, x2 - x, y2 - y
        weight = math.sqrt(
            min(left, right) / max(left, right) * min(top, bottom) / max(top, bottom)
        )
        wide = min(left, stride) + min(right, stride)
        high = min(top, stride) + min(bottom, stride)
        union = (left + right) * (top + bottom) + 4 * stride**2 - wide * high
        hull = (max(left, stride) + max(right, stride)) * (
            max(top, stride) + max(bottom, stride)
        )
        giou = wide * high / union - (hull - union) / hull
        box_total += weight * (1 - giou)
        weights += weight
        positives += 1
    assert positives > 10
    assert math.isclose(losses["box"], box_total / weights, rel_tol=1e-4)
    assert math.isclose(losses["centre"], math.log(2), rel_tol=1e-5)
    # Every logit is 0: p = 1/2 for each of the three classes of each location.
    each = 0.25 * math.log(2)
    total = each * (0.25 * positives + 0.75 * (2 * count * 3 - positives))
    assert math.isclose(losses["class"], total / positives, rel_tol=1e-4)


def test_positives_are_within_one_and_a_half_strides(
    make: Callable[..., FcosHead],
) -> None:
    """An object of the whole image, P3 alone: 24 px around its middle, 3 x 3 cells."""
    head = make(levels=(3,))
    whole = Targets(torch.tensor([[[4.0, 4, 116, 116]]]), torch.tensor([[0]]))
    objects = head.assign(whole).objects_BA
    places = head.points_A2[objects[0] == 0]
    assert {tuple(p) for p in places.tolist()} == {
        (x, y) for x in (52, 60, 68) for y in (52, 60, 68)
    }


def test_the_score_is_the_root_of_class_times_centreness(
    make: Callable[..., FcosHead],
) -> None:
    head = make(levels=(6,))
    logits = torch.full((1, 4, 3), -20.0)
    logits[0, 0, 1] = torch.tensor(0.9).logit()
    centre = torch.full((1, 4), 0.4).logit()
    found = head.detect(Predictions(logits, torch.zeros(1, 4, 4), centre))[0]
    assert found.labels_N.tolist() == [1]
    assert math.isclose(found.scores_N.item(), math.sqrt(0.9 * 0.4), rel_tol=1e-5)


def test_centreness_is_read_off_the_box_tower(make: Callable[..., FcosHead]) -> None:
    head = make()
    centre = head(random_feats(head.levels)).centerness_BA
    assert centre is not None
    centre.sum().backward()
    assert all(p.grad is None for p in head.class_tower.parameters())
    assert all(p.grad is not None for p in head.box_tower.convs.parameters())


def test_first_scores_are_the_prior(make: Callable[..., FcosHead]) -> None:
    head = make()
    silent = {level: x * 0 for level, x in random_feats(head.levels).items()}
    predictions = head(silent)
    assert torch.allclose(predictions.logits_BAK.sigmoid(), torch.tensor(0.01))
    assert predictions.deltas_BA4.abs().max() == 0


def test_predictions_stand_where_their_location_is(
    make: Callable[..., FcosHead],
) -> None:
    """A disturbance of one cell reaches only its neighbourhood, on its own level."""
    head = make().eval()
    feats = random_feats(head.levels)
    moved = {level: x.clone() for level, x in feats.items()}
    moved[3][:, :, 1, 6] += 10  # x = 52, y = 12
    with torch.no_grad():
        change = (head(moved).logits_BAK - head(feats).logits_BAK)[0].abs().sum(-1)
    touched = change > 1e-9
    assert touched[: head.sizes[0]].sum() >= 9
    assert not touched[head.sizes[0] :].any()
    # Three 3x3 convolutions see three cells around.
    distance = (head.points_A2[touched] - torch.tensor([52.0, 12.0])).abs()
    assert distance.max() <= 3 * 8
    assert (distance.max(dim=1).values == 0).any()


def test_distances_never_exceed_the_image(make: Callable[..., FcosHead]) -> None:
    head = make()
    count = sum(head.sizes)
    wild = Predictions(
        torch.full((2, count, 3), 9.0),
        torch.full((2, count, 4), 1e4),
        torch.full((2, count), 9.0),
    )
    assert all(loss.isfinite() for loss in head.loss(wild, TARGETS).values())
    boxes = head.detect(wild)[0].boxes_xyxy_N4
    assert len(boxes)
    assert boxes.min() >= 0
    assert boxes.max() <= PX


@pytest.mark.parametrize("levels", [(3, 4, 5, 6), (4,), (3, 6)])
def test_a_batch_can_be_learnt(
    make: Callable[..., FcosHead], levels: tuple[int, ...]
) -> None:
    head = make("detector.width=16", levels=levels)
    feats = random_feats(levels)
    optimiser = torch.optim.Adam(head.parameters(), lr=0.01)
    history = []
    for _ in range(40):
        loss = torch.stack(list(head.loss(head(feats), TARGETS).values())).sum()
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        history.append(loss.item())
    assert history[-1] < 0.6 * history[0]
    trained = [p for p in head.parameters() if p.grad is not None and p.grad.any()]
    assert len(trained) == len(list(head.parameters()))


def test_objects_of_missing_levels_are_not_lost(
    make: Callable[..., FcosHead],
) -> None:
    for levels in ((3,), (3, 4), (4,)):
        owned = set(make(levels=levels).assign(TARGETS).objects_BA[1].tolist())
        assert owned == {-1, 0, 1, 2}


def test_images_without_objects_cost_only_background(
    make: Callable[..., FcosHead],
) -> None:
    head = make()
    nothing = Targets(torch.zeros(2, 0, 4), torch.zeros(2, 0, dtype=torch.int64))
    losses = head.loss(head(random_feats(head.levels)), nothing)
    assert losses["class"] > 0
    assert losses["box"] == losses["centre"] == 0


def test_convolutions_are_shared_by_levels_and_norms_are_not(
    make: Callable[..., FcosHead],
) -> None:
    """P3 alone has all the convolutions; each further level adds norms and a scale."""

    def count(levels: tuple[int, ...]) -> int:
        head = make("detector.tower_depth=2", levels=levels)
        return sum(p.numel() for p in head.parameters())

    per_level = 2 * 2 * 2 * 64 + 1  # towers x depth x (weight, bias) x width + scale
    assert count((3, 4, 5, 6)) - count((3,)) == 3 * per_level
    two = make("detector.tower_depth=2")
    norms = [m for m in two.modules() if isinstance(m, nn.BatchNorm2d)]
    assert len(norms) == 4 * 2 * 2


def test_one_width_is_needed() -> None:
    assert common_channels({3: 64, 4: 64, 5: 32}, (3, 4)) == 64
    with pytest.raises(UserError, match="P4: 64, P5: 32"):
        common_channels({3: 64, 4: 64, 5: 32}, (4, 5))
