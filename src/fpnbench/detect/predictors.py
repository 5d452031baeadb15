"""Predictors of anchor-based heads: from the maps of all levels to classes and boxes.

Each gives two lists of maps, one entry a level: class scores, (B, per_cell * K, h, w),
and box codes, (B, per_cell * 4, h, w). Letters as in `targets`.
"""

from collections.abc import Sequence

from torch import Tensor, nn

from fpnbench.detect.head import Tower, final_conv, set_prior

Maps = tuple[list[Tensor], list[Tensor]]
"""Class scores and box codes, by level."""


class TowerPredictor(nn.Module):
    """RetinaNet's: towers and final convolutions shared by the levels.

    Args:
        in_channels: of every map.
        num_classes: K.
        levels: feature levels.
        per_cell: anchors of a cell.
        width: channels of the towers.
        depth: 3x3 convolutions of a tower.
        separable: separable convolutions throughout, ReLU6.
        shared: one tower for classes and boxes.
        init_std: spread of the towers' initial weights.
        final_init_std: spread of the final convolutions' initial weights.
        prior: class probability at first.

    Source: Lin et al. 2017, section 4; separable and shared: MnasFPN's released
        detector (tensorflow/models, `WeightSharedConvolutionalBoxPredictor`).
    """

    def __init__(
        self,
        in_channels: int,
        num_classes: int,
        levels: Sequence[int],
        per_cell: int,
        *,
        width: int,
        depth: int,
        separable: bool,
        shared: bool,
        init_std: float,
        final_init_std: float,
        prior: float,
    ) -> None:
        super().__init__()
        shape = (in_channels, width, depth, levels, init_std, separable)
        self.class_tower = Tower(*shape)
        self.box_tower = None if shared else Tower(*shape)
        self.class_conv = final_conv(
            width,
            per_cell * num_classes,
            init_std=final_init_std,
            prior=prior,
            separable=separable,
        )
        self.box_conv = final_conv(
            width, per_cell * 4, init_std=final_init_std, separable=separable
        )

    def forward(self, maps: Sequence[Tensor]) -> Maps:
        """Predict from one map a level, (B, in_channels, h, w)."""
        classes = self.class_tower(maps)
        boxes = classes if self.box_tower is None else self.box_tower(maps)
        return [self.class_conv(x) for x in classes], [self.box_conv(x) for x in boxes]


class LevelPredictor(nn.Module):
    """SSDLite's: on every level a branch for classes and one for boxes, nothing shared.

    A branch is a depthwise 3x3 convolution, batch norm, ReLU6 and a 1x1 convolution.

    Args:
        channels: of each level's map.
        num_classes: K.
        per_cell: anchors of a cell of each level.
        init_std: spread of the initial weights.
        prior: class probability at first.

    Source: Sandler et al. 2018, section 6.2 (arXiv 1801.04381); tensorflow/models,
        `ConvolutionalBoxHead` with `use_depthwise`.
    """

    def __init__(
        self,
        channels: Sequence[int],
        num_classes: int,
        per_cell: Sequence[int],
        *,
        init_std: float,
        prior: float,
    ) -> None:
        super().__init__()
        pairs = list(zip(channels, per_cell, strict=True))
        self.class_branches = nn.ModuleList(
            _branch(width, anchors * num_classes, init_std, prior)
            for width, anchors in pairs
        )
        self.box_branches = nn.ModuleList(
            _branch(width, anchors * 4, init_std, None) for width, anchors in pairs
        )

    def forward(self, maps: Sequence[Tensor]) -> Maps:
        """Predict from one map a level, (B, channels of the level, h, w)."""
        return (
            [branch(x) for branch, x in zip(self.class_branches, maps, strict=True)],
            [branch(x) for branch, x in zip(self.box_branches, maps, strict=True)],
        )


def _branch(
    width: int, outputs: int, init_std: float, prior: float | None
) -> nn.Sequential:
    depthwise = nn.Conv2d(width, width, 3, 1, 1, groups=width, bias=False)
    pointwise = nn.Conv2d(width, outputs, 1)
    for conv in (depthwise, pointwise):
        nn.init.normal_(conv.weight, std=init_std)
    set_prior(pointwise, prior)
    return nn.Sequential(depthwise, nn.BatchNorm2d(width), nn.ReLU6(True), pointwise)
