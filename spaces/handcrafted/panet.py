"""PANet: a bottom-up path behind the top-down one; and that path alone.

Source: Liu et al. 2018, Path Aggregation Network (arXiv 1803.01534), section 3.1; as
merging cells in EfficientDet's Table 5 (Tan et al. 2020, arXiv 1911.09070).
Differs: the paper goes down by 3x3 convolutions of stride 2, here by max-pools, as all
cells of that table.
"""

from fpnbench.graph.builder import Builder
from spaces.handcrafted.parts import Features, Frame, merge, there


def panet(builder: Builder, inputs: Features, frame: Frame) -> Features:
    """T7 = I7; Tk = R(Ik + Tk+1) below; O3 = T3; Ok = R(Tk + Ok-1) above."""
    finest, *rising = sorted(inputs)
    middle = {rising[-1]: inputs[rising[-1]]}
    for level in (*rising[-2::-1], finest):
        above = middle[level + 1]
        middle[level] = merge(builder, frame, level, inputs[level], above)
    outputs = {finest: middle[finest]}
    for level in rising:
        below = outputs[level - 1]
        outputs[level] = merge(builder, frame, level, middle[level], below)
    return outputs


def bottom_up(builder: Builder, inputs: Features, frame: Frame) -> Features:
    """O3 = R(I3); Ok = R(Ik + Ok-1) above: every level receives the finer one."""
    outputs: Features = {}
    for level in sorted(inputs):
        finer = there(outputs, level - 1)
        outputs[level] = merge(builder, frame, level, inputs[level], *finer)
    return outputs
