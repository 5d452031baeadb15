"""FPN, SiMo, MiSo and SiSo made of merging cells, and FPN stacked with its own 1x1.

For comparisons of wirings alone: as in `no_fusion`, the levels above the backbone are
pooled and every output is R. FPN's and YOLOF's own pyramids (`fpn`, `simo`, `miso`,
`siso`) have no ReLU and make P6 and P7 by convolutions of stride 2.

Sources: Lin et al. 2017, Feature Pyramid Networks (arXiv 1612.03144), Table 1; Chen et
al. 2021, You Only Look One-level Feature (arXiv 2103.09460), Fig. 3; Ghiasi et al.
2019, NAS-FPN (arXiv 1904.07392), Fig. 8 (a).
"""

from fpnbench.graph.builder import Builder
from fpnbench.graph.ops import Conv
from spaces.handcrafted.parts import Features, Frame, join, merge, next_block, there


def fpn_merging(builder: Builder, inputs: Features, frame: Frame) -> Features:
    """T5 = I5, Tk = Ik + Tk+1 below; Ok = R(Tk); O6 = R(I6), O7 = R(I7)."""
    merged: Features = {}
    outputs = {}
    for level in sorted(inputs, reverse=True):
        coarser = there(merged, level + 1) if level < frame.top else []
        merged[level] = join(builder, level, inputs[level], *coarser)
        outputs[level] = merge(builder, frame, level, merged[level])
    return outputs


def simo_merging(builder: Builder, inputs: Features, frame: Frame) -> Features:
    """T5 = I5, Tk = U(Tk+1) below; Ok = R(Tk); O6 = R(I6), O7 = R(I7)."""
    node, outputs = inputs[frame.top], {}
    for level in range(frame.top, frame.levels[0] - 1, -1):
        node = builder.resample(node, level)
        outputs[level] = merge(builder, frame, level, node)
    for level in range(frame.top + 1, frame.levels[-1] + 1):
        outputs[level] = merge(builder, frame, level, inputs[level])
    return outputs


def miso_merging(builder: Builder, inputs: Features, frame: Frame) -> Features:
    """FPN's Tk, then B3 = R(T3), B4 = R(T4) + B3 and, alone, O5 = R(T5 + B4)."""
    levels = [level for level in sorted(inputs) if level <= frame.top]
    merged: Features = {}
    for level in reversed(levels):
        coarser = there(merged, level + 1)
        merged[level] = join(builder, level, inputs[level], *coarser)
        next_block(builder)
    conv = Conv(frame.width, 3, "relu", bias=True)
    below: list[int] = []
    for level in levels[:-1]:
        below = [join(builder, level, builder.add(conv, merged[level]), *below)]
        next_block(builder)
    return {frame.top: merge(builder, frame, frame.top, merged[frame.top], *below)}


def siso_merging(builder: Builder, inputs: Features, frame: Frame) -> Features:
    """O5 = R(I5), the only level."""
    return {frame.top: merge(builder, frame, frame.top, inputs[frame.top])}


def fpn_stacked(builder: Builder, inputs: Features, frame: Frame) -> Features:
    """`fpn_vanilla` with a 1x1 and BN of its own on every input.

    Those of the first copy are the stem's projections.

    Source: NAS-FPN Fig. 8 (a), of which a further copy costs five 1x1 and five 3x3
    convolutions (facts 1.3).
    """
    repeat, _ = builder.block
    lateral = Conv(frame.width, 1, "none", bias=True)
    outputs: Features = {}
    for level in sorted(inputs, reverse=True):
        side = builder.add(lateral, inputs[level]) if repeat else inputs[level]
        coarser = there(outputs, level + 1)
        outputs[level] = merge(builder, frame, level, side, *coarser)
    return outputs
