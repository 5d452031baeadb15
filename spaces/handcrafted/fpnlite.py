"""FPNLite: FPN with separable convolutions, the baseline of NAS-FPN's mobile models.

Source: tensorflow/models (object_detection), `feature_map_generators.py`,
`fpn_top_down_feature_maps` with depthwise convolutions, and the extractor
`ssd_mobilenet_v2_fpn_feature_extractor.py`. This reading gives NAS-FPN's Table 1 (facts
3.1): with P3-P7, the backbone of facts 3.5 and one separable tower of four layers for
classes (91 slots) and boxes, 1.508 B FLOPs and 2.016 M parameters at 64 channels
(printed 1.51 and 2.02), 2.034 B and 2.203 M at 128 (2.03 and 2.20). Of the other
readings none fits as well: two towers give 1.59 B at 64, C5 itself (320 channels) in
place of the 256-channel layer 1.49 B.
Differs: the source applies ReLU6 behind the outputs' batch norm, where our ops have
none; what reads P6 does it.
"""

from fpnbench.graph.builder import Builder
from fpnbench.graph.ops import Activation, Conv, SepConv
from spaces.handcrafted.parts import (
    Features,
    Frame,
    extend,
    join,
    maps,
    next_block,
    there,
)

LAST_LAYER = 256
"""Channels of the backbone's last 1x1 in the source's mobile detectors."""


def last_layer(builder: Builder, frame: Frame) -> Features:
    """Return the backbone's maps, the top one after its last 1x1 and BN."""
    features = maps(builder, frame)
    conv = Conv(LAST_LAYER, 1, "none", bias=False)
    return {**features, frame.top: builder.add(conv, features[frame.top])}


def fpnlite(builder: Builder, inputs: Features, frame: Frame) -> Features:
    """Tk = 1x1(Ik) + Tk+1; Ok = separable 3x3(Tk) except at the top, where Ok = Tk.

    P6 and P7 follow by separable 3x3 convolutions of stride 2.
    """
    top = max(inputs)
    merged: Features = {}
    outputs = {}
    for level in sorted(inputs, reverse=True):
        before: Activation = "relu6" if level == top else "none"
        side = Conv(frame.width, 1, before, bias=True, norm=False)
        node = builder.add(side, inputs[level])
        merged[level] = join(builder, level, node, *there(merged, level + 1))
        outputs[level] = merged[level]
        if level != top:
            conv = SepConv(frame.width, 3, "none", bias=False)
            outputs[level] = builder.add(conv, merged[level])
        next_block(builder)
    return extend(builder, outputs, frame, outputs[top], "relu6", separable=True)
