"""Drawing of a pyramid with the operations of every block.

As `draw`, with a box for a circle: inside, every primitive operation of the genotype
and every edge between two of them. Source: NAS-FPN Fig. 6 (arXiv 1904.07392), which
shows global pooling, sums and ReLU-conv-BN; here resampling and 1x1 convolutions too.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from math import sqrt

from fpnbench.graph.blocks import STEM, BlockKey, block_graph, first_copy
from fpnbench.graph.cells import (
    DOT,
    HEIGHT,
    INNER,
    MERGES,
    TITLE,
    Cell,
    Edge,
    PlacedOp,
    cells,
)
from fpnbench.graph.draw import name_of, summary
from fpnbench.graph.genotype import Genotype
from fpnbench.graph.layout import Places, Spot, arrange
from fpnbench.graph.op_signs import RING, border, legend, operation
from fpnbench.graph.ops import GlobalPool, Input, Residual
from fpnbench.graph.routes import Line, Point, Route, curve, lay
from fpnbench.graph.sheet import sheet
from fpnbench.graph.signs import HEAD, MUTED, colour_of, gate, head, stem_line, text


@dataclass(frozen=True, slots=True)
class _Scene:
    """Where everything lies on the sheet.

    Attributes:
        genotype: the one copy that is drawn.
        places: its blocks' places.
        ops: the operations by node, with their middle on the sheet, px.
        homes: by node, the place of its block.
        rights: by node, right edges of its block's columns of operations, px.
    """

    genotype: Genotype
    places: Places
    ops: Mapping[int, PlacedOp]
    homes: Mapping[int, Spot]
    rights: Mapping[int, tuple[float, ...]]

    def place(self, spot: Spot) -> Point:
        """Return the place of a block or gate, px."""
        grid = self.places.grid
        return grid.middles[spot.column], grid.rows[spot.level]

    def inside(self, edge: Edge) -> bool:
        """Return whether an edge joins two operations of one block."""
        return self.homes[edge[0]] is self.homes[edge[1]]

    def entry(self, edge: Edge) -> float:
        """Return the height at which an edge comes to its target's column, px."""
        if self.inside(edge):
            return self.ops[edge[0]].y
        spot = self.homes[edge[1]]
        return self.place(spot)[1] + spot.shape.entries[edge]

    def tip(self, edge: Edge) -> Point:
        """Return where an edge ends: several end above each other."""
        index, op = edge[1], self.ops[edge[1]]
        edges = [(s, index) for s in dict.fromkeys(self.genotype.nodes[index].inputs)]
        edges.sort(key=lambda other: (self.entry(other), other))
        middle = (len(edges) - 1) / 2
        offset = (edges.index(edge) - middle) * min(9.0, 20.0 / len(edges))
        round_ = type(op.op) in MERGES
        return op.x - (sqrt(DOT**2 - offset**2) if round_ else op.half), op.y + offset


def draw_ops_svg(genotype: Genotype, title: str = "") -> str:
    """Draw the first repeat of a genotype with its operations.

    Operation `n3` of the picture is node 3 of `first_copy(genotype)`; every edge is one
    path with `data-from` and `data-to`.

    Args:
        genotype: the pyramid.
        title: a line above the picture.

    Returns:
        The text of an SVG file; equal genotypes give equal texts.
    """
    copy = first_copy(genotype)
    graph = block_graph(copy, edges=True)
    inside = cells(copy)
    shapes = {key: cell.shape for key, cell in inside.items()}
    scene = _scene(copy, arrange(graph, shapes), inside)
    routes = lay(scene.places)
    outputs = {key for _, key, _ in graph.outputs}
    parts = [
        *(_box(scene, spot, spot.key in outputs) for spot in scene.places.spots),
        *_wires(scene),
        *(_line(scene, route) for route in routes),
        *(_sign(index, op, scene.homes[index]) for index, op in scene.ops.items()),
    ]
    of = f"the first of {genotype.repeats} repeats · " if genotype.repeats > 1 else ""
    count = sum(not isinstance(node.op, Input) for node in copy.nodes)
    names = (
        title or "Feature pyramid",
        f"{of}{summary(graph, copy)} · {count} operation{'s' * (count != 1)}",
    )
    return sheet(names, scene.places, routes, parts, list(legend(copy)))


