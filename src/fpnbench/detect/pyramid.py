"""A genotype as a torch module: one builder per op, no knowledge of any space.

Shapes: B images, C channels, H and W height and width of a level.
"""

import math
from collections.abc import Callable, Mapping
from typing import Literal, cast

import torch
from torch import Tensor, nn
from torch.nn import functional

from fpnbench.detect.controls import Gauss, Roll
from fpnbench.graph import ops
from fpnbench.graph.genotype import Genotype, Node
from fpnbench.graph.trace import trace

ACTIVATIONS: dict[str, type[nn.Module]] = {"relu": nn.ReLU, "relu6": nn.ReLU6}
EPSILON = 1e-4
"""Of EfficientDet's normalised fusion, section 3.3."""
Sizes = Mapping[int, tuple[int, int]]
"""Height and width of each level, as the finest input gives them."""
BuildOp = Callable[[ops.Op, list[int]], nn.Module]
"""Given an op and the channels of its inputs."""


class FeaturePyramid(nn.Module):
    """Runs a genotype with weights of its own.

    Attributes:
        out_channels: channels of each output level.
    """

    def __init__(
        self,
        genotype: Genotype,
        channels: Mapping[int, int],
        build: BuildOp | None = None,
    ) -> None:
        """Build the modules; weights are drawn from torch's global generator.

        Args:
            genotype: the pyramid.
            channels: channels of each backbone level.
            build: makes the module of an op, None: `build_op`.

        Raises:
            UserError: the backbone lacks a level that the pyramid takes.
        """
        super().__init__()
        # Channels do not depend on the image; any size that keeps every level works.
        rows = trace(genotype, channels, image_px=2**10).rows
        self.genotype = genotype
        self.out_channels = {lv: rows[i].shape[0] for lv, i in genotype.outputs}
        modules = []
        for node in genotype.nodes:
            inputs = [rows[i].shape[0] for i in node.inputs]
            modules.append((build or build_op)(node.op, inputs))
        self.ops = nn.ModuleList(modules)
        self._last_use = _last_uses(genotype)

    def forward(self, feats: Mapping[int, Tensor]) -> dict[int, Tensor]:
        """Merge backbone maps into pyramid levels.

        Args:
            feats: backbone maps by level, (B, C, H, W) each.

        Returns:
            Output levels, (B, C, H, W) each.
        """
        sizes = _level_sizes(feats)
        values: list[Tensor | None] = []
        for index, node in enumerate(self.genotype.nodes):
            values.append(_run(node, self.ops[index], values, feats, sizes))
            for source in node.inputs:
                if self._last_use[source] == index:
                    values[source] = None
        return {lv: cast(Tensor, values[i]) for lv, i in self.genotype.outputs}


class Pool(nn.Module):
    """Max-pool from level `source` down to `target`, padded as TensorFlow's SAME."""

    def __init__(self, op: ops.Resample) -> None:
        """Read stride and window from the op."""
        super().__init__()
        self.stride = 2 ** (op.target - op.source)
        self.kernel = op.kernel or self.stride
        self.target = op.target

    def forward(self, x: Tensor, sizes: Sizes) -> Tensor:
        """(B, C, H, W) -> (B, C, ceil(H / stride), ceil(W / stride))."""
        x = _pad_same(x, sizes[self.target], self.kernel, self.stride, -math.inf)
        return functional.max_pool2d(x, self.kernel, self.stride)


class StridedConv(nn.Module):
    """See `fpnbench.graph.ops.StridedConv`."""

    def __init__(self, op: ops.StridedConv, channels: int) -> None:
        """Draw the weights of the op on `channels` channels."""
        super().__init__()
        self.target, self.kernel = op.target, op.kernel
        self.stride = 2 ** (op.target - op.source)
        if op.separable:
            strided = _conv(channels, channels, op.kernel, bias=False, depthwise=True)
            convs = [strided, _conv(channels, op.width, 1, op.bias)]
        else:
            strided = _conv(channels, op.width, op.kernel, op.bias)
            convs = [strided]
        strided.stride, strided.padding = (self.stride, self.stride), (0, 0)
        norm = nn.BatchNorm2d(op.width) if op.norm else None
        self.body = _sequence(op.activation, convs, norm)

    def forward(self, x: Tensor, sizes: Sizes) -> Tensor:
        """(B, C, H, W) -> (B, width, ceil(H / stride), ceil(W / stride))."""
        # All activations are zero at zero: padding may come before them.
        padded = _pad_same(x, sizes[self.target], self.kernel, self.stride, 0.0)
        out: Tensor = self.body(padded)
        return out


class Upsample(nn.Module):
    """Nearest-neighbour from level `source` up to `target`, cropped to that level."""

    def __init__(self, op: ops.Resample) -> None:
        """Read the factor from the op."""
        super().__init__()
        self.factor = float(2 ** (op.source - op.target))
        self.target = op.target

    def forward(self, x: Tensor, sizes: Sizes) -> Tensor:
        """(B, C, H, W) -> (B, C, *size of the target level)."""
        height, width = sizes[self.target]
        return functional.interpolate(x, scale_factor=self.factor)[
            :, :, :height, :width
        ]


class Add(nn.Module):
    """Sum of all operands."""

    def forward(self, *xs: Tensor) -> Tensor:
        """(B, C, H, W) each -> (B, C, H, W)."""
        total = xs[0]
        for x in xs[1:]:
            total = total + x
        return total


