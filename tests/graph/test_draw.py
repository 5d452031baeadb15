"""Drawings, against the published cells and against geometry."""

import re
from collections.abc import Callable
from xml.etree import ElementTree

from omegaconf import DictConfig

from fpnbench.cli.build import build_space, load_cell
from fpnbench.graph.blocks import Link, block_graph
from fpnbench.graph.canonical import canonical
from fpnbench.graph.draw import draw_svg
from fpnbench.graph.genotype import Genotype, Node
from fpnbench.graph.layout import ROW
from fpnbench.graph.ops import (
    Conv,
    GlobalPool,
    Input,
    Resample,
    StridedConv,
    Sum,
    WeightedSum,
)
from fpnbench.search.searcher import uniform_choices

Conf = Callable[..., DictConfig]
SVG = "{http://www.w3.org/2000/svg}"
# NAS-FPN Fig. 7f, as in tensorflow/tpu's nasfpn.py: cell -> (level, what it reads);
# features 0..4 are C3..C7. C5 and C7 dangle: they enter the outputs of their levels.
NASFPN = {
    5: (4, {1, 3}),
    6: (4, {1, 5}),
    7: (3, {0, 6}),
    8: (4, {6, 7}),
    9: (5, {7, 8, 2}),
    10: (7, {6, 9, 4}),
    11: (6, {9, 10}),
}
NASFPN_POOLED = {5, 9, 10, 11}
# MnasFPN Fig. 2, as in tensorflow/models: features 0..3 are C3..C6.
MNASFPN = {4: {1, 2}, 5: {0, 4}, 6: {5, 4}, 7: {4, 3}, 8: {4, 3}}


def cell(conf: Conf, name: str, repeats: int = 1) -> Genotype:
    return canonical(load_cell(conf(f"cell_name={name}", f"repeats={repeats}")))


def drawn(genotype: Genotype, title: str = "") -> ElementTree.Element:
    return ElementTree.fromstring(draw_svg(genotype, title))


def lines(root: ElementTree.Element) -> list[ElementTree.Element]:
    return [path for path in root.iter(SVG + "path") if path.get("class") == "line"]


def ends(root: ElementTree.Element) -> list[tuple[str | None, str | None]]:
    return [(line.get("data-from"), line.get("data-to")) for line in lines(root)]


def places(root: ElementTree.Element) -> dict[str, tuple[float, float]]:
    spots = [g for g in root.iter(SVG + "g") if g.get("class") == "spot"]
    numbers = {
        g.get("id", ""): re.findall(r"[-\d.]+", g.get("transform", "")) for g in spots
    }
    assert len(numbers) == len(spots)
    return {name: (float(x), float(y)) for name, (x, y) in numbers.items()}


def test_nasfpn_is_figure_7f(conf):
    root = drawn(cell(conf, "nasfpn"))
    name = {index: f"C{index + 3}" for index in range(5)}
    name |= {index: f"0.{index - 5}" for index in NASFPN}
    outputs = {
        f"P{level}": name[index] for index, (level, _) in NASFPN.items() if index > 6
    }
    expected = {(name[s], name[i]) for i, (_, reads) in NASFPN.items() for s in reads}
    expected |= {(block, f"1:{level}") for level, block in outputs.items()}
    assert sorted(ends(root)) == sorted(expected)
    where = places(root)
    assert {spot for spot in where if ":" not in spot} == set(name.values())
    rows = {name[index]: level for index, (level, _) in NASFPN.items()}
    rows |= {f"C{level}": level for level in range(3, 8)}
    assert {spot: 7 - where[spot][1] / ROW for spot in rows} == rows
    stems = [p for p in root.iter(SVG + "path") if p.get("class") == "stem"]
    assert [(p.get("data-from"), p.get("data-to")) for p in stems] == [
        ("C5", "C6"),
        ("C6", "C7"),
    ]


def test_blocks_name_how_they_merge(conf):
    blocks = {block.key[1]: block for block in block_graph(cell(conf, "nasfpn")).blocks}
    for index, (_, reads) in NASFPN.items():
        pooled, dangling = index in NASFPN_POOLED, len(reads) > 2
        expected = {(0, 0): "+", (1, 0): "GP", (1, 1): "GP+"}[pooled, dangling]
        assert blocks[index - 5].merge == expected
        assert blocks[index - 5].detail == "3×3"


def test_mnasfpn_is_figure_2(conf):
    graph = block_graph(cell(conf, "mnasfpn"))
    root = drawn(cell(conf, "mnasfpn"))
    # Intermediate blocks 1..4 of the space are unused: absent from the canonical form.
    name = {index: f"C{index + 3}" for index in range(4)} | {4: "0.0"}
    name |= {index: f"0.{index}" for index in range(5, 9)}
    reads = {(name[s], name[i]) for i, sources in MNASFPN.items() for s in sources}
    # Residuals of P3 and P6 join lines that are there already.
    residuals = {("C4", "0.6"), ("C5", "0.7")}
    outputs = {(f"0.{index}", f"1:P{index - 2}") for index in range(5, 9)}
    assert sorted(ends(root)) == sorted(reads | residuals | outputs)
    rows = {name[4]: 4} | {name[index]: index - 2 for index in range(5, 9)}
    where = places(root)
    assert {spot: 6 - where[spot][1] / ROW for spot in rows} == rows
    assert {spot for spot in where if ":" not in spot} == set(name.values())
    detail = {f"0.{block.key[1]}": block.detail for block in graph.blocks}
    shown = [detail[name[index]] for index in MNASFPN]
    assert shown == ["F256 3×3", "F128 3×3", "F128 3×3", "F128 5×5", "F96 3×3"]


