"""MnasFPN's neck against the reference, published cell and others."""

from collections.abc import Callable
from functools import partial
from types import ModuleType
from typing import Any

import pytest
import torch
from torch import nn

from fpnbench.detect.pyramid import FeaturePyramid
from fpnbench.graph.canonical import key

Fixture = Callable[..., Any]
BACKBONE = {3: 32, 4: 96, 5: 320}  # MobileNetV2's
FEW = {3: 5, 4: 7, 5: 9}
PAPER = {"intermediates": 1, "widths": [48]}
SMALL = {"intermediates": 3, "widths": [6], "expansions": [16, 32]}


def test_the_cell_of_conf_is_the_papers(
    make_cell: Fixture, decode: Fixture, reference: ModuleType
) -> None:
    assert key(make_cell("mnasfpn")) == key(
        decode(reference.MNAS_FPN, "mnasfpn", **PAPER)
    )


@pytest.fixture
def neck(reference: ModuleType) -> Fixture:
    """The reference on a table of cells."""
    return lambda cells, **changed: partial(
        reference.mnas_fpn, cells=cells, **{"top": 6, "repeats": 1} | changed
    )


@pytest.mark.parametrize("repeats", [1, 3])
def test_published(
    repeats: int, agree: Fixture, neck: Fixture, decode: Fixture, reference: ModuleType
) -> None:
    genotype = decode(reference.MNAS_FPN, "mnasfpn", repeats, **PAPER)
    agree(genotype, BACKBONE, neck(reference.MNAS_FPN, repeats=repeats))


@pytest.mark.parametrize("swapped", [False, True], ids=["first", "swapped"])
def test_attention_at_equal_levels(
    swapped: bool, agree: Fixture, neck: Fixture, decode: Fixture, draw: Fixture
) -> None:
    """Features 1 and 4 are both P4: the first input attends."""
    cells = draw(0, range(3, 7), 3, "se")
    pair = (4, 1) if swapped else (1, 4)
    cells[0] = cells[0]._replace(level=4)
    cells[3] = cells[3]._replace(first=pair[0], second=pair[1], op="se")
    agree(decode(cells, "mnasfpn", **SMALL), FEW, neck(cells))


@pytest.mark.parametrize("seed", range(6))
def test_any_cell(
    seed: int, agree: Fixture, neck: Fixture, decode: Fixture, draw: Fixture
) -> None:
    cells = draw(seed, range(3, 7), 3, "se")
    agree(decode(cells, "mnasfpn", 2, **SMALL), FEW, neck(cells, repeats=2))


def test_maps_of_the_output_s_width_are_added_to_it(
    agree: Fixture, neck: Fixture, decode: Fixture, draw: Fixture
) -> None:
    cells = draw(1, range(3, 7), 3, "se")
    agree(decode(cells, "mnasfpn", **SMALL), {3: 6, 4: 7, 5: 6}, neck(cells))


@pytest.mark.parametrize("repeats", [1, 3])
def test_published_without_size_dependent_ordering(
    repeats: int, agree: Fixture, neck: Fixture, decode: Fixture, reference: ModuleType
) -> None:
    genotype = decode(reference.MNAS_FPN, "mnasfpn", repeats, sdo=False, **PAPER)
    agree(genotype, BACKBONE, neck(reference.MNAS_FPN, repeats=repeats, sdo=False))


@pytest.mark.parametrize("seed", range(2))
def test_any_cell_without_size_dependent_ordering(
    seed: int, agree: Fixture, neck: Fixture, decode: Fixture, draw: Fixture
) -> None:
    cells = draw(seed, range(3, 7), 3, "se")
    genotype = decode(cells, "mnasfpn", 2, sdo=False, **SMALL)
    agree(genotype, FEW, neck(cells, repeats=2, sdo=False))


@pytest.mark.parametrize("repeats", [1, 3])
def test_the_first_repeat_adds_its_input_at_c6_alone(
    repeats: int, decode: Fixture, reference: ModuleType
) -> None:
    """Convolutions that give ones: each repeat that adds its input counts one more."""
    pyramid = FeaturePyramid(
        decode(reference.MNAS_FPN, "mnasfpn", repeats, **PAPER), BACKBONE
    )
    for module in pyramid.modules():
        if isinstance(module, nn.BatchNorm2d) and module.num_features == 48:
            nn.init.zeros_(module.weight)
            nn.init.ones_(module.bias)
    maps = {3: torch.randn(2, 32, 8, 8), 4: torch.randn(2, 96, 4, 4)}
    outputs = pyramid(maps | {5: torch.randn(2, 320, 2, 2)})
    counts = {level: set(x.flatten().tolist()) for level, x in outputs.items()}
    assert counts == {3: {repeats}, 4: {repeats}, 5: {repeats}, 6: {repeats + 1}}
