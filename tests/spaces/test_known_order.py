"""The suite of fifteen pyramids whose order is published: cells at these repeats.

That every cell is what its paper says stands in test_handcrafted.py.
"""

from collections.abc import Callable

import pytest

from fpnbench.cli.build import build
from fpnbench.detect.cost import PartCost, detector_cost
from fpnbench.graph.canonical import canonical, key
from fpnbench.graph.genotype import Genotype
from fpnbench.graph.ops import Conv, SepConv, StridedConv, Sum
from fpnbench.graph.trace import trace

CHANNELS = {3: 40, 4: 112, 5: 320}
RESNET50 = {3: 512, 4: 1024, 5: 2048}


@pytest.fixture
def orders(conf):
    return conf("mode=check").orders


@pytest.fixture(scope="module")
def made() -> dict[str, Genotype]:
    return {}


@pytest.fixture
def suite(orders, make_cell, made) -> Callable[[str], Genotype]:
    """A pyramid of the suite, as it enters the comparison; each is made once."""

    def get(name: str) -> Genotype:
        if name not in made:
            made[name] = make_cell(name, repeats=orders.suite[name])
        return made[name]

    return get


def cells(genotype: Genotype) -> int:
    kinds = Conv | SepConv | StridedConv
    convs = [node.op for node in genotype.nodes if isinstance(node.op, kinds)]
    return sum(op == Conv(64, 3, "relu", bias=True) for op in convs if op.kernel == 3)


@pytest.mark.parametrize(
    ("name", "convs"),
    [
        ("fpn_stacked", 25),
        ("fully_connected", 25),
        ("panet", 24),
        ("bifpn", 24),
        ("bifpn_weighted", 24),
        ("nasfpn", 21),
    ],
)
def test_repeated_pyramids_have_matched_numbers_of_merging_cells(
    name, convs, suite
) -> None:
    """So that size does not stand in for order."""
    assert cells(suite(name)) == convs


def test_the_others_have_a_merging_cell_for_each_of_their_outputs(suite) -> None:
    assert [cells(suite(name)) for name in ("no_fusion", "fpn_merging")] == [5, 5]
    assert [cells(suite(f"{name}_merging")) for name in ("simo", "miso", "siso")] == [
        *(5, 3, 1)
    ]


def test_all_but_two_put_out_five_levels_of_one_width(orders, suite) -> None:
    for name in orders.suite:
        genotype = suite(name)
        rows = trace(genotype, CHANNELS, 256).rows
        assert {rows[index].shape[0] for _, index in genotype.outputs} == {64}
        single = name in orders.single_level
        assert genotype.levels == ((5,) if single else (3, 4, 5, 6, 7))


def test_the_fifteen_are_fifteen_networks_of_plain_convolutions(orders, suite) -> None:
    assert len({key(suite(name)) for name in orders.suite}) == len(orders.suite) == 15
    for name in orders.suite:
        kinds = {type(node.op) for node in suite(name).nodes}
        assert not kinds & {SepConv, StridedConv}


def test_a_further_copy_of_the_stacked_fpn_has_five_laterals(make_cell) -> None:
    """Facts 1.3: five 1x1 and five 3x3 of 256 channels at 640 px are 5.59 GMAC."""
    one, two, five = (make_cell("fpn_stacked", repeats=n, width=256) for n in (1, 2, 5))
    macs = [trace(form, RESNET50, 640).macs for form in (one, two, five)]
    assert (macs[1] - macs[0]) / 1e9 == pytest.approx(5.59, abs=0.005)
    assert macs[2] - macs[1] == 3 * (macs[1] - macs[0])
    assert key(one) == key(make_cell("fpn_vanilla", width=256))
    ones = Conv(256, 1, "none", bias=True)
    assert sum(node.op == ones for node in five.nodes) == 4 * 5


@pytest.mark.parametrize("letter", "bcde")
def test_networks_of_the_search_have_seven_cells_and_sums_alone(letter, suite) -> None:
    """NAS-FPN Fig. 7: two intermediate and five output cells, two to four arrows."""
    nodes = suite(f"nasfpn_fig7{letter}").nodes
    assert sum(isinstance(node.op, Conv) for node in nodes) == 3 * 7
    arrows = [len(node.inputs) for node in nodes if isinstance(node.op, Sum)]
    assert len(arrows) == 3 * 7
    assert set(arrows) <= {2, 3, 4}


def test_the_suite_has_the_plan_s_pairs(orders) -> None:
    """Known order, section (iv): nine of B, six of A, two of C, six of D and E."""
    counts = {name: len(family.pairs) for name, family in orders.families.items()}
    assert counts == {"B": 9, "A": 6, "C": 2, "D+E": 6}
    soft = [
        pair for family in orders.families.values() for pair in family.get("soft", ())
    ]
    assert len(soft) == 5
    # By its numbers: 1 SiSo .. 15 NAS-FPN Fig. 7 (e).
    names = [*orders.suite]
    names = names[:11] + [f"nasfpn_fig7{letter}" for letter in "bcde"]
    plan = {
        "A": "10>6 10>7 10>11 8>6 8>7 9>6",
        "B": "11>12 11>13 11>14 15>12 15>13 15>14 14>12 14>13 13>12",
        "C": "11>5 11>6",
        "D+E": "5>1 5>4 5>3 3>1 5>2 3>2",
    }
    for name, family in orders.families.items():
        told = [tuple(pair.split(">")) for pair in plan[name].split()]
        expected = {f"{names[int(a) - 1]} > {names[int(b) - 1]}" for a, b in told}
        assert set(family.pairs) == expected


@pytest.mark.parametrize("levels", [(3, 4, 5, 6, 7), (3, 4, 5, 6)])
def test_cost_alone_orders_as_many_pairs_as_the_plan_says(
    levels, conf, orders, suite
) -> None:
    """Section (iv): 14 of 23 and 2 ties; 8 of 9 in B, 0 of 6 in A, 1 of 2 in C.

    It says "neck MACs"; with those alone it would be 13: simo > miso is won in the
    head, which reads one level of the latter.
    """
    ranges = [16, 32, 64, 128][: len(levels) - 1]
    changed = (f"detector.levels={list(levels)}", f"data.ranges={ranges}")
    make_head = build(conf(*changed).detector)

    def macs(name: str) -> int:
        form = canonical(suite(name).restrict(levels))
        widths = dict.fromkeys(form.levels, 64)
        head = make_head(
            in_channels=widths, num_classes=7, levels=form.levels, image_px=256
        )
        return detector_cost(form, CHANNELS, PartCost(0, 0), head, 256).macs

    cost = {name: macs(name) for name in orders.suite}
    alike, tied = {}, []
    for name, family in orders.families.items():
        split = [tuple(pair.split(" > ")) for pair in family.pairs]
        alike[name] = sum(cost[better] > cost[worse] for better, worse in split)
        tied += [(a, b) for a, b in split if cost[a] == cost[b]]
    assert alike == {"A": 0, "B": 8, "C": 1, "D+E": 5}
    assert tied == [("nasfpn_fig7c", "nasfpn_fig7b"), ("fpn_merging", "no_fusion")]
