"""Drawing of a pyramid as SVG text: levels as rows, time from left to right.

The picture of NAS-FPN's Fig. 7 (arXiv 1904.07392), for every space: one circle a
merging cell or block, in the row of its level; squares are the backbone's features,
rings the outputs. The colour of a line is the level it comes from. `draw_ops` draws the
same pyramid with the operations of every block.
"""

from collections.abc import Iterator, Sequence
from math import sqrt

from fpnbench.graph.blocks import STEM, BlockGraph, block_graph
from fpnbench.graph.genotype import Genotype
from fpnbench.graph.layout import DISC, RADIUS, Places, Spot, arrange
from fpnbench.graph.routes import Route, curve, lay
from fpnbench.graph.sheet import sheet
from fpnbench.graph.signs import (
    HEAD,
    MUTED,
    OTHER,
    RING,
    circle,
    colour_of,
    dashes,
    entry,
    gate,
    head,
    ring,
    small,
    square,
    stem_line,
    text,
)

_SIGNS = {
    "+": "sum",
    "w+": "sum with learned weights",
    "GP": "global-pooling attention",
    "GP+": "with dangling features added",
    "": "one input",
}


def draw_svg(genotype: Genotype, title: str = "") -> str:
    """Draw a genotype, a circle a block.

    Args:
        genotype: the pyramid; of a canonical one only what reaches an output is there.
        title: a line above the picture.

    Returns:
        The text of an SVG file; equal genotypes give equal texts.

    Source: NAS-FPN Fig. 7.
    """
    graph = block_graph(genotype)
    places = arrange(graph, {block.key: DISC for block in graph.blocks})
    routes = lay(places)
    copies = f"{genotype.repeats} repeats · " if genotype.repeats > 1 else ""
    parts = [
        *_stem_lines(places),
        *_lines(graph, places, routes),
        *(part for spot in places.spots for part in _spot(spot, graph, places)),
    ]
    names = (title or "Feature pyramid", copies + summary(graph, genotype))
    return sheet(names, places, routes, parts, list(_legend(graph, routes)))


def summary(graph: BlockGraph, genotype: Genotype) -> str:
    """Return how many blocks there are, what goes in and what comes out."""
    blocks = sum(block.key[0] != STEM for block in graph.blocks)
    inputs = [block.level for block in graph.blocks if block.key[0] == STEM]
    reads = " ".join(f"C{level}" for level in sorted(inputs))
    gives = " ".join(f"P{level}" for level in genotype.levels)
    counted = f"{blocks} block" + "s" * (blocks != 1)
    return f"{counted} · in {reads} · out {gives}"


def _stem_lines(places: Places) -> Iterator[str]:
    """Draw how C6 and C7 are made, in the column of inputs."""
    for link in places.stem:
        levels = link.source[1], link.target[1]
        ends = [(0.0, places.grid.rows[level], RADIUS) for level in levels]
        names = f"C{levels[0]}", f"C{levels[1]}"
        yield stem_line(names, ends, RADIUS, aside=places.aside(link))


def _lines(graph: BlockGraph, places: Places, routes: Sequence[Route]) -> Iterator[str]:
    """Draw every line; where several enter one block, they enter above each other."""
    rings = {key for _, key, _ in graph.outputs}
    for spot in places.spots:
        into = [route for route in routes if route.join.target.key == spot.key]
        into.sort(key=lambda route: (route.legs[-2][1], route.join.source.key))
        for place, route in enumerate(into):
            offset = (place - (len(into) - 1) / 2) * min(10.0, 30.0 / len(into))
            reach = RADIUS + RING if spot.key in rings else spot.shape.half
            x, y = places.grid.middles[spot.column], route.legs[-1][1] + offset
            tip = (x - sqrt(reach**2 - offset**2) if reach else x, y)
            yield _line(route, tip, ringed=route.join.source.key in rings)


def _line(route: Route, tip: tuple[float, float], *, ringed: bool) -> str:
    (x0, y0), *lane, _ = route.legs
    join, headed = route.join, route.join.target.block is not None
    corners = [(x0 + RING * ringed, y0), *lane, (tip[0] - HEAD * headed, tip[1])]
    colour = MUTED if join.residual else colour_of(join.source.level)
    dash = ' stroke-dasharray="5 4"' if join.residual else ""
    return (
        f'<path class="line" data-from="{name_of(join.source)}" '
        f'data-to="{name_of(join.target)}" d="{curve(corners)}" fill="none" '
        f'stroke="{colour}" stroke-width="2"{dash}/>'
    ) + (head(*tip, colour) if headed else "")


def name_of(spot: Spot) -> str:
    """Name a spot for scripts and tests: C3, block 0.4, gate 1:P3."""
    repeat, index = spot.key
    if spot.block is None:
        return f"{repeat}:P{spot.level}"
    return spot.block.merge if repeat == STEM else f"{repeat}.{index}"


def _spot(spot: Spot, graph: BlockGraph, places: Places) -> Iterator[str]:
    x, y = places.grid.middles[spot.column], places.grid.rows[spot.level]
    colour, name = colour_of(spot.level), name_of(spot)
    yield f'<g class="spot" id="{name}" transform="translate({x:.1f} {y:.1f})">'
    if any(key == spot.key for _, key, _ in graph.outputs):
        yield ring(colour)
    if spot.block is None:
        yield gate(spot.level, last=spot.column == places.gates[-1])
    elif spot.key[0] == STEM:
        yield square(colour) + text(0, 5, spot.block.merge, 13, "#ffffff", bold=True)
    else:
        yield circle(spot.block.merge, colour)
        yield text(0, 37, spot.block.detail, 10, MUTED)
        yield text(0, -29, str(spot.key[1]), 9, MUTED)
    yield "</g>"


def _legend(graph: BlockGraph, routes: Sequence[Route]) -> Iterator[tuple[str, float]]:
    """Yield what every kind of sign in the picture means."""
    merges = {block.merge for block in graph.blocks if block.key[0] != STEM}
    yield entry(small(square(OTHER)), "input")
    for merge, label in _SIGNS.items():
        if merge in merges:
            yield entry(small(circle(merge, OTHER)), label)
    yield entry(small(ring(OTHER) + circle("", OTHER)), "output")
    if any(route.join.residual for route in routes):
        yield entry(dashes(), "residual, where shapes agree")
