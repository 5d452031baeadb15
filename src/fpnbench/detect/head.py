"""What detector heads have in common: their interface, towers and final convolutions.

A head reads some levels of a pyramid and predicts classes and boxes there. Its weights
are shared by all levels, its batch norms are not: levels differ in their statistics.
"""

import math
from collections.abc import Iterable, Mapping, Sequence
from typing import Protocol

import torch
from torch import Tensor, nn

from fpnbench.detect.targets import Assignment, Detections, Predictions, Targets
from fpnbench.graph.errors import UserError


class Head(Protocol):
    """A one-stage detector's head, an `nn.Module`.

    Attributes:
        levels: the feature levels it reads, rising.
        sizes: how many of the A predictions belong to each level, in this order.
    """

    levels: tuple[int, ...]
    sizes: tuple[int, ...]

    def __call__(self, feats: Mapping[int, Tensor]) -> Predictions:
        """Predict from the maps of `levels`, each (B, in_channels, side, side)."""
        ...

    def assign(self, targets: Targets) -> Assignment:
        """Say which object each prediction shall find."""
        ...

    def loss(self, predictions: Predictions, targets: Targets) -> dict[str, Tensor]:
        """Return named scalars whose sum is to be minimised."""
        ...

    def detect(self, predictions: Predictions) -> list[Detections]:
        """Return each image's detections, boxes in input pixels, best first."""
        ...


def common_channels(channels: Mapping[int, int], levels: Iterable[int]) -> int:
    """Return the number of channels that all levels a head reads have.

    Args:
        channels: of a pyramid's outputs, by level.
        levels: those that the head reads.

    Raises:
        UserError: they differ; the shared convolutions need one width.
    """
    widths = {level: channels[level] for level in levels}
    if len(set(widths.values())) != 1:
        told = ", ".join(f"P{level}: {width}" for level, width in widths.items())
        raise UserError(
            f"detector: one width is needed on all levels, the pyramid has {told}"
        )
    return next(iter(widths.values()))


class Tower(nn.Module):
    """Convolutions shared by the levels, each with batch norm per level and ReLU.

    Args:
        in_channels: of every map.
        width: channels of the convolutions.
        depth: number of 3x3 convolutions.
        levels: the levels it is applied to.
        init_std: spread of the normal initial weights.

    Source: Lin et al. 2017, section 4; batch norm per level as in Google's release.
    """

    def __init__(
        self,
        in_channels: int,
        width: int,
        depth: int,
        levels: Sequence[int],
        init_std: float,
    ) -> None:
        super().__init__()
        self.convs = nn.ModuleList()
        for i in range(depth):
            conv = nn.Conv2d(width if i else in_channels, width, 3, 1, 1, bias=False)
            nn.init.normal_(conv.weight, std=init_std)
            self.convs.append(conv)
        self.norms = nn.ModuleList(
            nn.ModuleList(nn.BatchNorm2d(width) for _ in range(depth)) for _ in levels
        )

    def forward(self, maps: Sequence[Tensor]) -> list[Tensor]:
        """Map one tensor per level, (B, in_channels, h, w) to (B, width, h, w)."""
        out = []
        for x, norms in zip(maps, self.norms, strict=True):
            for conv, norm in zip(self.convs, norms, strict=True):  # type: ignore[call-overload]
                x = torch.relu_(norm(conv(x)))
            out.append(x)
        return out


def final_conv(
    width: int, channels: int, *, init_std: float, prior: float | None = None
) -> nn.Conv2d:
    """Build a last 3x3 convolution.

    Args:
        width: channels in.
        channels: channels out.
        init_std: spread of the normal initial weights.
        prior: what the sigmoid of every output shall be at first; None for bias zero.

    Source: Lin et al. 2017, section 4.1.
    """
    conv = nn.Conv2d(width, channels, 3, 1, 1)
    nn.init.normal_(conv.weight, std=init_std)
    bias = 0.0 if prior is None else -math.log((1 - prior) / prior)
    nn.init.constant_(conv.bias, bias)  # type: ignore[arg-type]
    return conv


def rows(maps: Iterable[Tensor], width: int) -> Tensor:
    """Lay maps of all levels in one row, (B, n * width, h, w) each to (B, A, width).

    A cell's n predictions follow each other; cells go row by row, levels as given.
    """
    return torch.cat(
        [each.permute(0, 2, 3, 1).reshape(each.shape[0], -1, width) for each in maps], 1
    )