def _scene(
    genotype: Genotype, places: Places, inside: Mapping[BlockKey, Cell]
) -> _Scene:
    ops, homes, rights = {}, {}, {}
    for spot in places.spots:
        if spot.block is None:
            continue
        cell, y = inside[spot.key], places.grid.rows[spot.level]
        # Boxes are as wide as their column; the inputs' operations begin at its left.
        x = places.grid.middles[spot.column]
        if spot.key[0] == STEM:
            x = places.grid.left(spot.column) + spot.shape.half
        for index, op in cell.ops.items():
            ops[index] = replace(op, x=x + op.x, y=y + op.y)
            homes[index] = spot
            rights[index] = tuple(x + right for right in cell.rights)
    return _Scene(genotype, places, ops, homes, rights)


def _box(scene: _Scene, spot: Spot, output: bool) -> str:
    """Draw the box of a block, or a gate."""
    (x, y), grid = scene.place(spot), scene.places.grid
    colour, name, shape = colour_of(spot.level), name_of(spot), spot.shape
    sign = gate(spot.level, last=True)
    if spot.block is not None:
        half, above = grid.halves[spot.column], shape.above - TITLE - RING
        height = above + shape.below - RING
        label = spot.block.merge if spot.key[0] == STEM else str(spot.key[1])
        sign = text(-half + 4, -above - 7, label, 10, MUTED, "start")
        sign += border(half, above, height, colour, output=output)
    return (
        f'<g class="spot" id="{name}" transform="translate({x:.1f} {y:.1f})">{sign}</g>'
    )


def _wires(scene: _Scene) -> Iterator[str]:
    """Draw the edges inside a block, and those between blocks of the stem."""
    for index, node in enumerate(scene.genotype.nodes):
        for source in dict.fromkeys(node.inputs):
            if scene.inside(edge := (source, index)):
                op = scene.ops[source]
                corners = [(op.x + op.half, op.y), *_arrival(scene, edge)]
                yield _path(scene, edge, f"n{index}", corners)
    for link in scene.places.stem:
        source, index = link.edge or (-1, -1)
        ends = [(op.x, op.y, op.half) for op in (scene.ops[source], scene.ops[index])]
        aside = scene.places.aside(link)
        yield stem_line((f"n{source}", f"n{index}"), ends, HEIGHT, aside=aside)


def _line(scene: _Scene, route: Route) -> str:
    """Draw an edge between two blocks, or an output."""
    edge = route.join.edge or (-1, -1)
    op = scene.ops[edge[0]]
    right = scene.rights[edge[0]][op.column]
    start, legs = [(op.x + op.half, op.y), (right, op.y)], route.legs
    if legs[0][1] != op.y:
        start.append((min(right + INNER, legs[0][0]), legs[0][1]))
    if route.join.target.block is None:
        return _path(scene, edge, name_of(route.join.target), [*start, *legs])
    return _path(scene, edge, f"n{edge[1]}", [*start, *legs, *_arrival(scene, edge)])


def _arrival(scene: _Scene, edge: Edge) -> Line:
    """Return the last corners of an edge: before its target's column, and its end."""
    target, y = scene.ops[edge[1]], scene.entry(edge)
    (x, y1), dot = scene.tip(edge), _dotted(scene, edge)
    end = (x - (0 if dot else HEAD), y1)
    if target.column == 0:
        return [end]
    return [(scene.rights[edge[1]][target.column - 1], y), end]


def _dotted(scene: _Scene, edge: Edge) -> bool:
    """Return whether an edge is the operand that global pooling pools."""
    node = scene.genotype.nodes[edge[1]]
    return isinstance(node.op, GlobalPool) and node.inputs[0] == edge[0]


def _path(scene: _Scene, edge: Edge, target: str, corners: Line) -> str:
    node = scene.genotype.nodes[edge[1]] if edge[1] >= 0 else None
    skip = node and isinstance(node.op, Residual) and node.inputs[1] == edge[0]
    colour = MUTED if skip else colour_of(scene.ops[edge[0]].level)
    dash = ' stroke-dasharray="5 4"' if skip else ""
    end = ""
    if node and _dotted(scene, edge):
        x, y = scene.tip(edge)
        end = (
            f'<circle cx="{x - 1:.1f}" cy="{y:.1f}" r="4.5" fill="{colour}" '
            'stroke="#ffffff" stroke-width="1.2"/>'
        )
    elif node:
        end = head(*scene.tip(edge), colour)
    return (
        f'<path class="edge" data-from="n{edge[0]}" data-to="{target}" '
        f'd="{curve(corners)}" fill="none" stroke="{colour}" stroke-width="1.8"{dash}/>'
    ) + end


def _sign(index: int, op: PlacedOp, home: Spot) -> str:
    return (
        f'<g class="op" id="n{index}" data-block="{name_of(home)}" '
        f'transform="translate({op.x:.1f} {op.y:.1f})">'
        f"{operation(op.op, colour_of(op.level), op.half)}</g>"
    )