def test_vanilla_fpn_is_figure_7a(conf):
    root = drawn(cell(conf, "fpn_vanilla"))
    # Output cells of P7, P6, ..., P3, each of its own input and the next coarser
    # output (facts 1.3).
    expected = {(f"C{7 - index}", f"0.{index}") for index in range(5)}
    expected |= {(f"0.{index}", f"0.{index + 1}") for index in range(4)}
    expected |= {(f"0.{index}", f"1:P{7 - index}") for index in range(5)}
    assert sorted(ends(root)) == sorted(expected)
    where = places(root)
    assert [7 - where[f"0.{index}"][1] / ROW for index in range(5)] == [7, 6, 5, 4, 3]


def test_residuals_are_dashed(conf):
    root = drawn(cell(conf, "mnasfpn"))
    dashed = [
        (line.get("data-from"), line.get("data-to"))
        for line in lines(root)
        if line.get("stroke-dasharray")
    ]
    assert sorted(dashed) == [("C4", "0.6"), ("C5", "0.7")]


def test_repeats_stand_one_after_another_and_look_alike(conf):
    root = drawn(cell(conf, "mnasfpn", repeats=3))
    where, found = places(root), ends(root)
    shift = where["1.0"][0] - where["0.0"][0]
    for index in (0, 5, 6, 7, 8):
        x, y = where[f"0.{index}"]
        assert where[f"1.{index}"] == (x + shift, y)
        assert where[f"2.{index}"] == (x + 2 * shift, y)
    # Nothing passes from one repeat to the next but through a gate.
    for repeat in (1, 2):
        inside = [(a, b) for a, b in found if b and b.startswith(f"{repeat}.")]
        assert inside
        assert all(a and a.startswith((f"{repeat}.", f"{repeat}:")) for a, _ in inside)
        gates = {f"{repeat}:P{level}" for level in (3, 4, 5, 6)}
        assert {b for a, b in found if b and b.startswith(f"{repeat}:")} == gates


def test_outputs_alone_have_a_ring(conf):
    root = drawn(cell(conf, "nasfpn", repeats=2))
    ringed = {
        g.get("id")
        for g in root.iter(SVG + "g")
        if g.get("class") == "spot"
        and g.find(SVG + "circle[@class='output']") is not None
    }
    assert ringed == {f"1.{index}" for index in range(2, 7)}


def test_no_two_blocks_share_a_place(conf):
    made = build_space(conf("space=connsearch", "repeats=2"))
    for number in range(3):
        choices = uniform_choices(made.decisions, 3, number)
        where = places(drawn(canonical(made.decode(choices))))
        assert len(set(where.values())) == len(where)


def test_reading_a_feature_twice_is_one_line():
    nodes = (
        Node(Input(3), ()),
        Node(Input(4), ()),
        Node(Resample(4, 3), (1,), (0, 0)),
        Node(GlobalPool(), (2, 0), (0, 0)),
        Node(Sum(), (3, 0, 2), (0, 0)),
        Node(Conv(8, 3, "relu", True), (4,), (0, 0)),
    )
    graph = block_graph(Genotype(nodes, ((3, 5),)))
    assert graph.links == (Link((-1, 3), (0, 0)), Link((-1, 4), (0, 0)))


def bifpn_like() -> Genotype:
    """Level 4 by a strided convolution, then a weighted sum and a convolution."""
    nodes = (
        Node(Input(3), ()),
        Node(StridedConv(3, 4, 8, 3, "none", True), (0,), (0, 0)),
        Node(Resample(4, 3), (1,), (0, 1)),
        Node(WeightedSum(), (0, 2), (0, 1)),
        Node(Conv(8, 3, "none", True, norm=False), (3,), (0, 1)),
    )
    return Genotype(nodes, ((3, 4),))


def test_weighted_sums_and_strides_have_signs_of_their_own():
    blocks = {block.key: block for block in block_graph(bifpn_like()).blocks}
    assert (blocks[0, 0].merge, blocks[0, 0].detail) == ("", "3×3 ↓2")
    assert (blocks[0, 1].merge, blocks[0, 1].detail) == ("w+", "3×3")
    root = drawn(bifpn_like())
    assert sorted(ends(root)) == [
        ("0.0", "0.1"),
        ("0.1", "1:P3"),
        ("C3", "0.0"),
        ("C3", "0.1"),
    ]
    texts = [text.text for text in root.iter(SVG + "text")]
    assert {"w+", "sum with learned weights"} <= set(texts)
    assert texts[1] == "2 blocks · in C3 · out P3"


def test_a_pyramid_without_blocks_can_be_drawn():
    root = drawn(Genotype((Node(Input(4), ()),), ((4, 0),)))
    assert ends(root) == [("C4", "0:P4")]


def test_equal_genotypes_give_equal_text_and_titles_are_escaped(conf):
    genotype = cell(conf, "nasfpn")
    assert draw_svg(genotype, "a") == draw_svg(cell(conf, "nasfpn"), "a")
    texts = [text.text for text in drawn(genotype, "a < b & c").iter(SVG + "text")]
    assert texts[0] == "a < b & c"
