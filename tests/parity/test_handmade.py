"""BiFPN and FPN against the reference, FPN against torchvision's, too."""

from collections.abc import Callable
from functools import partial
from types import ModuleType
from typing import Any

import pytest
import torch
from torch import nn
from torchvision.ops import FeaturePyramidNetwork
from torchvision.ops.feature_pyramid_network import LastLevelMaxPool

from fpnbench.detect.pyramid import FeaturePyramid
from fpnbench.graph.canonical import canonical, key

Fixture = Callable[..., Any]
CHANNELS, WIDTH = {3: 5, 4: 7, 5: 9}, 6


@pytest.mark.parametrize("name", ["bifpn", "bifpn_weighted", "fpn"])
def test_the_cell_of_conf_is_the_one_compared(
    name: str, make_cell: Fixture, decode: Fixture
) -> None:
    assert key(make_cell(name)) == key(decode([], "handcrafted", pyramids=[name]))


@pytest.mark.parametrize("repeats", [1, 3])
@pytest.mark.parametrize("learned", [False, True], ids=["plain", "weighted"])
def test_bifpn(
    repeats: int, learned: bool, agree: Fixture, decode: Fixture, reference: ModuleType
) -> None:
    name = "bifpn_weighted" if learned else "bifpn"
    genotype = decode([], "handcrafted", repeats, WIDTH, pyramids=[name])
    arguments = {"width": WIDTH, "top": 7, "repeats": repeats, "learned": learned}
    agree(genotype, CHANNELS, partial(reference.bi_fpn, **arguments))


@pytest.mark.parametrize("repeats", [1, 3])
def test_fpn(
    repeats: int, agree: Fixture, decode: Fixture, reference: ModuleType
) -> None:
    genotype = decode([], "handcrafted", repeats, WIDTH, pyramids=["fpn"])
    agree(genotype, CHANNELS, partial(reference.fpn, top=7, repeats=repeats))


def test_fpn_is_torchvision_s(
    size: tuple[int, int],
    decode: Fixture,
    compare: Fixture,
    make_maps: Fixture,
    reference: ModuleType,
) -> None:
    """The FPN paper's own levels, P2 to P6; our batch norms are made to do nothing."""
    channels = {2: 4, 3: 5, 4: 7, 5: 9}
    levels = {"levels": [2, 3, 4, 5, 6], "backbone_levels": [2, 3, 4, 5]}
    changed = {"pyramids": ["fpn"], "coarse": "subsample"} | levels
    genotype = canonical(decode([], "handcrafted", 1, WIDTH, **changed))
    with torch.random.fork_rng():
        torch.manual_seed(0)
        maps = make_maps(channels, size)
        ours = FeaturePyramid(genotype, channels).double().eval()
        theirs = FeaturePyramidNetwork([4, 5, 7, 9], WIDTH, LastLevelMaxPool())
        for module in ours.modules():
            if isinstance(module, nn.BatchNorm2d):
                module.running_var.fill_(1 - module.eps)
            elif isinstance(module, nn.Conv2d):
                nn.init.normal_(module.bias)
    copies = reference.Weights(ours)
    twins = {id(c): p for c, p in zip(copies.copies, ours.parameters(), strict=True)}
    pairs = []
    for number, level in enumerate(sorted(channels, reverse=True)):
        for blocks, read in (
            (theirs.inner_blocks, (-1, level)),
            (theirs.layer_blocks, None),
        ):
            conv = blocks[level - 2][0]
            for name in ("weight", "bias"):
                copy = copies.take(((0, number), read))
                setattr(conv, name, nn.Parameter(copy.detach()))
                pairs.append((getattr(conv, name), twins[id(copy)]))
    outputs = theirs({str(level): x for level, x in maps.items()})
    expected = dict(zip([2, 3, 4, 5, 6], outputs.values(), strict=True))
    weights, parameters = zip(*pairs, strict=True)
    compare(maps, expected, weights, ours, parameters)
