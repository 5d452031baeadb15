"""Drawings stay legible: measured on the SVG, with the font that pictures have.

Texts are measured by Pillow, curves are sampled: nothing of the layout is trusted.
"""

import re
from collections.abc import Callable, Iterator
from functools import cache
from itertools import combinations
from pathlib import Path
from xml.etree import ElementTree

import matplotlib
import numpy as np
import pytest
from omegaconf import DictConfig
from PIL import ImageFont

from fpnbench.cli.build import CONF, build_space, load_cell
from fpnbench.graph.canonical import canonical
from fpnbench.graph.draw import draw_svg
from fpnbench.graph.draw_ops import draw_ops_svg
from fpnbench.graph.genotype import Genotype, Node
from fpnbench.graph.ops import Conv, Input, Resample
from fpnbench.search.searcher import uniform_choices

Conf = Callable[..., DictConfig]
Array = np.ndarray
Rect = tuple[float, float, float, float]
SVG = "{http://www.w3.org/2000/svg}"
FONTS = Path(matplotlib.get_data_path()) / "fonts" / "ttf"
CELLS = sorted(path.stem for path in (CONF / "cell").glob("*.json"))
# NAS-FPNLite: 11 intermediate and 4 output cells (NAS-FPN, section 4; facts 1.2).
LITE = (
    "space=nasfpn",
    "space.levels=[3,4,5,6]",
    "space.intermediates=11",
    "space.intermediate_levels=[4,5,6]",
)

# For drawings that are bad on purpose.
WORD = '<text x="{x}" y="{y}" font-size="12" text-anchor="start">other</text>'
LINE = '<path data-from="a" data-to="b" d="{d}"/>'


@cache
def font(bold: bool) -> ImageFont.FreeTypeFont:
    name = "DejaVuSans-Bold.ttf" if bold else "DejaVuSans.ttf"
    return ImageFont.truetype(str(FONTS / name), 100)


def numbers(text: str) -> list[float]:
    return [float(number) for number in re.findall(r"-?[\d.]+", text)]


def placed(
    node: ElementTree.Element, x: float = 0, y: float = 0, scale: float = 1
) -> Iterator[tuple[ElementTree.Element, float, float, float]]:
    """Yield every element with the origin and scale of its coordinates."""
    for kind, text in re.findall(r"(\w+)\(([^)]*)\)", node.get("transform", "")):
        if kind == "translate":
            dx, dy = numbers(text)
            x, y = x + scale * dx, y + scale * dy
        else:
            scale *= numbers(text)[0]
    yield node, x, y, scale
    for child in node:
        yield from placed(child, x, y, scale)


def texts(root: ElementTree.Element) -> list[tuple[str, Rect]]:
    """Return every text with its ink's left, top, right and bottom, px."""
    found = []
    for node, x, y, scale in placed(root):
        if node.tag == SVG + "text" and node.text:
            size = float(node.get("font-size", "")) * scale
            face = font(node.get("font-weight") == "bold")
            left, top, right, bottom = face.getbbox(node.text, anchor="ls")
            shift = {"start": 0, "middle": 0.5, "end": 1}[node.get("text-anchor", "")]
            x0 = x + scale * float(node.get("x", "")) - shift * right * size / 100
            y0 = y + scale * float(node.get("y", ""))
            box = [v * size / 100 for v in (left, top, right, bottom)]
            found.append(
                (node.text, (x0 + box[0], y0 + box[1], x0 + box[2], y0 + box[3]))
            )
    return found


def sampled(path: str) -> Array:
    """Sample an SVG path of M, H, V and C commands: (N, 2) points, px."""
    points: list[Array] = []
    here = np.zeros(2)
    for command, text in re.findall(r"([MHVC])([^MHVC]*)", path):
        values = numbers(text)
        if command == "M":
            here = np.array(values)
            continue
        ends = {
            "H": lambda v=values, h=here: [h, h, (v[0], h[1]), (v[0], h[1])],
            "V": lambda v=values, h=here: [h, h, (h[0], v[0]), (h[0], v[0])],
            "C": lambda v=values, h=here: [h, v[0:2], v[2:4], v[4:6]],
        }[command]()
        a, b, c, d = (np.array(end, dtype=float) for end in ends)
        length = np.abs(b - a).sum() + np.abs(c - b).sum() + np.abs(d - c).sum()
        t = np.linspace(0, 1, int(length) + 2)[:, None]
        curve = (1 - t) ** 3 * a + 3 * t * (1 - t) ** 2 * b
        points.append(curve + 3 * t**2 * (1 - t) * c + t**3 * d)
        here = d
    return np.concatenate(points)


def lines(root: ElementTree.Element) -> list[tuple[str, str, Array]]:
    """Return (source, target, points) of every line."""
    return [
        (
            node.get("data-from", ""),
            node.get("data-to", ""),
            sampled(node.get("d", "")) * scale + (x, y),
        )
        for node, x, y, scale in placed(root)
        if node.get("data-from")
    ]


def shapes(root: ElementTree.Element) -> list[tuple[str, str, Rect]]:
    """Return (name, name of its block, rectangle) of every block and operation."""
    found = []
    for group, x, y, _ in placed(root):
        if group.get("class") in ("spot", "op"):
            for part in [g for g in group if g.tag != SVG + "text"][:1]:
                r = float(part.get("r", 0))
                left, top = float(part.get("x", -r)), float(part.get("y", -r))
                right = left + float(part.get("width", 2 * r))
                bottom = top + float(part.get("height", 2 * r))
                box = (x + left, y + top, x + right, y + bottom)
                found.append((group.get("id", ""), group.get("data-block", ""), box))
    return found


