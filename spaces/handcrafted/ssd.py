"""SSD: levels from the backbone and a chain of convolutions behind it, no fusion.

Source: Liu et al. 2016, SSD (arXiv 1512.02325), section 2; SSDLite is the same with
separable convolutions (Sandler et al. 2018, arXiv 1801.04381, section 6.2).
Differs: SSD's predictor has weights of its own on every map and reads them as they are;
here a 1x1 and BN brings them to the one width that shared predictors need.
"""

from fpnbench.graph.builder import Builder
from fpnbench.graph.ops import Activation, Conv, StridedConv
from spaces.handcrafted.parts import Features, Frame, next_block


def ssd(builder: Builder, inputs: Features, frame: Frame) -> Features:
    """Ok = 1x1(Ik); above, 1x1 to half the width and 3x3 of stride 2, C5 at first.

    With `extras` it is `ssdlite`.
    """
    if frame.extras:
        return ssdlite(builder, inputs, frame)
    conv = Conv(frame.width, 1, "none", bias=True)
    outputs = {}
    for level in sorted(inputs):
        outputs[level] = builder.add(conv, inputs[level])
        next_block(builder)
    node, half = inputs[max(inputs)], max(1, frame.width // 2)
    before: Activation = "none"
    for level in range(max(inputs) + 1, frame.levels[-1] + 1):
        narrow = builder.add(Conv(half, 1, before, bias=True), node)
        down = StridedConv(level - 1, level, frame.width, 3, "relu", bias=True)
        outputs[level] = node = builder.strided(narrow, down)
        before = "relu"
        next_block(builder)
    return outputs


def ssdlite(builder: Builder, inputs: Features, frame: Frame) -> Features:
    """Ok = Ck; above, 1x1 to half the level's width and separable 3x3 of stride 2.

    Source: tensorflow/models (object_detection), `feature_map_generators.py`,
    `multi_resolution_feature_maps` with depthwise convolutions.
    Differs: the source has a batch norm and ReLU6 between the separable parts, too, and
    ReLU6 behind the outputs' norms.
    """
    outputs, node = dict(inputs), inputs[max(inputs)]
    before: Activation = "none"
    for level in range(max(inputs) + 1, frame.levels[-1] + 1):
        width = frame.extras[level - frame.top - 1]
        narrow = builder.add(Conv(max(1, width // 2), 1, before, bias=False), node)
        before = "relu6"
        down = StridedConv(
            level - 1, level, width, 3, before, bias=False, separable=True
        )
        outputs[level] = node = builder.strided(narrow, down)
        next_block(builder)
    return outputs
