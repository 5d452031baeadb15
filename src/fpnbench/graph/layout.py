"""Places and routes of a pyramid's drawing: levels are rows, time runs to the right.

Blocks stand in the column of their depth, so that blocks which do not wait for each
other share one. Between two repeats, and at the right end, every feature that is handed
on passes a gate; so all repeats look alike. A line leaves its source in the gap behind
the source's column, runs level between two rows, and enters its target from the gap in
front of it: it can never run through a block. Which way it takes is what crosses least.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise

from fpnbench.graph.blocks import STEM, Block, BlockGraph, BlockKey

COLUMN, ROW = 96.0, 112.0
"""Distance of neighbouring columns and rows, px."""
RADIUS = 19.0
"""Radius of a block, px."""
TRACKS = (-66.0, -58.0, -50.0, -42.0)
"""Lines between two rows, px from the lower row's middle (clear of texts)."""
_CROSSING, _OVERLAP = 14.0, 90.0
"""Price of a crossing and of two lines in one track, in px of detour."""
_PASSES = 2
"""How often every line is laid anew, knowing the others."""
Point = tuple[float, float]
Line = list[Point]


@dataclass(frozen=True, slots=True)
class Spot:
    """Something with a place: a block, an input, or a gate (`block` is None).

    Attributes:
        key: the block's key; of a gate (repeat it leads into, -1 - level).
        column: column, from 0.
        level: level, that is the row.
        block: the block that stands here.
    """

    key: BlockKey
    column: int
    level: int
    block: Block | None

    @property
    def reach(self) -> float:
        """Half the width, px."""
        return RADIUS if self.block is not None else 0.0


@dataclass(frozen=True, slots=True)
class Route:
    """A line from one spot to another that runs level at height `lane` on its way."""

    source: Spot
    target: Spot
    residual: bool
    lane: float


@dataclass(frozen=True, slots=True)
class Layout:
    """Everything with its place.

    Attributes:
        spots: inputs, blocks and gates.
        routes: lines from left to right.
        stem: pairs of inputs, the second made of the first (C6 of C5).
        gates: columns of the gates; the last one is the end.
        levels: levels in use, rising.
        columns: number of columns.
    """

    spots: tuple[Spot, ...]
    routes: tuple[Route, ...]
    stem: tuple[tuple[int, int], ...]
    gates: tuple[int, ...]
    levels: tuple[int, ...]
    columns: int


def row_y(level: int, top: int) -> float:
    """Return the height of a level's row; the highest level `top` lies at 0."""
    return (top - level) * ROW


def arrange(graph: BlockGraph) -> Layout:
    """Place the blocks of a graph and lay the lines between them."""
    spots, gates = _place(graph)
    links = _gated_links(graph, spots)
    levels = tuple(sorted({spot.level for spot in spots.values()}))
    routes = _lay(links, tuple(spots.values()), levels)
    stem = tuple(
        (link.source[1], link.target[1])
        for link in graph.links
        if link.source[0] == STEM and link.target[0] == STEM
    )
    return Layout(tuple(spots.values()), routes, stem, gates, levels, gates[-1] + 1)


def _gate(repeat: int, level: int) -> BlockKey:
    return (repeat, -1 - level)


def _repeats(graph: BlockGraph) -> int:
    return max((block.key[0] for block in graph.blocks), default=STEM) + 1


def _handed_on(graph: BlockGraph, repeat: int) -> tuple[tuple[int, BlockKey], ...]:
    """Return (level, block) of what `repeat` reads from earlier ones."""
    if repeat == _repeats(graph):
        return graph.outputs
    level = {block.key: block.level for block in graph.blocks}
    sources = {
        link.source
        for link in graph.links
        if link.target[0] == repeat and link.source[0] < repeat
    }
    return tuple(sorted((level[source], source) for source in sources))


def _place(graph: BlockGraph) -> tuple[dict[BlockKey, Spot], tuple[int, ...]]:
    spots = {
        block.key: Spot(block.key, 0, block.level, block)
        for block in graph.blocks
        if block.key[0] == STEM
    }
    gates: list[int] = []
    start = 0 if _repeats(graph) else 1
    for repeat in range(_repeats(graph) + 1):
        if repeat > 0 or not _repeats(graph):
            gates.append(start)
            for level, _ in _handed_on(graph, repeat):
                key = _gate(repeat, level)
                spots[key] = Spot(key, start, level, None)
        taken: set[tuple[int, int]] = set()
        for block in _by_depth(graph, repeat):
            columns = (
                spots[link.source].column
                for link in graph.links
                if link.target == block.key and link.source[0] == repeat
            )
            column = 1 + max(columns, default=start)
            while (column, block.level) in taken:
                column += 1
            taken.add((column, block.level))
            spots[block.key] = Spot(block.key, column, block.level, block)
        start = 1 + max((column for column, _ in taken), default=start)
    return spots, tuple(gates)


