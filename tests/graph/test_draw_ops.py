"""Drawings of operations, against the published cells' tables and the genotypes."""

from collections import Counter
from collections.abc import Callable
from xml.etree import ElementTree

import pytest
from omegaconf import DictConfig

from fpnbench.cli.build import CONF, build_space, load_cell
from fpnbench.graph.blocks import first_copy
from fpnbench.graph.canonical import canonical
from fpnbench.graph.draw_ops import draw_ops_svg
from fpnbench.graph.genotype import Genotype, Node
from fpnbench.graph.ops import (
    Conv,
    Input,
    Resample,
    SepProject,
    StridedConv,
    Sum,
    WeightedSum,
)
from fpnbench.search.searcher import uniform_choices

Conf = Callable[..., DictConfig]
SVG = "{http://www.w3.org/2000/svg}"
CELLS = sorted(path.stem for path in (CONF / "cell").glob("*.json"))
# tensorflow/tpu nasfpn.py (facts 1.1): cell -> level, pooled, its two inputs, dangling.
NASFPN = {
    5: (4, True, (1, 3), ()),
    6: (4, False, (1, 5), ()),
    7: (3, False, (0, 6), ()),
    8: (4, False, (6, 7), ()),
    9: (5, True, (7, 8), (2,)),
    10: (7, True, (6, 9), (4,)),
    11: (6, True, (9, 10), ()),
}
# tensorflow/models (facts 2.1): block -> level, inputs, kernel, F.
MNASFPN = {
    4: (4, (1, 2), 3, 256),
    5: (3, (0, 4), 3, 128),
    6: (4, (5, 4), 3, 128),
    7: (5, (4, 3), 5, 128),
    8: (6, (4, 3), 3, 96),
}


def cell(conf: Conf, name: str, repeats: int = 1) -> Genotype:
    return canonical(load_cell(conf(f"cell_name={name}", f"repeats={repeats}")))


def drawn(genotype: Genotype) -> ElementTree.Element:
    return ElementTree.fromstring(draw_ops_svg(genotype))


def edges(root: ElementTree.Element) -> list[tuple[str, str]]:
    paths = [path for path in root.iter(SVG + "path") if path.get("data-from")]
    return [(path.get("data-from", ""), path.get("data-to", "")) for path in paths]


def signs(root: ElementTree.Element) -> dict[str, tuple[str, str]]:
    """Return block and words of every operation."""
    groups = [g for g in root.iter(SVG + "g") if g.get("class") == "op"]
    return {
        g.get("id", ""): (
            g.get("data-block", ""),
            " ".join(text.text or "" for text in g.iter(SVG + "text")),
        )
        for g in groups
    }


def by_block(root: ElementTree.Element) -> dict[str, Counter[str]]:
    found: dict[str, Counter[str]] = {}
    for block, words in signs(root).values():
        found.setdefault(block, Counter())[words] += 1
    return found


def test_nasfpn_has_the_operations_of_figure_6(conf):
    root = drawn(cell(conf, "nasfpn"))
    level = {index: index + 3 for index in range(5)}
    level |= {index: row[0] for index, row in NASFPN.items()}
    expected: dict[str, Counter[str]] = {}
    for index, (target, pooled, inputs, dangling) in NASFPN.items():
        ops = Counter(["R-C-B 3×3 →64", "GP" if pooled else "+"])
        ops["+"] += pooled and bool(dangling)
        for source in (*inputs, *dangling):
            # C3 and C4 are projected at every use (facts 0.4).
            ops["C-B 1×1 →64"] += source < 2
            up, by = target < level[source], 2 ** abs(target - level[source])
            if by > 1:
                ops[f"↑{by} nearest" if up else f"↓{by} max {by}×{by}"] += 1
        expected[f"0.{index - 5}"] = +ops
    found = by_block(root)
    assert {block: found[block] for block in expected} == expected
    stem = {"C5": Counter(["C5", "C-B 1×1 →64"])}
    stem |= {f"C{level}": Counter([f"C{level}"]) for level in (3, 4)}
    stem |= {f"C{level}": Counter(["↓2 max 2×2"]) for level in (6, 7)}
    assert {block: found[block] for block in stem} == stem
    assert found.keys() == expected.keys() | stem.keys()


