"""Feature pyramids straight from the papers' text: maps in, maps out, no graph.

Each function walks its paper's cells once. Of fpnbench there is only the class that
owns the weights; each is found by the cell it stands in and the feature it reads.

Shapes: maps are (B, C, H, W), of B images, with C channels, by level.
"""

from collections.abc import Sequence
from typing import Any, NamedTuple

import torch
from torch import Tensor
from torch.nn import functional

from fpnbench.detect.pyramid import FeaturePyramid

BATCH_NORM_EPSILON = 1e-5  # torch's; the papers' texts give none
FUSION_EPSILON = 1e-4  # EfficientDet, section 3.3

Maps = dict[int, Tensor]
Place = tuple[int, int]
"""Where a feature is made: (repeat, number of the cell), or (-1, level) before them."""
Name = tuple[Place, Place | None]
"""Of layers: their place, and that of the feature they read, None if of their own."""


class Feature(NamedTuple):
    """A map, its level and where it was made."""

    level: int
    place: Place
    x: Tensor


class Weights:
    """Copies of a pyramid's weights, handed out by name and in order of use.

    Attributes:
        copies: of all `pyramid.parameters()`.
        separable: whether convolutions have a depthwise part (NAS-FPNLite).
    """

    separable = False

    def __init__(self, pyramid: FeaturePyramid) -> None:
        self.copies = [
            p.detach().clone().requires_grad_() for p in pyramid.parameters()
        ]
        self._training = pyramid.training
        self._weights: dict[Name, list[Tensor]] = {}
        self._running: dict[Name, list[Tensor]] = {}
        self._operands: dict[Place, list[Place | None]] = {}
        copies = iter(self.copies)
        names: list[Name] = []
        for node, module in zip(pyramid.genotype.nodes, pyramid.ops, strict=True):
            here = node.block
            if here[0] < 0:
                read = names[node.inputs[0]][0][1] if node.inputs else node.op.level
                here = (-1, getattr(node.op, "target", read))
            # A feature of this place that is no layer yet (a pool, say) reads on.
            operands = [
                names[i][1] if names[i][0] == here else names[i][0] for i in node.inputs
            ]
            own = list(module.parameters())
            name = here, operands[0] if len(operands) == 1 else None
            self._weights.setdefault(name, []).extend(next(copies) for _ in own)
            self._running.setdefault(name, []).extend(
                b.clone() for n, b in module.named_buffers() if "running" in n
            )
            if own and len(operands) > 1:
                self._operands[here] = operands
            names.append((here, None) if own else name)

    def take(self, name: Name) -> Tensor:
        """The next weight of a layer: kernels, bias, scale, shift, as it has them."""
        return self._weights[name].pop(0)

    def conv(self, name: Name, x: Tensor, bias: bool = True) -> Tensor:
        """A convolution that keeps height and width."""
        return self.strided_conv(name, x, 1, bias)

    def depthwise(self, name: Name, x: Tensor) -> Tensor:
        """A convolution of each channel by itself."""
        kernel = self.take(name)
        padding = kernel.shape[-1] // 2
        return functional.conv2d(x, kernel, padding=padding, groups=x.shape[1])

    def strided_conv(
        self, name: Name, x: Tensor, stride: int, bias: bool = True
    ) -> Tensor:
        """A convolution to ceil(size / stride)."""
        kernel = self.take(name)
        offset = self.take(name) if bias else None
        x = pad_same(x, kernel.shape[-1], stride, 0.0)
        return functional.conv2d(x, kernel, offset, stride)

    def batch_norm(self, name: Name, x: Tensor) -> Tensor:
        """(x - mean) / sqrt(variance + epsilon), scaled and shifted, per channel."""
        scale, shift = self.take(name), self.take(name)
        if self._training:
            mean = x.mean((0, 2, 3))
            variance = ((x - mean[:, None, None]) ** 2).mean((0, 2, 3))
        else:
            mean, variance = self._running[name].pop(0), self._running[name].pop(0)
        scale = scale / (variance + BATCH_NORM_EPSILON).sqrt()
        return (x - mean[:, None, None]) * scale[:, None, None] + shift[:, None, None]

    def fusion(self, place: Place) -> dict[Place | None, Tensor]:
        """Learned weights of a sum by the place that each operand comes from."""
        weights = self.take((place, None))
        return dict(zip(self._operands[place], weights, strict=True))

    def all_taken(self) -> bool:
        """Whether the reference has had a use for each of the pyramid's weights."""
        return not any(self._weights.values())


