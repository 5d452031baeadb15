"""FPN and the six rows (a)-(f) of its paper's Tables 1 and 2.

Source: Lin et al. 2017, Feature Pyramid Networks (arXiv 1612.03144); Google's RetinaNet
(tensorflow/tpu, `modeling/architecture/fpn.py`). The FPN paper's own pyramid has the
levels 2 to 6 and `coarse=subsample`.
Differs: one batch norm per output level, as in Google's release and unlike the paper;
there, P6 reads P5 before that norm.
"""

from fpnbench.graph.builder import Builder
from fpnbench.graph.errors import UserError
from fpnbench.graph.ops import Conv
from spaces.handcrafted.parts import Features, Frame, extend, join, next_block, there


def lateral(builder: Builder, source: int, frame: Frame) -> int:
    """Add a 1x1 convolution, without norm or activation."""
    return builder.add(Conv(frame.width, 1, "none", bias=True, norm=False), source)


def smooth(builder: Builder, source: int, frame: Frame) -> int:
    """Add the 3x3 convolution and batch norm of an output."""
    return builder.add(Conv(frame.width, 3, "none", bias=True), source)


def fpn(builder: Builder, inputs: Features, frame: Frame) -> Features:
    """Row (c): `top_down`, and above it P6 from P5, P7 from P6.

    The first copy merges the backbone's levels; a further one merges all levels and
    has laterals of its own on all of them, as what NAS-FPN Fig. 8 (a) adds per copy
    tells (facts 1.3).
    """
    return _coarser(builder, top_down(builder, inputs, frame), frame)


def top_down(builder: Builder, inputs: Features, frame: Frame) -> Features:
    """Tk = 1x1(Ik) + Tk+1; Ok = 3x3(Tk)."""
    merged: Features = {}
    outputs = {}
    for level in sorted(inputs, reverse=True):
        side = lateral(builder, inputs[level], frame)
        merged[level] = join(builder, level, side, *there(merged, level + 1))
        outputs[level] = smooth(builder, merged[level], frame)
        next_block(builder)
    return outputs


def no_top_down(builder: Builder, inputs: Features, frame: Frame) -> Features:
    """Row (d), the paper's "bottom-up" pyramid: a 3x3 on each lateral, no fusion."""
    outputs = {}
    for level in sorted(inputs, reverse=True):
        outputs[level] = smooth(builder, lateral(builder, inputs[level], frame), frame)
        next_block(builder)
    return _coarser(builder, outputs, frame)


def no_lateral(builder: Builder, inputs: Features, frame: Frame) -> Features:
    """Row (e): the top-down way without laterals, so that C5 alone feeds it."""
    return _coarser(builder, upsampled(builder, inputs, frame), frame)


def upsampled(builder: Builder, inputs: Features, frame: Frame) -> Features:
    """T5 = 1x1(I5), Tk = U(Tk+1) below; Ok = 3x3(Tk)."""
    node = lateral(builder, inputs[frame.top], frame)
    outputs = {}
    for level in range(frame.top, frame.levels[0] - 1, -1):
        node = builder.resample(node, level)
        outputs[level] = smooth(builder, node, frame)
        next_block(builder)
    return outputs


def finest_only(builder: Builder, inputs: Features, frame: Frame) -> Features:
    """Row (f): FPN, of which the head reads the finest map alone."""
    outputs = top_down(builder, inputs, frame)
    return {min(outputs): outputs[min(outputs)]}


def one_map(
    builder: Builder, inputs: Features, frame: Frame, *, level: int
) -> Features:
    """Rows (a) and (b): a single backbone map, C4 or C5.

    Differs: a 1x1 lateral brings it to the width that one head for all pyramids needs;
    in row (a) of Fast R-CNN the head is the backbone's conv5.

    Raises:
        UserError: the pyramid does not read that map.
    """
    if level not in inputs:
        raise UserError(f"c{level}_only reads C{level}, levels={list(frame.levels)}")
    return {level: lateral(builder, inputs[level], frame)}


def _coarser(builder: Builder, outputs: Features, frame: Frame) -> Features:
    """Add the levels above: RetinaNet's convolutions, or the FPN paper's subsample."""
    if frame.coarse == "conv":
        return extend(builder, outputs, frame, outputs[max(outputs)])
    for level in range(max(outputs) + 1, frame.levels[-1] + 1):
        outputs[level] = builder.resample(outputs[level - 1], level, kernel=1)
        next_block(builder)
    return outputs