def overlap(p: Rect, q: Rect) -> bool:
    return p[0] < q[2] and q[0] < p[2] and p[1] < q[3] and q[1] < p[3]


def flaws(svg: str) -> Iterator[str]:
    """Yield what cannot be read."""
    root = ElementTree.fromstring(svg)
    width, height = float(root.get("width", "")), float(root.get("height", ""))
    words, strokes = texts(root), lines(root)
    for (a, p), (b, q) in combinations(words, 2):
        if overlap(p, q):
            yield f"{a!r} on {b!r}"
    x, y = np.concatenate([points for *_, points in strokes]).T
    owner = np.repeat(range(len(strokes)), [len(points) for *_, points in strokes])

    def within(box: Rect) -> list[tuple[str, str]]:
        left, top, right, bottom = box
        inside = (left < x) & (x < right) & (top < y) & (y < bottom)
        return [strokes[number][:2] for number in np.unique(owner[inside])]

    for word, box in words:
        if min(box) < 2 or box[2] > width - 2 or box[3] > height - 2:
            yield f"{word!r} leaves the sheet"
        yield from (f"{line} through {word!r}" for line in within(box))
    for (a, home_a, p), (b, home_b, q) in combinations(shapes(root), 2):
        if overlap(p, q) and a != home_b and b != home_a:
            yield f"{a} on {b}"
    home = {name: block for name, block, _ in shapes(root)}
    for name, _, box in shapes(root):
        for line in within(box):
            if name not in (*line, *(home.get(end) for end in line)):
                yield f"{line} through {name}"
    stem = [p.get("data-to") for p in root.iter() if p.get("class") == "stem"]
    for source, target, points in strokes:
        if target not in stem and (np.diff(points[:, 0]) < -0.3).any():
            yield f"{source} -> {target} runs backwards"
    pixels = [{(round(x), round(y)) for x, y in points} for *_, points in strokes]
    for (one, p), (two, q) in combinations(zip(strokes, pixels, strict=True), 2):
        if one[0] != two[0] and len(p & q) > 40:
            yield f"{one[:2]} and {two[:2]} cannot be told apart"


def random(conf: Conf, seed: int, *overrides: str) -> Genotype:
    space = build_space(conf(*overrides))
    return canonical(space.decode(uniform_choices(space.decisions, seed, 0)))


@pytest.mark.parametrize("name", CELLS)
def test_every_cell_is_legible(conf, name):
    for repeats, draw in ((1, draw_svg), (3, draw_svg), (3, draw_ops_svg)):
        cell = canonical(load_cell(conf(f"cell_name={name}", f"repeats={repeats}")))
        assert list(flaws(draw(cell, name))) == [], (repeats, draw)


@pytest.mark.parametrize(("seed", "repeats"), [(0, 1), (1, 1), (2, 1), (0, 3)])
def test_fifteen_random_cells_are_legible(conf, seed, repeats):
    genotype = random(conf, seed, *LITE, f"repeats={repeats}")
    for draw in (draw_svg, draw_ops_svg):
        assert list(flaws(draw(genotype))) == [], draw


@pytest.mark.parametrize("space", ["nasfpn", "mnasfpn", "connsearch"])
def test_random_networks_are_legible(conf, space):
    for seed in range(3):
        genotype = random(conf, seed, f"space={space}", "repeats=2")
        for draw in (draw_svg, draw_ops_svg):
            assert list(flaws(draw(genotype))) == [], (seed, draw)


def test_an_input_made_of_a_distant_one_is_legible():
    nodes = (
        Node(Input(3), ()),
        Node(Input(4), ()),
        Node(Resample(3, 5), (0,)),
        Node(Conv(8, 3, "none", True), (1,), (0, 0)),
    )
    genotype = Genotype(nodes, ((3, 0), (4, 3), (5, 2)))
    for draw in (draw_svg, draw_ops_svg):
        assert list(flaws(draw(genotype))) == [], draw


@pytest.mark.parametrize(
    ("part", "flaw"),
    [
        (WORD.format(x=45, y=42), "'word' on 'other'"),
        (WORD.format(x=180, y=20), "'other' leaves the sheet"),
        (LINE.format(d="M0 0 C20 0 20 60 60 60"), "('a', 'b') through 'word'"),
        (LINE.format(d="M20 80 H150"), "('a', 'b') through 0.1"),
        (LINE.format(d="M90 40 C60 40 60 70 40 70"), "a -> b runs backwards"),
        (LINE.format(d="M20 95 H90"), "('c', 'd') and ('a', 'b') cannot be told apart"),
    ],
)
def test_what_cannot_be_read_is_found(part, flaw):
    sheet = (
        '<svg xmlns="http://www.w3.org/2000/svg" width="200" height="100">'
        + WORD.format(x=20, y=40).replace("other", "word")
        + '<g class="spot" id="0.1" transform="translate(100 80)"><circle r="9"/></g>'
        + LINE.format(d="M20 95 H190").replace('"a"', '"c"').replace('"b"', '"d"')
    )
    assert list(flaws(sheet + "</svg>")) == []
    assert list(flaws(sheet + part + "</svg>")) == [flaw]
