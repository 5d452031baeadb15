"""NAS-FPN's neck against the reference, published cell and others."""

from collections.abc import Callable
from functools import partial
from types import ModuleType
from typing import Any

import pytest

from fpnbench.graph.canonical import key

Fixture = Callable[..., Any]
CHANNELS, WIDTH = {3: 5, 4: 7, 5: 9}, 6


@pytest.mark.parametrize("name", ["nasfpn", "nasfpnlite_s"])
def test_the_cell_of_conf_is_the_papers(
    name: str, make_cell: Fixture, decode: Fixture, reference: ModuleType
) -> None:
    tables = {"nasfpn": reference.NAS_FPN, "nasfpnlite_s": reference.NAS_FPN_LITE_S}
    assert key(make_cell(name)) == key(decode(tables[name], name))


@pytest.fixture
def neck(reference: ModuleType) -> Fixture:
    """The reference on a table of cells; keywords replace the usual arguments."""

    def make(cells: list[Any], **changed: Any) -> Fixture:
        usual = {"width": WIDTH, "top": 7, "repeats": 1}
        return partial(reference.nas_fpn, cells=cells, **usual | changed)

    return make


@pytest.mark.parametrize("repeats", [1, 3])
def test_published(
    repeats: int, agree: Fixture, neck: Fixture, decode: Fixture, reference: ModuleType
) -> None:
    genotype = decode(reference.NAS_FPN, "nasfpn", repeats, WIDTH)
    agree(genotype, CHANNELS, neck(reference.NAS_FPN, repeats=repeats))


@pytest.mark.parametrize("swapped", [False, True], ids=["first", "swapped"])
def test_global_pooling_at_equal_levels(
    swapped: bool, agree: Fixture, neck: Fixture, decode: Fixture, reference: ModuleType
) -> None:
    """Feature 5 is P4 as its partner 1 is: the first input attends."""
    first, second = (5, 1) if swapped else (1, 5)
    cells = list(reference.NAS_FPN)
    cells[1] = cells[1]._replace(first=first, second=second, op="gp")
    agree(decode(cells, "nasfpn", 1, WIDTH), CHANNELS, neck(cells))


def test_what_nothing_reads_is_summed_into_the_output_of_its_level(
    agree: Fixture, neck: Fixture, decode: Fixture, reference: ModuleType
) -> None:
    """Cells that read P3 and P4 alone leave the other inputs and both intermediates."""
    cells = [
        reference.Cell(level, 0, 1, "sum", output)
        for level, output in [
            (5, False),
            (5, False),
            *((n, True) for n in range(7, 2, -1)),
        ]
    ]
    agree(decode(cells, "nasfpn", 1, WIDTH), CHANNELS, neck(cells))


@pytest.mark.parametrize("seed", range(6))
def test_any_cell(
    seed: int, agree: Fixture, neck: Fixture, decode: Fixture, draw: Fixture
) -> None:
    cells = draw(seed, range(3, 8), 2, "gp")
    genotype = decode(cells, "nasfpn", 2, WIDTH)
    agree(genotype, CHANNELS, neck(cells, repeats=2))


def test_projected_once(
    agree: Fixture, neck: Fixture, decode: Fixture, reference: ModuleType
) -> None:
    genotype = decode(reference.NAS_FPN, "nasfpn", 1, WIDTH, projection="once")
    agree(genotype, CHANNELS, neck(reference.NAS_FPN, once=True))


def test_maps_that_have_the_width_are_not_projected(
    agree: Fixture, neck: Fixture, decode: Fixture, reference: ModuleType
) -> None:
    genotype = decode(reference.NAS_FPN, "nasfpn", 1, WIDTH)
    agree(genotype, {3: 5, 4: WIDTH, 5: WIDTH}, neck(reference.NAS_FPN))


def test_fewer_levels(
    agree: Fixture, neck: Fixture, decode: Fixture, draw: Fixture
) -> None:
    cells = draw(7, range(3, 7), 3, "gp")
    changed = {
        "levels": [3, 4, 5, 6],
        "intermediates": 3,
        "intermediate_levels": [4, 5, 6],
    }
    genotype = decode(cells, "nasfpn", 1, WIDTH, **changed)
    agree(genotype, CHANNELS, neck(cells, top=6))


@pytest.mark.parametrize("repeats", [1, 3])
def test_nas_fpn_lite_s(
    repeats: int, agree: Fixture, decode: Fixture, reference: ModuleType
) -> None:
    """Separable convolutions, and the residual of MnasFPN's cells."""

    def run(weights: Any, maps: Any) -> Any:
        weights.separable = True
        cells = reference.NAS_FPN_LITE_S
        arguments = {"width": WIDTH, "top": 6, "repeats": repeats, "residual": True}
        return reference.nas_fpn(weights, maps, cells, **arguments)

    genotype = decode(reference.NAS_FPN_LITE_S, "nasfpnlite_s", repeats, WIDTH)
    agree(genotype, CHANNELS, run)
