"""How a detector is trained: a value, and the optimiser and schedule made from it."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import torch
from torch import nn
from torch.optim import Optimizer
from torch.optim.lr_scheduler import LambdaLR, LRScheduler, OneCycleLR

from fpnbench.graph.errors import UserError


@dataclass(frozen=True, slots=True)
class Recipe:
    """Everything of a training but its length.

    Attributes:
        batch: images a step.
        optimizer: `adamw`, or `sgd` with momentum 0.9.
        lr: highest learning rate.
        weight_decay: on kernels only, not on biases and norms.
        schedule: `onecycle` (Smith 2018), or `step`: `lr` x `gamma` at each milestone.
            One cycle also moves the momentum (AdamW's beta1), against the rate:
            .95, .85, .95 (torch's defaults), whatever `optimizer` says.
        milestones: shares of the training at which a step schedule drops, in (0, 1).
        gamma: factor of a drop.
        warmup: share of the training with a linearly rising rate.
        clip: largest gradient norm, 0 for none.
        flip: mirror every second image at random.
        workers: processes that prepare batches, 0 for none.
    """

    batch: int
    optimizer: Literal["adamw", "sgd"]
    lr: float
    weight_decay: float
    schedule: Literal["onecycle", "step"]
    milestones: tuple[float, ...]
    gamma: float
    warmup: float
    clip: float
    flip: bool
    workers: int

    def __post_init__(self) -> None:
        """Refuse what cannot be trained.

        Raises:
            UserError: a value out of its range.
        """
        if self.optimizer not in ("adamw", "sgd"):
            raise UserError(f"recipe.optimizer={self.optimizer}, allowed: adamw, sgd")
        if self.schedule not in ("onecycle", "step"):
            raise UserError(f"recipe.schedule={self.schedule}, allowed: onecycle, step")
        if self.batch < 1 or self.lr <= 0 or not 0 <= self.warmup < 1:
            raise UserError(
                f"recipe: batch={self.batch} must be >= 1, lr={self.lr} > 0, "
                f"warmup={self.warmup} in [0, 1)"
            )


def make_optimizer(module: nn.Module, recipe: Recipe) -> Optimizer:
    """Make the optimiser of a module's trainable parameters."""
    trainable = [p for p in module.parameters() if p.requires_grad]
    groups: list[dict[str, object]] = [
        {"params": [p for p in trainable if p.dim() > 1]},
        {"params": [p for p in trainable if p.dim() <= 1], "weight_decay": 0.0},
    ]
    if recipe.optimizer == "adamw":
        # Fused: a sixth of the time of a small network's step.
        return torch.optim.AdamW(
            groups, recipe.lr, weight_decay=recipe.weight_decay, fused=True
        )
    return torch.optim.SGD(
        groups, recipe.lr, momentum=0.9, weight_decay=recipe.weight_decay
    )


def make_schedule(optimizer: Optimizer, recipe: Recipe, steps: int) -> LRScheduler:
    """Make the learning-rate schedule of a complete training of `steps` steps."""
    if recipe.schedule == "onecycle":
        return OneCycleLR(
            optimizer, recipe.lr, total_steps=max(steps, 2), pct_start=recipe.warmup
        )

    def factor(step: int) -> float:
        warmup = recipe.warmup * steps
        if step < warmup:
            return (step + 1) / (warmup + 1)
        return recipe.gamma ** _passed(step / steps, recipe.milestones)

    return LambdaLR(optimizer, factor)


def _passed(progress: float, milestones: Sequence[float]) -> int:
    return sum(progress >= milestone for milestone in milestones)
