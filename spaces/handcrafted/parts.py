"""What the hand-made pyramids share: their frame, two stems, and merging cells.

A pyramid is a stem, which runs once, and a function that adds one copy. The paper's
graph words stand in the docstrings: Ck is a backbone map, Ik the input of a copy, Ok
its output; `+` adds after bringing all to the level of the result (max-pool down,
nearest up); R is ReLU-conv3x3-BN. Wherever a paper has separable convolutions in R,
plain ones stand here, so that pyramids differ in their wiring alone.
"""

from collections.abc import Callable
from dataclasses import dataclass

from fpnbench.graph.builder import Builder
from fpnbench.graph.ops import Activation, Conv, Op, Project, StridedConv, Sum

SUM = Sum()
Features = dict[int, int]
"""Nodes by level."""


@dataclass(frozen=True, slots=True)
class Frame:
    """What is the same for every copy of a pyramid.

    Attributes:
        levels: all levels of the pyramid, rising without a gap.
        top: the highest of them that the backbone gives.
        width: feature dimension.
        coarse: how `fpn` and its rows make the levels above `top`: `conv` or
            `subsample`.
        extras: channels of the levels above `top`, of `ssd` alone; none: `width`.
    """

    levels: tuple[int, ...]
    top: int
    width: int
    coarse: str
    extras: tuple[int, ...] = ()


Stem = Callable[[Builder, Frame], Features]
"""Adds what runs once, before the first copy, and returns that copy's inputs."""
Copy = Callable[[Builder, Features, Frame], Features]
"""(builder, inputs by level, frame) -> outputs by level: adds one copy.

A copy of a pyramid with a single output reads that one level alone.
"""


def maps(builder: Builder, frame: Frame) -> Features:
    """Return the backbone's maps as they are."""
    return {lv: builder.input(lv) for lv in range(frame.levels[0], frame.top + 1)}


def pooled(builder: Builder, frame: Frame) -> Features:
    """Return projections (1x1 and BN), and max-pools of the top one above them."""
    project = Project(frame.width, bias=True)
    inputs = maps(builder, frame)
    features = {level: builder.add(project, inputs[level]) for level in inputs}
    for level in range(frame.top + 1, frame.levels[-1] + 1):
        features[level] = builder.resample(features[level - 1], level)
    return features


def merge(
    builder: Builder, frame: Frame, level: int, *sources: int, op: Op = SUM
) -> int:
    """Add a merging cell R(sum of `sources`) at `level` as a block of its own."""
    joined = join(builder, level, *sources, op=op)
    node = builder.add(Conv(frame.width, 3, "relu", bias=True), joined)
    next_block(builder)
    return node


def join(builder: Builder, level: int, *sources: int, op: Op = SUM) -> int:
    """Bring features to `level` and combine them by `op`, if there are several."""
    operands = [builder.resample(source, level) for source in sources]
    return builder.add(op, *operands) if len(operands) > 1 else operands[0]


def there(features: Features, level: int) -> list[int]:
    """Return the feature of a level as a list, empty where there is none."""
    return [features[level]] if level in features else []


def next_block(builder: Builder) -> None:
    """End a block: what is added from now on belongs to the next one of the copy."""
    repeat, position = builder.block
    builder.block = (repeat, position + 1)


def extend(
    builder: Builder,
    outputs: Features,
    frame: Frame,
    source: int,
    activation: Activation = "relu",
    separable: bool = False,
) -> Features:
    """Add the levels above `outputs` by 3x3 convolutions of stride 2.

    The first reads `source`, each next one the activation of the one before.

    Source: RetinaNet's P6 and P7, Lin et al. 2017 (arXiv 1708.02002), section 4.
    """
    outputs, node = dict(outputs), source
    before: Activation = "none"
    for level in range(max(outputs) + 1, frame.levels[-1] + 1):
        conv = StridedConv(
            level - 1,
            level,
            frame.width,
            3,
            before,
            bias=not separable,
            separable=separable,
        )
        outputs[level] = node = builder.strided(node, conv)
        next_block(builder)
        before = activation
    return outputs
