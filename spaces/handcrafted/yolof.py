"""YOLOF's four forms, many or a single level in and out; and no fusion at all.

Source: Chen et al. 2021, You Only Look One-level Feature (arXiv 2103.09460), Figs. 1
and 3. P6 reads C5, not P5: only so has RetinaNet R-50 the 38 M parameters printed there
(34 M otherwise).
Differs: one batch norm per 3x3, as in `spaces.handcrafted.fpn`.
"""

from fpnbench.graph.builder import Builder
from spaces.handcrafted.fpn import lateral, smooth, top_down, upsampled
from spaces.handcrafted.parts import (
    Features,
    Frame,
    extend,
    join,
    merge,
    next_block,
    there,
)


def mimo(builder: Builder, inputs: Features, frame: Frame) -> Features:
    """FPN in RetinaNet: T5..T3 by top-down sums, Ok = 3x3(Tk); P6, P7 from C5."""
    outputs = top_down(builder, inputs, frame)
    return extend(builder, outputs, frame, inputs[frame.top])


def simo(builder: Builder, inputs: Features, frame: Frame) -> Features:
    """T5 = 1x1(C5), upsampled to all finer levels; Ok = 3x3(Tk); P6, P7 from C5."""
    outputs = upsampled(builder, inputs, frame)
    return extend(builder, outputs, frame, inputs[frame.top])


def miso(builder: Builder, inputs: Features, frame: Frame) -> Features:
    """FPN's Tk, then B3 = 3x3(T3), B4 = 3x3(T4) + B3 and P5 = 3x3(T5 + B4)."""
    merged: Features = {}
    for level in sorted(inputs, reverse=True):
        side = lateral(builder, inputs[level], frame)
        merged[level] = join(builder, level, side, *there(merged, level + 1))
        next_block(builder)
    *finer, top = sorted(inputs)
    below: list[int] = []
    for level in finer:
        below = [join(builder, level, smooth(builder, merged[level], frame), *below)]
        next_block(builder)
    return {top: smooth(builder, join(builder, top, merged[top], *below), frame)}


def siso(builder: Builder, inputs: Features, frame: Frame) -> Features:
    """P5 = 3x3(1x1(C5)), the only level."""
    top = frame.top
    return {top: smooth(builder, lateral(builder, inputs[top], frame), frame)}


def no_fusion(builder: Builder, inputs: Features, frame: Frame) -> Features:
    """Ok = R(Ik): what every merging pyramid has to beat."""
    return {lv: merge(builder, frame, lv, inputs[lv]) for lv in inputs}
