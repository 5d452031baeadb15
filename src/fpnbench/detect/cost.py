"""MACs and parameters of a detector's parts, counted on torch's meta device."""

import copy
from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from fpnbench.graph.genotype import Genotype
from fpnbench.graph.trace import check_fit, level_sizes, trace

Linear = nn.Conv2d | nn.Linear


@dataclass(frozen=True, slots=True)
class PartCost:
    """Multiply-accumulates of one image and parameters, frozen ones too."""

    macs: int
    params: int


@dataclass(frozen=True, slots=True)
class DetectorCost:
    """Cost of the three parts of a detector."""

    backbone: PartCost
    pyramid: PartCost
    predictor: PartCost

    @property
    def macs(self) -> int:
        """Multiply-accumulates of one image."""
        return self.backbone.macs + self.pyramid.macs + self.predictor.macs

    @property
    def params(self) -> int:
        """Parameters of all parts."""
        return self.backbone.params + self.pyramid.params + self.predictor.params


def part_cost(module: nn.Module, inputs: Tensor | dict[int, Tensor]) -> PartCost:
    """Count convolutions and linear layers of one forward pass, without computing it.

    Args:
        module: any part of a detector; it is copied, not changed.
        inputs: what its forward takes, for one image; values do not matter.
    """
    shadow = copy.deepcopy(module).to("meta").eval()
    macs = 0

    def count(layer: nn.Module, _: object, output: Tensor) -> None:
        nonlocal macs
        assert isinstance(layer, Linear)
        places = output.numel() // layer.weight.shape[0]
        macs += layer.weight.numel() * places

    for layer in shadow.modules():
        if isinstance(layer, Linear):
            layer.register_forward_hook(count)
    with torch.no_grad():
        if isinstance(inputs, dict):
            shadow({level: x.to("meta") for level, x in inputs.items()})
        else:
            shadow(inputs.to("meta"))
    return PartCost(macs, sum(p.numel() for p in shadow.parameters()))


def moving_statistics(*modules: nn.Module) -> int:
    """Count what batch norms remember: a mean and a variance a channel, not trained."""
    names = ("running_mean", "running_var")
    return sum(
        buffer.numel()
        for module in modules
        for name, buffer in module.named_buffers()
        if name.endswith(names)
    )


def backbone_cost(backbone: nn.Module, image_px: int) -> PartCost:
    """Count a backbone on a square image."""
    image = torch.empty(1, 3, image_px, image_px, device="meta")
    return part_cost(backbone, image)


def detector_cost(
    genotype: Genotype,
    channels: Mapping[int, int],
    backbone: PartCost,
    head: nn.Module,
    image_px: int,
) -> DetectorCost:
    """Count a whole detector.

    Args:
        genotype: the pyramid, its outputs those that the head reads.
        channels: of each backbone level.
        backbone: its cost, the same for every pyramid.
        head: the predictor.
        image_px: side of the square image.

    Raises:
        UserError: the backbone lacks a level that the pyramid takes, or the image is
            smaller than its largest stride.
    """
    check_fit(genotype, channels, image_px)
    pyramid = trace(genotype, channels, image_px)
    sizes = level_sizes(image_px)
    feats = {
        level: torch.empty(
            1, pyramid.rows[index].shape[0], *sizes(level), device="meta"
        )
        for level, index in genotype.outputs
    }
    return DetectorCost(
        backbone,
        PartCost(pyramid.macs, pyramid.params),
        part_cost(head, feats),
    )
