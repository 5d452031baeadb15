"""BiFPN and the fully connected pyramid of EfficientDet's comparison.

Source: Tan et al. 2020, EfficientDet (arXiv 1911.09070), section 3 and Table 5.
Differs: the paper's cells are separable convolutions with swish; C6 has a projection of
its own there and a pool of window 3.
"""

from fpnbench.graph.builder import Builder
from fpnbench.graph.ops import Op
from spaces.handcrafted.parts import SUM, Features, Frame, merge


def bifpn(
    builder: Builder, inputs: Features, frame: Frame, *, op: Op = SUM
) -> Features:
    """T7 = I7, Tk = R(Ik + Tk+1); O3 = R(I3 + T4), Ok = R(Ik + Tk + Ok-1).

    The coarsest output is R(I7 + O6).

    Args:
        builder: where to.
        inputs: by level.
        frame: of the pyramid.
        op: `Sum`, or `WeightedSum` for the paper's fast normalised fusion.
    """
    finest, *between, top = sorted(inputs)
    middle = {top: inputs[top]}
    for level in reversed(between):
        above = middle[level + 1]
        middle[level] = merge(builder, frame, level, inputs[level], above, op=op)
    above = middle[finest + 1]
    outputs = {finest: merge(builder, frame, finest, inputs[finest], above, op=op)}
    for level in between:
        operands = (inputs[level], middle[level], outputs[level - 1])
        outputs[level] = merge(builder, frame, level, *operands, op=op)
    below = outputs[top - 1]
    outputs[top] = merge(builder, frame, top, inputs[top], below, op=op)
    return outputs


def fully_connected(builder: Builder, inputs: Features, frame: Frame) -> Features:
    """Ok = R(sum of all Ij): the wiring drawn in the paper's first version."""
    return {lv: merge(builder, frame, lv, *inputs.values()) for lv in inputs}