def pad_same(x: Tensor, kernel: int, stride: int, value: float) -> Tensor:
    """Pad so that ceil(size / stride) windows fit: evenly, the odd row at the end."""
    pad = []
    for size in (x.shape[3], x.shape[2]):
        over = max((-(-size // stride) - 1) * stride + kernel - size, 0)
        pad += [over // 2, over - over // 2]
    return functional.pad(x, pad, value=value)


def max_pool(x: Tensor, kernel: int, stride: int) -> Tensor:
    """Max-pool to ceil(size / stride)."""
    x = pad_same(x, kernel, stride, -torch.inf)
    return (
        x.unfold(2, kernel, stride).unfold(3, kernel, stride).flatten(4).max(4).values
    )


def upsample(x: Tensor, factor: int, like: Tensor) -> Tensor:
    """Repeat rows and columns; what is too much for the finer level is cut off."""
    height, width = like.shape[2:]
    x = x.repeat_interleave(factor, 2).repeat_interleave(factor, 3)
    return x[:, :, :height, :width]


def resample(x: Tensor, level: int, to: int, like: Tensor) -> Tensor:
    """Max-pool of window = stride down, nearest neighbour up."""
    if level < to:
        return max_pool(x, 2 ** (to - level), 2 ** (to - level))
    return upsample(x, 2 ** (level - to), like)


class Cell(NamedTuple):
    """A merging cell or block: two features (by order of creation) meet at a level."""

    level: int
    first: int
    second: int
    op: str  # sum, gp (NAS-FPN) or se (MnasFPN): the same to us, no text gives weights
    output: bool
    kernel: int = 3
    expansion: int = 0  # F, MnasFPN only


# NAS-FPN Fig. 7 (f) and `nasfpn.py` of tensorflow/tpu: features 0..4 are P3..P7.
NAS_FPN = [
    Cell(4, 1, 3, "gp", output=False),
    Cell(4, 1, 5, "sum", output=False),
    Cell(3, 0, 6, "sum", output=True),
    Cell(4, 6, 7, "sum", output=True),
    Cell(5, 7, 8, "gp", output=True),
    Cell(7, 6, 9, "gp", output=True),
    Cell(6, 9, 10, "gp", output=True),
]

# NAS-FPNLite-S, MnasFPN Fig. 3, arrows as we read them: features 0..3 are P3..P6.
NAS_FPN_LITE_S = [
    Cell(4, 1, 2, "sum", output=False),
    Cell(4, 1, 2, "gp", output=False),
    Cell(4, 4, 5, "sum", output=False),
    Cell(4, 4, 6, "sum", output=False),
    Cell(4, 1, 2, "sum", output=False),
    Cell(3, 0, 5, "sum", output=True),
    Cell(4, 4, 9, "sum", output=True),
    Cell(5, 2, 6, "gp", output=True),
    Cell(6, 10, 11, "sum", output=True),
]

# MnasFPN Fig. 2 and the released feature extractor: features 0..3 are C3..C6.
MNAS_FPN = [
    Cell(4, 1, 2, "sum", output=False, kernel=3, expansion=256),
    Cell(3, 0, 4, "sum", output=True, kernel=3, expansion=128),
    Cell(4, 5, 4, "sum", output=True, kernel=3, expansion=128),
    Cell(5, 4, 3, "sum", output=True, kernel=5, expansion=128),
    Cell(6, 4, 3, "sum", output=True, kernel=3, expansion=96),
]


def merge(op: str, first: Feature, second: Feature) -> Tensor:
    """Sum, or global pooling, of two maps of one size; their levels are those before.

    Global pooling is coarse + fine, each channel of fine times sigmoid(the channel's
    maximum in coarse). Coarse is the one of the higher level, the first at equal ones.

    Source: NAS-FPN Fig. 4 and released code.
    """
    if op == "sum":
        return first.x + second.x
    coarse, fine = (second, first) if second.level > first.level else (first, second)
    gate = torch.sigmoid(coarse.x.flatten(2).max(2).values)
    return coarse.x + fine.x * gate[:, :, None, None]


def stem(
    weights: Weights, maps: Maps, width: int, top: int, projected: set[int]
) -> list[Feature]:
    """Maps of the `projected` levels by 1x1 and batch norm to the width, the others as
    they are; above them max-pools of window and stride 2 up to level `top`.
    """
    features = [Feature(level, (-1, level), x) for level, x in sorted(maps.items())]
    for index, (level, place, x) in enumerate(features):
        if level in projected:
            x = project(weights, (place, None), x, width)
            features[index] = Feature(level, place, x)
    for level in range(max(maps) + 1, top + 1):
        features.append(Feature(level, (-1, level), max_pool(features[-1].x, 2, 2)))
    return features


def project(weights: Weights, name: Name, x: Tensor, width: int) -> Tensor:
    """1x1 and batch norm, where the map has not `width` channels already."""
    return x if x.shape[1] == width else conv_norm(weights, name, x)


def conv_norm(weights: Weights, name: Name, x: Tensor) -> Tensor:
    """Convolution, with a depthwise one before it if separable, and batch norm."""
    if weights.separable:
        x = weights.depthwise(name, x)
    return weights.batch_norm(name, weights.conv(name, x))


def nas_fpn(
    weights: Weights,
    maps: Maps,
    cells: Sequence[Cell],
    *,
    width: int,
    top: int,
    repeats: int,
    once: bool = False,
    residual: bool = False,
) -> Maps:
    """NAS-FPN's neck on the backbone's maps; `top` is its highest level.

    C3 and C4 get a 1x1 of their own wherever they are used (so the paper's Table 1
    comes out), or `once`, as C5 always. Repeats share no weights. With `residual` each
    repeat adds its inputs to its outputs, where the shapes agree (MnasFPN Fig. 3).
    """
    features = stem(weights, maps, width, top, set(maps) if once else {max(maps)})
    for repeat in range(repeats):
        before = {feature.level: feature.x for feature in features}
        features = nas_fpn_cells(weights, features, cells, width, repeat)
        for index, (level, place, x) in enumerate(features):
            if residual and x.shape == before[level].shape:
                features[index] = Feature(level, place, x + before[level])
    return {feature.level: feature.x for feature in features}


def nas_fpn_cells(
    weights: Weights,
    inputs: list[Feature],
    cells: Sequence[Cell],
    width: int,
    repeat: int,
) -> list[Feature]:
    """One repeat of NAS-FPN's merging cells.

    A cell brings two features to its level (1x1 where the channels differ, then
    resampling) and merges them; an output cell adds what nothing has used so far at its
    level; then ReLU, 3x3, batch norm.
    """
    features, frame = list(inputs), {feature.level: feature.x for feature in inputs}
    used: set[int] = set()
    outputs = []
    for number, cell in enumerate(cells):
        place = (repeat, number)

        def fetch(index: int, place: Place = place, to: int = cell.level) -> Feature:
            used.add(index)
            level, origin, x = features[index]
            x = project(weights, (place, origin), x, width)
            return Feature(level, origin, resample(x, level, to, frame[to]))

        x = merge(cell.op, fetch(cell.first), fetch(cell.second))
        for index, feature in enumerate(features):
            if cell.output and feature.level == cell.level and index not in used:
                x = x + fetch(index).x
        x = conv_norm(weights, (place, None), x.clamp(min=0))
        features.append(Feature(cell.level, place, x))
        if cell.output:
            outputs.append(features[-1])
    return sorted(outputs, key=lambda feature: feature.level)


def mnas_fpn(
    weights: Weights,
    maps: Maps,
    cells: Sequence[Cell],
    *,
    top: int,
    repeats: int,
    sdo: bool = True,
) -> Maps:
    """MnasFPN's neck on the backbone's maps; `top` is its highest level.

    The backbone's maps go in as they are; above them are 3x3 max-pools of stride 2,
    each with a 1x1 and batch norm. Repeats share no weights.
    """
    inputs = [Feature(level, (-1, level), x) for level, x in sorted(maps.items())]
    for level in range(max(maps) + 1, top + 1):
        name = (-1, level), (-1, level - 1)
        x = weights.conv(name, max_pool(inputs[-1].x, 3, 2), bias=False)
        inputs.append(Feature(level, (-1, level), weights.batch_norm(name, x)))
    for repeat in range(repeats):
        inputs = mnas_fpn_cells(weights, inputs, cells, sdo, repeat)
    return {feature.level: feature.x for feature in inputs}


def mnas_fpn_cells(
    weights: Weights,
    inputs: list[Feature],
    cells: Sequence[Cell],
    sdo: bool,
    repeat: int,
) -> list[Feature]:
    """One repeat of MnasFPN's blocks.

    A block brings two features to F channels (1x1 and batch norm) and to its level and
    merges them; then ReLU6, depthwise k x k, 1x1, batch norm. With size-dependent
    ordering a finer feature is pooled (3x3) before its 1x1 and a coarser one upsampled
    after it; without, the 1x1 is always first. Blocks that lead to no output are
    absent. Each output adds the input of its level, if that has its shape.
    """
    features, frame = list(inputs), {feature.level: feature.x for feature in inputs}
    present = leads_to_output(cells, len(inputs))
    outputs = []
    for number, cell in enumerate(cells):
        place = (repeat, number)
        if len(features) not in present:
            features.append(Feature(cell.level, place, torch.empty(0)))
            continue

        def fetch(index: int, place: Place = place, to: int = cell.level) -> Feature:
            level, origin, x = features[index]
            name, stride = (place, origin), 2 ** abs(to - level)
            if level < to and sdo:
                x = max_pool(x, 3, stride)
            x = weights.batch_norm(name, weights.conv(name, x, bias=False))
            if level < to and not sdo:
                x = max_pool(x, 3, stride)
            if level > to:
                x = upsample(x, stride, frame[to])
            return Feature(level, origin, x)

        x = merge(cell.op, fetch(cell.first), fetch(cell.second)).clamp(0, 6)
        x = weights.depthwise((place, None), x)
        x = weights.batch_norm(
            (place, None), weights.conv((place, None), x, bias=False)
        )
        features.append(Feature(cell.level, place, x))
        if cell.output:
            if x.shape == frame[cell.level].shape:
                x = x + frame[cell.level]
            outputs.append(Feature(cell.level, place, x))
    return sorted(outputs, key=lambda feature: feature.level)


def leads_to_output(cells: Sequence[Cell], inputs: int) -> set[int]:
    """Features that are outputs or read on the way to one."""
    present: set[int] = set()
    for number, cell in reversed(list(enumerate(cells, inputs))):
        if cell.output or number in present:
            present |= {number, cell.first, cell.second}
    return present


def bi_fpn(
    weights: Weights, maps: Maps, *, width: int, top: int, repeats: int, learned: bool
) -> Maps:
    """BiFPN, EfficientDet section 3.2: top-down, then bottom-up, a node per level each.

    T6 = R(I6 + T7) and so on to T4, T7 = I7; O3 = R(I3 + T4); Ok = R(Ik + Tk + Ok-1);
    O7 = R(I7 + O6). R is ReLU, 3x3, batch norm; sums bring all to the node's level.
    With `learned`, operands have weights relu(v) / (sum of relu(v) + epsilon).
    """
    inputs = stem(weights, maps, width, top, set(maps))
    for repeat in range(repeats):
        nodes: list[Feature] = []

        def node(
            *operands: Feature, repeat: int = repeat, nodes: Any = nodes
        ) -> Feature:
            place, (level, _, like) = (repeat, len(nodes)), operands[0]
            shares = dict.fromkeys((each.place for each in operands), torch.ones(()))
            if learned:
                shares = {i: w.clamp(min=0) for i, w in weights.fusion(place).items()}
                total = torch.stack(list(shares.values())).sum() + FUSION_EPSILON
                shares = {i: w / total for i, w in shares.items()}
            x = torch.zeros(())
            for each in operands:
                x = x + shares[each.place] * resample(each.x, each.level, level, like)
            x = conv_norm(weights, (place, None), x.clamp(min=0))
            nodes.append(Feature(level, place, x))
            return nodes[-1]

        finest, *middle, coarsest = inputs
        down = [coarsest]
        for feature in reversed(middle):
            down.append(node(feature, down[-1]))
        inputs = [node(finest, down[-1])]
        for feature, between in zip(middle, reversed(down[1:]), strict=True):
            inputs.append(node(feature, between, inputs[-1]))
        inputs.append(node(coarsest, inputs[-1]))
    return {feature.level: feature.x for feature in inputs}


def fpn(weights: Weights, maps: Maps, *, top: int, repeats: int) -> Maps:
    """FPN, section 3: Tk = 1x1(Ik) + upsampled Tk+1, Ok = 3x3(Tk), no activations.

    As RetinaNet has it: O6 is a 3x3 of stride 2 on O5, O7 one on relu(O6), and, as in
    Google's release, each output has a batch norm. A further repeat takes all levels.
    """
    inputs = [Feature(level, (-1, level), x) for level, x in sorted(maps.items())]
    for repeat in range(repeats):
        outputs: list[Feature] = []
        above = None
        for number, (level, origin, x) in enumerate(reversed(inputs)):
            place = (repeat, number)
            x = weights.conv((place, origin), x)
            above = x if above is None else x + upsample(above, 2, x)
            x = weights.conv((place, None), above)
            x = weights.batch_norm((place, None), x)
            outputs.insert(0, Feature(level, place, x))
        for level in range(outputs[-1].level + 1, top + 1):
            _, origin, x = outputs[-1]
            name = (repeat, len(outputs)), origin
            x = x if level == max(maps) + 1 else x.clamp(min=0)
            x = weights.batch_norm(name, weights.strided_conv(name, x, 2))
            outputs.append(Feature(level, name[0], x))
        inputs = outputs
    return {feature.level: feature.x for feature in inputs}
