"""The suite of fifteen pyramids whose order is published: cells at these repeats."""

from collections.abc import Callable

import pytest

from fpnbench.graph.canonical import key
from fpnbench.graph.genotype import Genotype
from fpnbench.graph.ops import Conv, SepConv, StridedConv, Sum
from fpnbench.graph.trace import trace

SUITE = {
    "siso": 1,
    "miso": 1,
    "simo": 1,
    "no_fusion": 1,
    "fpn": 1,
    "fpn_vanilla": 5,
    "fully_connected": 5,
    "panet": 3,
    "bifpn": 3,
    "bifpn_weighted": 3,
    "nasfpn": 3,
    "nasfpn_fig7b": 3,
    "nasfpn_fig7c": 3,
    "nasfpn_fig7d": 3,
    "nasfpn_fig7e": 3,
}
CHANNELS = {3: 40, 4: 112, 5: 320}


@pytest.fixture(scope="module")
def made() -> dict[str, Genotype]:
    return {}


@pytest.fixture
def suite(make_cell, made) -> Callable[[str], Genotype]:
    """A pyramid of the suite, as it enters the comparison; each is made once."""

    def get(name: str) -> Genotype:
        if name not in made:
            made[name] = make_cell(name, repeats=SUITE[name])
        return made[name]

    return get


@pytest.mark.parametrize(
    ("name", "convs"),
    [
        ("fpn_vanilla", 25),
        ("fully_connected", 25),
        ("panet", 24),
        ("bifpn", 24),
        ("bifpn_weighted", 24),
        ("nasfpn", 21),
    ],
)
def test_repeated_pyramids_have_matched_numbers_of_convolutions(
    name, convs, suite
) -> None:
    """So that size does not stand in for order."""
    kinds = Conv | SepConv | StridedConv
    assert sum(isinstance(node.op, kinds) for node in suite(name).nodes) == convs


def test_all_but_two_put_out_five_levels_of_one_width(suite) -> None:
    for name in SUITE:
        genotype = suite(name)
        rows = trace(genotype, CHANNELS, 256).rows
        assert {rows[index].shape[0] for _, index in genotype.outputs} == {64}
        single = name in ("siso", "miso")
        assert genotype.levels == ((5,) if single else (3, 4, 5, 6, 7))


def test_the_fifteen_are_fifteen_networks(suite) -> None:
    assert len({key(suite(name)) for name in SUITE}) == len(SUITE) == 15


@pytest.mark.parametrize("letter", "bcde")
def test_networks_of_the_search_have_seven_cells_and_sums_alone(letter, suite) -> None:
    """NAS-FPN Fig. 7: two intermediate and five output cells, two to four arrows."""
    nodes = suite(f"nasfpn_fig7{letter}").nodes
    assert sum(isinstance(node.op, Conv) for node in nodes) == 3 * 7
    arrows = [len(node.inputs) for node in nodes if isinstance(node.op, Sum)]
    assert len(arrows) == 3 * 7
    assert set(arrows) <= {2, 3, 4}


@pytest.mark.parametrize(
    ("pairs", "alike"),
    [
        # better > worse, as NAS-FPN's proxy task orders them (Fig. 7)
        (
            "nasfpn>b nasfpn>c nasfpn>d e>b e>c e>d d>b d>c c>b",
            8,
        ),
        # EfficientDet Table 5
        (
            "bifpn_weighted>fpn_vanilla bifpn_weighted>fully_connected "
            "bifpn_weighted>nasfpn panet>fpn_vanilla panet>fully_connected "
            "bifpn>fpn_vanilla",
            0,
        ),
        # NAS-FPN Fig. 8
        ("nasfpn>fpn nasfpn>fpn_vanilla", 1),
    ],
    ids="BAC",
)
def test_cost_alone_orders_as_many_pairs_as_the_suite_says(pairs, alike, suite) -> None:
    """Known order, section (iv): 8 of 9, 0 of 6 and 1 of 2, the baseline to beat."""

    def macs(name: str) -> int:
        name = f"nasfpn_fig7{name}" if len(name) == 1 else name
        return trace(suite(name), CHANNELS, 256).macs

    split = [pair.split(">") for pair in pairs.split()]
    assert sum(macs(better) > macs(worse) for better, worse in split) == alike