def _by_depth(graph: BlockGraph, repeat: int) -> list[Block]:
    """Return a repeat's blocks, inputs before users, else in their space's order.

    A canonical graph has an order of its own, another one in every repeat: by depth and
    index, repeats of one cell look alike.
    """
    depth: dict[BlockKey, int] = {}
    for block in graph.blocks:
        sources = (link.source for link in graph.links if link.target == block.key)
        above = (depth[s] + 1 for s in sources if s[0] == repeat and s in depth)
        depth[block.key] = max(above, default=0)
    blocks = [block for block in graph.blocks if block.key[0] == repeat]
    return sorted(blocks, key=lambda block: (depth[block.key], block.key))


def _gated_links(
    graph: BlockGraph, spots: dict[BlockKey, Spot]
) -> list[tuple[Spot, Spot, bool]]:
    """Send every link between two repeats, and every output, through its gate."""
    found: dict[tuple[BlockKey, BlockKey], bool] = {}
    level = {block.key: block.level for block in graph.blocks}
    for link in graph.links:
        source, target = link.source, link.target
        if target[0] == STEM:
            continue
        if source[0] < target[0] and target[0] > 0:
            gate = _gate(target[0], level[source])
            found[source, gate] = False
            source = gate
        found[source, target] = found.get((source, target), True) and link.residual
    for output, key in graph.outputs:
        found[key, _gate(_repeats(graph), output)] = False
    return [(spots[a], spots[b], skip) for (a, b), skip in found.items()]


def _lay(
    links: list[tuple[Spot, Spot, bool]], spots: Sequence[Spot], levels: Sequence[int]
) -> tuple[Route, ...]:
    """Choose every line's lane: short lines first, then again knowing all others."""
    links = sorted(
        links, key=lambda li: (li[1].column - li[0].column, li[0].key, li[1].key)
    )
    top = levels[-1]
    routes: dict[tuple[BlockKey, BlockKey], Route] = {}
    for _ in range(_PASSES):
        for source, target, residual in links:
            routes.pop((source.key, target.key), None)
            first = Route(source, target, residual, row_y(target.level, top))
            near = [
                (other, legs(other, top))
                for other in routes.values()
                if other.source.column < target.column
                and source.column < other.target.column
                and (source.key, residual) != (other.source.key, other.residual)
            ]
            lanes = _lanes(source, target, spots, levels)
            routes[source.key, target.key] = min(
                (replace(first, lane=lane) for lane in lanes),
                key=lambda route: _price(route, near, top),
            )
    return tuple(routes.values())


def _lanes(
    source: Spot, target: Spot, spots: Sequence[Spot], levels: Sequence[int]
) -> Iterable[float]:
    """Return the heights at which a line may run: tracks, and rows that are free."""
    top = levels[-1]
    if target.column - source.column == 1:
        return [row_y(target.level, top)]
    taken = {
        spot.level for spot in spots if source.column < spot.column < target.column
    }
    rows = [row_y(lv, top) for lv in (source.level, target.level) if lv not in taken]
    tracks = [
        row_y(level, top) + track
        for level in range(levels[0] - 1, top + 1)
        for track in TRACKS
    ]
    return [*rows, *tracks]


def legs(route: Route, top: int) -> Line:
    """Return the corners of a route: start, start and end of its lane, end (px)."""
    x0 = route.source.column * COLUMN + route.source.reach
    x1 = route.target.column * COLUMN - route.target.reach
    y0, y1 = row_y(route.source.level, top), row_y(route.target.level, top)
    a = (route.source.column + 1) * COLUMN - RADIUS
    b = (route.target.column - 1) * COLUMN + RADIUS
    if route.target.column - route.source.column == 1:
        return [(x0, y0), (x1, y1)]
    return [(x0, y0), (a, route.lane), (b, route.lane), (x1, y1)]


def _price(route: Route, others: Iterable[tuple[Route, Line]], top: int) -> float:
    """Price a route: its detour, what it crosses, tracks it shares with others.

    `others` holds no line of the same source and kind: those may run together.
    """
    line = legs(route, top)
    price = sum(abs(p[1] - q[1]) for p, q in pairwise(line))
    for other, theirs in others:
        if len(line) == 4 == len(theirs) and route.lane == other.lane:
            shared = min(line[2][0], theirs[2][0]) - max(line[1][0], theirs[1][0])
            price += _OVERLAP * (shared > -COLUMN)
        for p, q in pairwise(line):
            for r, s in pairwise(theirs):
                # Most pieces lie beside each other: seen at once, and that is fast.
                if r[0] < q[0] and p[0] < s[0]:
                    price += _CROSSING * _cross(p, q, r, s)
    return price


def _cross(p: Point, q: Point, r: Point, s: Point) -> bool:
    """Return whether the segments pq and rs cross inside both."""

    def side(a: Point, b: Point, c: Point) -> float:
        return (b[0] - a[0]) * (c[1] - a[1]) - (b[1] - a[1]) * (c[0] - a[0])

    return side(p, q, r) * side(p, q, s) < 0 and side(r, s, p) * side(r, s, q) < 0
