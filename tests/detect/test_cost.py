"""Counted costs against torch's own counter, on whole detectors that are really run."""

from collections.abc import Callable

import pytest
import torch
from omegaconf import DictConfig
from torch import nn
from torch.utils.flop_counter import FlopCounterMode
from torchvision.models import resnet50

from fpnbench.cli.build import build, load_cell
from fpnbench.detect.cost import backbone_cost, detector_cost, moving_statistics
from fpnbench.detect.detector import Detector
from fpnbench.detect.pyramid import FeaturePyramid
from fpnbench.graph.canonical import canonical

PX = 128
DETECTORS = {
    "retinanet on plain convolutions": (
        ["backbone=resnet10", "detector=retinanet", "repeats=2"],
        ("nasfpn", {}),
    ),
    "one separable tower": (
        ["backbone=mobilenetv2", "detector=mnasfpn", "repeats=2"],
        ("mnasfpn", {"sdo": False}),
    ),
    "branches on levels of their own width": (
        ["backbone=mobilenetv2_ssd", "detector=ssdlite"],
        ("ssd", {"levels": [4, 5, 6], "backbone_levels": [4, 5], "extras": [48]}),
    ),
}


@pytest.mark.parametrize("name", DETECTORS)
def test_macs_are_half_of_what_torch_counts_and_a_step_is_learnt_from(
    name: str, conf: Callable[..., DictConfig]
) -> None:
    overrides, (cell, cell_args) = DETECTORS[name]
    cfg = conf(*overrides)
    cfg.cell = cell
    genotype = canonical(load_cell(cfg, cell_args).restrict(cfg.detector.levels))
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        backbone = build(cfg.backbone)()
        pyramid = FeaturePyramid(genotype, backbone.channels)
        head = build(cfg.detector)(
            in_channels=pyramid.out_channels,
            num_classes=3,
            levels=genotype.levels,
            image_px=PX,
        )
        images = torch.rand(2, 3, PX, PX)
    detector = Detector(backbone, pyramid, head)
    whole = backbone_cost(backbone, PX)
    cost = detector_cost(genotype, backbone.channels, whole, head, PX)
    with FlopCounterMode(display=False) as counter:
        predictions = detector({0: images})
    assert counter.get_total_flops() == 2 * 2 * cost.macs  # two images
    assert sum(p.numel() for p in detector.parameters()) == cost.params
    assert predictions.logits_BAK.shape == (2, sum(head.sizes), 3)
    (predictions.logits_BAK.sum() + predictions.deltas_BA4.sum()).backward()
    assert all(p.grad is not None for p in detector.parameters())


def test_moving_statistics_are_a_mean_and_a_variance_for_each_normed_channel() -> None:
    with torch.device("meta"):
        network = resnet50()
    norms = [each for each in network.modules() if isinstance(each, nn.BatchNorm2d)]
    assert moving_statistics(network, network) == 4 * sum(n.num_features for n in norms)
