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


Channels = int | Mapping[int, int]
"""Channels of every map that a head reads, or by level."""


def common_channels(channels: Channels, levels: Iterable[int]) -> int:
    """Return the number of channels that all levels a head reads have.

    Args:
        channels: of a pyramid's outputs.
        levels: those that the head reads.

    Raises:
        UserError: they differ; the shared convolutions need one width.
    """
    if isinstance(channels, int):
        return channels
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
        separable: separable convolutions and ReLU6.

    Source: Lin et al. 2017, section 4; batch norm per level as in Google's release;
        the separable one: tensorflow/models, `WeightSharedConvolutionalBoxPredictor`.
    """

    def __init__(
        self,
        in_channels: int,
        width: int,
        depth: int,
        levels: Sequence[int],
        init_std: float,
        separable: bool = False,
    ) -> None:
        super().__init__()
        self.convs = nn.ModuleList(
            conv3x3(
                width if i else in_channels,
                width,
                init_std=init_std,
                bias=False,
                separable=separable,
            )
            for i in range(depth)
        )
        self.norms = nn.ModuleList(
            nn.ModuleList(nn.BatchNorm2d(width) for _ in range(depth)) for _ in levels
        )
        self.activation = nn.ReLU6(True) if separable else nn.ReLU(True)

    def forward(self, maps: Sequence[Tensor]) -> list[Tensor]:
        """Map one tensor per level, (B, in_channels, h, w) to (B, width, h, w)."""
        out = []
        for x, norms in zip(maps, self.norms, strict=True):
            for conv, norm in zip(self.convs, norms, strict=True):  # type: ignore[call-overload]
                x = self.activation(norm(conv(x)))
            out.append(x)
        return out


def conv3x3(
    inputs: int, outputs: int, *, init_std: float, bias: bool, separable: bool
) -> nn.Module:
    """Build a 3x3 convolution of normal initial weights.

    A separable one is depthwise, then pointwise, with nothing between; the bias is the
    pointwise part's.
    """
    if separable:
        depthwise = nn.Conv2d(inputs, inputs, 3, 1, 1, groups=inputs, bias=False)
        convs = [depthwise, nn.Conv2d(inputs, outputs, 1, bias=bias)]
    else:
        convs = [nn.Conv2d(inputs, outputs, 3, 1, 1, bias=bias)]
    for conv in convs:
        nn.init.normal_(conv.weight, std=init_std)
    return nn.Sequential(*convs) if separable else convs[0]


def final_conv(
    width: int,
    channels: int,
    *,
    init_std: float,
    prior: float | None = None,
    separable: bool = False,
) -> nn.Module:
    """Build a last 3x3 convolution.

    Args:
        width: channels in.
        channels: channels out.
        init_std: spread of the normal initial weights.
        prior: what the sigmoid of every output shall be at first; None for bias zero.
        separable: see `conv3x3`.

    Source: Lin et al. 2017, section 4.1.
    """
    conv = conv3x3(width, channels, init_std=init_std, bias=True, separable=separable)
    last = conv[-1] if isinstance(conv, nn.Sequential) else conv
    set_prior(last, prior)
    return conv


def set_prior(conv: nn.Module, prior: float | None) -> None:
    """Set the bias so that the sigmoid of every output is `prior` at first; None: 0."""
    bias = 0.0 if prior is None else -math.log((1 - prior) / prior)
    nn.init.constant_(conv.bias, bias)  # type: ignore[arg-type]


def rows(maps: Iterable[Tensor], width: int) -> Tensor:
    """Lay maps of all levels in one row, (B, n * width, h, w) each to (B, A, width).

    A cell's n predictions follow each other; cells go row by row, levels as given.
    """
    return torch.cat(
        [each.permute(0, 2, 3, 1).reshape(each.shape[0], -1, width) for each in maps], 1
    )