def test_mnasfpn_pools_first_and_expands_first_as_its_blocks_do(conf):
    root = drawn(cell(conf, "mnasfpn"))
    level = {index: index + 3 for index in range(4)}
    level |= {index: row[0] for index, row in MNASFPN.items()}
    found = by_block(root)
    for index, (target, inputs, kernel, inner) in MNASFPN.items():
        ops = Counter({f"C-B 1×1 →{inner}": 2, "+": 1 + (index > 4)})  # residual
        ops[f"R6-S-B {kernel}×{kernel} →48"] = 1
        for source in inputs:
            by = 2 ** abs(target - level[source])
            if target != level[source]:
                up = target < level[source]
                ops[f"↑{by} nearest" if up else f"↓{by} max 3×3"] += 1
        assert found["0.0" if index == 4 else f"0.{index}"] == ops
    sign = signs(root)
    for source, target in edges(root):
        # What is pooled is expanded later, what is upsampled earlier (SDO).
        way = sign.get(target, ("", ""))[1][:1]
        if way in ("↓", "↑"):
            assert sign[source][1].startswith("C-B") == (way == "↑")
    # Block 6 reads block 5 before its residual, so two lines leave that block.
    five = {name for name, (block, _) in sign.items() if block == "0.5"}
    outward = {sign[s][1] for s, t in edges(root) if s in five and t not in five}
    assert outward == {"R6-S-B 3×3 →48", "+"}


def test_the_dot_marks_the_operand_of_the_higher_level(conf):
    """Facts 0.1: global pooling pools the operand whose level is higher."""
    root = drawn(cell(conf, "nasfpn"))
    paths = [p for p in root.iter(SVG + "path") if p.get("class") == "edge"]
    ends = {(p.get("data-from"), p.get("data-to")): p for p in paths}
    sign = signs(root)
    dotted = set()
    children = list(root.iter())
    for edge, path in ends.items():
        after = children[children.index(path) + 1]
        if after.tag == SVG + "circle":
            dotted.add(edge)
    pooled = [name for name, (_, words) in sign.items() if words == "GP"]
    assert {target for _, target in dotted} == set(pooled)
    chosen = {sign[target][0]: sign[source][1] for source, target in dotted}
    # Pooled are C6, P4, P5 and P7 of (C4, C6), (P3, P4), (#6, P5) and (P5, P7).
    assert chosen == {
        "0.0": "↑4 nearest",
        "0.4": "↓2 max 2×2",
        "0.5": "↓4 max 4×4",
        "0.6": "↑2 nearest",
    }


@pytest.mark.parametrize("name", CELLS)
def test_every_operation_and_every_edge_is_drawn_once(conf, name):
    check_complete(cell(conf, name, repeats=2))


@pytest.mark.parametrize("space", ["nasfpn", "mnasfpn", "connsearch"])
def test_random_networks_are_drawn_completely(conf, space):
    made = build_space(conf(f"space={space}"))
    for number in range(3):
        choices = uniform_choices(made.decisions, 5, number)
        check_complete(canonical(made.decode(choices)))


def check_complete(genotype: Genotype) -> None:
    root, copy = drawn(genotype), first_copy(genotype)
    expected = {
        (f"n{source}", f"n{index}")
        for index, node in enumerate(copy.nodes)
        for source in node.inputs
    }
    outputs = [(f"n{index}", f"1:P{level}") for level, index in copy.outputs]
    assert sorted(edges(root)) == sorted([*expected, *outputs])
    assert signs(root).keys() == {f"n{index}" for index in range(len(copy.nodes))}


@pytest.mark.parametrize("name", ["nasfpn", "mnasfpn", "panet"])
def test_of_three_repeats_the_first_is_drawn_and_that_is_said(conf, name):
    one, three = (drawn(cell(conf, name, repeats)) for repeats in (1, 3))
    assert by_block(one) == by_block(three)

    def named(root: ElementTree.Element) -> Counter[tuple[object, object]]:
        sign = signs(root)
        return Counter((sign[s], sign.get(t, t)) for s, t in edges(root))

    assert named(one) == named(three)
    subtitles = [list(root.iter(SVG + "text"))[1].text or "" for root in (one, three)]
    assert subtitles[1] == "the first of 3 repeats · " + subtitles[0]


def test_a_block_that_reads_a_feature_twice_has_an_edge_for_each():
    nodes = (
        Node(Input(4), ()),
        Node(Conv(8, 1, "none", False, norm=False), (0,), (0, 0)),
        Node(SepProject(8, False), (0,), (0, 0)),
        Node(WeightedSum(), (1, 2), (0, 0)),
        Node(StridedConv(4, 6, 8, 5, "relu", True, separable=True), (3,), (0, 1)),
        Node(Resample(4, 6, 1), (3,), (0, 1)),
        Node(Sum(), (4, 5), (0, 1)),
    )
    genotype = Genotype(nodes, ((6, 6),))
    check_complete(genotype)
    assert by_block(drawn(genotype)) == {
        "C4": Counter(["C4"]),
        "0.0": Counter(["C 1×1 →8", "S-B 1×1 →8", "w+"]),
        "0.1": Counter(["R-S-B 5×5 ↓4 →8", "↓4 subsample", "+"]),
    }