class WeightedAdd(nn.Module):
    """See `fpnbench.graph.ops.WeightedSum`; all weights are equal at first."""

    def __init__(self, operands: int) -> None:
        """Make one weight for each operand."""
        super().__init__()
        self.weights = nn.Parameter(torch.ones(operands))

    def forward(self, *xs: Tensor) -> Tensor:
        """(B, C, H, W) each -> (B, C, H, W)."""
        weights = self.weights.relu()
        weights = weights / (weights.sum() + EPSILON)
        total = weights[0] * xs[0]
        for weight, x in zip(weights[1:], xs[1:], strict=True):
            total = total + weight * x
        return total


class AddIfSame(nn.Module):
    """Residual connection where the shapes allow it."""

    def forward(self, x: Tensor, skip: Tensor) -> Tensor:
        """(B, C, H, W), (B, C', H, W) -> (B, C, H, W)."""
        return x + skip if x.shape == skip.shape else x


class GlobalPoolAttention(nn.Module):
    """See `fpnbench.graph.ops.GlobalPool`."""

    def forward(self, coarse: Tensor, fine: Tensor) -> Tensor:
        """(B, C, H, W) twice -> (B, C, H, W)."""
        return coarse + fine * coarse.amax(dim=(2, 3), keepdim=True).sigmoid()


def build_op(op: ops.Op, inputs: list[int]) -> nn.Module:
    """Build the module of an op on inputs with these channels."""
    match op:
        case ops.Conv(width, kernel, activation, bias, norm):
            conv = _conv(inputs[0], width, kernel, bias)
            return _sequence(
                activation, [conv], nn.BatchNorm2d(width) if norm else None
            )
        case ops.SepConv(width, kernel, activation, bias):
            depthwise = _conv(inputs[0], inputs[0], kernel, bias=False, depthwise=True)
            pointwise = _conv(inputs[0], width, 1, bias)
            return _sequence(activation, [depthwise, pointwise], nn.BatchNorm2d(width))
        case ops.StridedConv():
            return StridedConv(op, inputs[0])
        case ops.Project(width) | ops.SepProject(width) if inputs[0] == width:
            return nn.Identity()
        case ops.Project(width, bias):
            return build_op(ops.Conv(width, 1, "none", bias), inputs)
        case ops.SepProject(width, bias):
            return build_op(ops.SepConv(width, 1, "none", bias), inputs)
        case ops.Resample(source, target):
            return Pool(op) if target > source else Upsample(op)
        case ops.Sum():
            return Add()
        case ops.WeightedSum():
            return WeightedAdd(len(inputs))
        case ops.GlobalPool():
            return GlobalPoolAttention()
        case ops.Residual():
            return AddIfSame()
        case ops.Rolled():
            return Roll()
        case ops.Noise():
            return Gauss()
        case ops.Input():
            return nn.Identity()


def _conv(
    inputs: int, outputs: int, kernel: int, bias: bool, depthwise: bool = False
) -> nn.Conv2d:
    """Make a same-size convolution with He-normal weights.

    Differs: the papers' codes use variance scaling (NAS-FPN) and a truncated normal of
    0.536 in separable convolutions (MnasFPN); batch norm follows every one of them.
    """
    groups = inputs if depthwise else 1
    conv = nn.Conv2d(inputs, outputs, kernel, 1, kernel // 2, 1, groups, bias)
    # Torch counts fan-out without groups; for a depthwise kernel fan-in is right.
    mode: Literal["fan_in", "fan_out"] = "fan_in" if depthwise else "fan_out"
    nn.init.kaiming_normal_(conv.weight, mode=mode, nonlinearity="relu")
    if conv.bias is not None:
        nn.init.zeros_(conv.bias)
    return conv


def _sequence(
    activation: ops.Activation, convs: list[nn.Conv2d], norm: nn.Module | None
) -> nn.Sequential:
    acts = [ACTIVATIONS[activation]()] if activation != "none" else []
    return nn.Sequential(*acts, *convs, *([norm] if norm else []))


def _run(
    node: Node,
    module: nn.Module,
    values: list[Tensor | None],
    feats: Mapping[int, Tensor],
    sizes: Sizes,
) -> Tensor:
    if isinstance(node.op, ops.Input):
        return feats[node.op.level]
    operands = [values[i] for i in node.inputs]
    if isinstance(node.op, ops.Resample | ops.StridedConv):
        result: Tensor = module(operands[0], sizes)
    else:
        result = module(*operands)
    return result


def _pad_same(
    x: Tensor, out: tuple[int, int], kernel: int, stride: int, value: float
) -> Tensor:
    """Pad as TensorFlow's SAME for `out` windows along height and width."""
    pad: list[int] = []
    for size, windows in zip(x.shape[:-3:-1], reversed(out), strict=True):
        total = max((windows - 1) * stride + kernel - size, 0)
        pad += [total // 2, total - total // 2]
    return functional.pad(x, pad, value=value) if any(pad) else x


def _level_sizes(feats: Mapping[int, Tensor]) -> dict[int, tuple[int, int]]:
    finest = min(feats)
    height, width = feats[finest].shape[-2:]
    sizes = {}
    for level in range(finest, 11):
        step = 2 ** (level - finest)
        sizes[level] = (-(-height // step), -(-width // step))
    return sizes


def _last_uses(genotype: Genotype) -> list[int]:
    """Return for each node the last one that reads it; after that it can be freed."""
    last = [len(genotype.nodes)] * len(genotype.nodes)
    for index, node in enumerate(genotype.nodes):
        for source in node.inputs:
            last[source] = index
    for _, index in genotype.outputs:
        last[index] = len(genotype.nodes)
    return last
