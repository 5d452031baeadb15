"""SSDLite: default boxes of a few shapes on every level, predicted by separable layers.

Source: Liu et al. 2016, SSD (arXiv 1512.02325), section 2.2, and Sandler et al. 2018,
MobileNetV2 (arXiv 1801.04381), section 6.2; numbers of the release stand in the yaml.
"""

from collections.abc import Sequence

from fpnbench.detect.anchor_head import AnchorHead, AnchorRule
from fpnbench.detect.anchors import ssd_anchors_MS4
from fpnbench.detect.head import Channels
from fpnbench.detect.predictors import LevelPredictor


def ssdlite_head(
    in_channels: Channels,
    num_classes: int,
    levels: Sequence[int],
    image_px: int,
    *,
    min_scale: float,
    max_scale: float,
    ratios: Sequence[float],
    lowest: Sequence[tuple[float, float]],
    rule: AnchorRule,
    init_std: float,
    prior: float,
) -> AnchorHead:
    """Build the head; every level may have a width of its own.

    Args:
        in_channels: of the pyramid's maps.
        num_classes: K.
        levels: feature levels that are there, rising.
        image_px: side of the square input.
        min_scale: see `anchors.ssd_anchors_MS4`; likewise all up to `lowest`.
        max_scale: see there.
        ratios: see there.
        lowest: see there.
        rule: matching, losses and decoding.
        init_std: spread of the initial weights.
        prior: class probability at first.
    """
    boxes = ssd_anchors_MS4(
        levels,
        image_px,
        min_scale=min_scale,
        max_scale=max_scale,
        ratios=ratios,
        lowest=lowest,
    )
    if isinstance(in_channels, int):
        in_channels = dict.fromkeys(levels, in_channels)
    predictor = LevelPredictor(
        [in_channels[level] for level in levels],
        num_classes,
        [each.shape[1] for each in boxes],
        init_std=init_std,
        prior=prior,
    )
    anchors = [each.flatten(0, 1) for each in boxes]
    return AnchorHead(predictor, num_classes, levels, image_px, anchors, rule)
