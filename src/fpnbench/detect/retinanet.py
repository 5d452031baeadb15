"""RetinaNet: anchors of several sizes and shapes at every cell, shared towers.

Source: Lin et al. 2017 (arXiv 1708.02002); the details in which NAS-FPN's and MnasFPN's
experiments differ from it follow Google's releases and stand in the yaml.
"""

from collections.abc import Sequence

from fpnbench.detect.anchor_head import AnchorHead, AnchorRule
from fpnbench.detect.anchors import anchors_A4
from fpnbench.detect.head import Channels, common_channels
from fpnbench.detect.predictors import TowerPredictor


def retinanet_head(
    in_channels: Channels,
    num_classes: int,
    levels: Sequence[int],
    image_px: int,
    *,
    anchor_scale: float,
    octave_scales: int,
    ratios: Sequence[float],
    rule: AnchorRule,
    width: int,
    tower_depth: int,
    separable: bool,
    shared_tower: bool,
    init_std: float,
    final_init_std: float,
    prior: float,
) -> AnchorHead:
    """Build the head; it needs one width on all levels.

    Args:
        in_channels: of the pyramid's maps.
        num_classes: K.
        levels: feature levels that are there, rising.
        image_px: side of the square input.
        anchor_scale: see `anchors.anchors_A4`; likewise `octave_scales`, `ratios`.
        octave_scales: see there.
        ratios: see there.
        rule: matching, losses and decoding.
        width: see `TowerPredictor`; likewise all that follow.
        tower_depth: its `depth`.
        separable: see there.
        shared_tower: its `shared`.
        init_std: see there.
        final_init_std: see there.
        prior: see there.

    Raises:
        UserError: the levels have different widths.
    """
    predictor = TowerPredictor(
        common_channels(in_channels, levels),
        num_classes,
        levels,
        octave_scales * len(ratios),
        width=width,
        depth=tower_depth,
        separable=separable,
        shared=shared_tower,
        init_std=init_std,
        final_init_std=final_init_std,
        prior=prior,
    )
    anchors = [
        anchors_A4(
            [level],
            image_px,
            anchor_scale=anchor_scale,
            octave_scales=octave_scales,
            ratios=ratios,
        )
        for level in levels
    ]
    return AnchorHead(predictor, num_classes, levels, image_px, anchors, rule)
