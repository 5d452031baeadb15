"""What an evaluator says of one network."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """Mean training loss of an epoch, held-out AP where measured, seconds so far."""

    epoch: int
    loss: float
    ap: float | None
    cost_s: float


@dataclass(frozen=True, slots=True)
class Score:
    """The result of evaluating one genotype.

    Attributes:
        ap: COCO AP, mean over IoU .50:.05:.95, in [0, 1], None of an evaluator that
            measures none; likewise `ap50` and, by COCO's size classes, `ap_s`, `ap_m`,
            `ap_l` (None where the evaluation images hold no such object).
        loss: held-out detection loss.
        macs: multiply-accumulates of one image, whole detector (toy evaluator: of the
            pyramid).
        params: parameters, frozen ones too, of the same parts as `macs`.
        latency_ms: milliseconds by the latency table, None without one.
        cost_s: seconds spent on training and scoring.
        images: images trained on and scored.
        train_gmacs: 1e9 MACs computed: 3 x MACs x images trained on + MACs x images
            scored.
        curve: a few points of the training.
        estimate: what is told in place of AP by an evaluator that measures none: in any
            unit, higher is better.
    """

    ap: float | None
    ap50: float | None
    ap_s: float | None
    ap_m: float | None
    ap_l: float | None
    loss: float | None
    macs: int
    params: int
    latency_ms: float | None
    cost_s: float
    images: int
    train_gmacs: float
    curve: tuple[Checkpoint, ...] = ()
    estimate: float | None = None


def read_score(values: Mapping[str, Any]) -> Score:
    """Read what `dataclasses.asdict` made of a score."""
    curve = tuple(Checkpoint(**point) for point in values["curve"])
    return Score(**{**values, "curve": curve})
