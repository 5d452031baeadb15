"""The audit: a hand-made assignment, and the figures known for aquarium."""

from collections.abc import Callable, Mapping
from pathlib import Path

import pytest
import torch
from omegaconf import DictConfig
from torch import Tensor

from fpnbench.cli.checks.assignment import bars, measure
from fpnbench.detect.audit import Audit, audit, reaches_px, suggest_ranges
from fpnbench.detect.targets import Assignment, Detections, Predictions, Targets


class FixedHead:
    """A head of two levels, three predictions each, that assigns what it was told."""

    levels = (3, 4)
    sizes = (3, 3)

    def __init__(self, objects: list[list[int]], forced: list[list[int]]) -> None:
        self.fixed = Assignment(torch.tensor(objects), torch.tensor(forced).bool())

    def __call__(self, feats: Mapping[int, Tensor]) -> Predictions:
        raise NotImplementedError

    def assign(self, targets: Targets) -> Assignment:
        return self.fixed

    def loss(self, predictions: Predictions, targets: Targets) -> dict[str, Tensor]:
        raise NotImplementedError

    def detect(self, predictions: Predictions) -> list[Detections]:
        raise NotImplementedError


def test_audit_by_hand() -> None:
    """Object 0 mostly on P4, 1 at a tie, 2 only forced, 3 is padding; then 0 on P4."""
    head = FixedHead(
        [[0, 1, 2, 0, 0, 1], [-1, -2, -1, 0, -1, -1]],
        [[0, 0, 1, 0, 0, 0], [0, 0, 0, 0, 0, 0]],
    )
    labels = torch.tensor([[4, 4, 0, -1], [2, -1, -1, -1]])
    result = audit(head, [Targets(torch.zeros(2, 4, 4), labels)])
    assert result.levels == (3, 4)
    assert result.boxes == 4
    assert result.owned == (0.25, 0.5)
    assert result.unmatched == 0.25
    assert result.positives == pytest.approx((3 / 7, 4 / 7))


def test_batches_add_up() -> None:
    head = FixedHead([[0, 0, 0, -1, -1, -1]], [[0] * 6])
    batch = Targets(torch.zeros(1, 2, 4), torch.tensor([[1, 1]]))
    assert audit(head, [batch] * 3).boxes == 6
    assert audit(head, [batch] * 3).owned == audit(head, [batch]).owned == (0.5, 0.0)


def test_ranges_follow_the_quantiles() -> None:
    """Boxes of 2, 4, ... 2000 px: reaches 1..1000; a third is left over every time."""
    long = torch.arange(1.0, 1001) * 2
    boxes = torch.stack((long * 0, long * 0, long * 0 + 1, long), 1)[None]
    labels = torch.zeros(1, 1000, dtype=torch.int64)
    reaches = reaches_px([Targets(boxes, labels)])
    assert reaches.tolist() == list(range(1, 1001))
    assert suggest_ranges(reaches, 4) == [667, 889, 963]
    assert suggest_ranges(reaches, 1) == []


def test_bars_name_the_levels() -> None:
    good = bars(Audit((3, 4), (0.5, 0.4), (0.5, 0.5), 0.1, 10))
    assert all(bar.held for bar in good)
    bad = bars(Audit((3, 4), (0.7, 0.01), (0.5, 0.5), 0.29, 10))
    assert not any(bar.held for bar in bad)
    assert [bar.measured for bar in bad] == ["29.0%", "70.0%", "1.0%"]
    assert "P3" in bad[1].name
    assert "P4" in bad[2].name


@pytest.fixture
def aquarium(
    conf: Callable[..., DictConfig], data_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> Callable[..., Audit]:
    """Audit a detector on the training boxes of aquarium's split by scene."""
    monkeypatch.setenv("FPNBENCH_DATA", str(data_folder))
    return lambda *overrides: measure(conf("data=aquarium", *overrides))[0]


@pytest.mark.parametrize(
    ("px", "owned", "unmatched"), [(256, (49, 27, 12, 4), 9), (320, (40, 31, 16, 6), 7)]
)
def test_fcos_on_aquarium(
    aquarium: Callable[..., Audit], px: int, owned: tuple[int, ...], unmatched: int
) -> None:
    """Figures measured by others with code of their own, in per cent."""
    result = aquarium(f"image_px={px}", "data.ranges=[16,32,64]")
    assert tuple(round(100 * share) for share in result.owned) == owned
    assert round(100 * result.unmatched) == unmatched


def test_retinanet_on_aquarium_leaves_most_boxes_unmatched(
    aquarium: Callable[..., Audit],
) -> None:
    assert 0.25 <= aquarium("detector=retinanet").unmatched <= 0.60


def test_the_default_preset_holds_its_bars(
    conf: Callable[..., DictConfig], aquarium: Callable[..., Audit]
) -> None:
    results = {"aquarium": aquarium(), "digits": measure(conf("data=digits"))[0]}
    failed = [
        (name, bar)
        for name, each in results.items()
        for bar in bars(each)
        if not bar.held
    ]
    assert not failed
