"""Lines of a pyramid's drawing.

A line leaves its source in the gap behind the source's column, runs level between two
rows, and enters its target from the gap in front of it: it can never run through a
block. Which way it takes is what crosses least.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from itertools import pairwise

from fpnbench.graph.layout import COLUMN, Grid, Join, Places

_CROSSING, _FLAT, _OVERLAP = 14.0, 60.0, 1000.0
"""Prices in px of detour: of a crossing, of one of two lines that both rise or both
fall, and of two lines in one track."""
_PASSES = 2
"""How often every line is laid anew, knowing the others."""
Point = tuple[float, float]
Line = list[Point]


@dataclass(frozen=True, slots=True)
class Route:
    """A line with its way.

    Attributes:
        join: what it joins.
        lane: height at which it runs, px.
        legs: its corners: start, start and end of the lane, end; of a line to the next
            column start and end alone.
    """

    join: Join
    lane: float
    legs: Line


def lay(places: Places) -> tuple[Route, ...]:
    """Choose every line's lane: short lines first, then again knowing all others."""
    joins = sorted(
        places.joins, key=lambda j: (j.target.column - j.source.column, j.name[:2])
    )
    routes: dict[object, Route] = {}
    for _ in range(_PASSES):
        for join in joins:
            routes.pop(join.name, None)
            near = [
                other
                for other in routes.values()
                if other.join.source.column < join.target.column
                and join.source.column < other.join.target.column
                and not _together(join, other.join)
            ]
            ways = [
                Route(join, lane, _legs(join, lane, places.grid))
                for lane in _lanes(join, places)
            ]
            routes[join.name] = min(ways, key=lambda way: _price(way, near))
    return tuple(routes.values())


def _together(one: Join, other: Join) -> bool:
    """Return whether two lines may run together: they carry the same feature."""
    return (one.source.key, one.out, one.residual) == (
        other.source.key,
        other.out,
        other.residual,
    )


def _lanes(join: Join, places: Places) -> Iterable[float]:
    """Return the heights at which a line may run: tracks, and rows that are free."""
    source, target, rows = join.source, join.target, places.grid.rows
    end = rows[target.level] + join.into
    if target.column - source.column == 1:
        return [end]
    taken = {
        spot.level
        for spot in places.spots
        if source.column < spot.column < target.column
    }
    start = rows[source.level] + join.out
    ends = ((source.level, start), (target.level, end))
    return [*(y for level, y in ends if level not in taken), *places.grid.tracks]


def _legs(join: Join, lane: float, grid: Grid) -> Line:
    source, target = join.source, join.target
    x0 = grid.middles[source.column]
    x1 = grid.middles[target.column]
    if source.block is not None:
        x0 = grid.right(source.column)
    if target.block is not None:
        x1 = grid.left(target.column)
    start = (x0, grid.rows[source.level] + join.out)
    end = (x1, grid.rows[target.level] + join.into)
    if target.column - source.column == 1:
        return [start, end]
    a, b = grid.left(source.column + 1), grid.right(target.column - 1)
    return [start, (a, lane), (b, lane), end]


def _price(route: Route, others: Iterable[Route]) -> float:
    """Price a route: its detour, what it crosses, tracks it shares with others.

    `others` holds no line that carries the same feature: those may run together.
    """
    line = route.legs
    price = sum(abs(p[1] - q[1]) for p, q in pairwise(line))
    for other in others:
        theirs = other.legs
        if len(line) == 4 == len(theirs) and route.lane == other.lane:
            shared = min(line[2][0], theirs[2][0]) - max(line[1][0], theirs[1][0])
            price += _OVERLAP * (shared > -COLUMN)
        for p, q in pairwise(line):
            for r, s in pairwise(theirs):
                # Most pieces lie beside each other: seen at once, and that is fast.
                if r[0] < q[0] and p[0] < s[0] and _cross(p, q, r, s):
                    along = (q[1] - p[1]) * (s[1] - r[1]) > 0
                    price += _FLAT if along else _CROSSING
    return price


def _cross(p: Point, q: Point, r: Point, s: Point) -> bool:
    """Return whether the segments pq and rs cross inside both."""

    def side(a: Point, b: Point, c: Point) -> float:
        return (b[0] - a[0]) * (c[1] - a[1]) - (b[1] - a[1]) * (c[0] - a[0])

    return side(p, q, r) * side(p, q, s) < 0 and side(r, s, p) * side(r, s, q) < 0


def curve(corners: Line) -> str:
    """Join corners by S-curves that leave and arrive level; level pieces are straight.

    Returns:
        The `d` of an SVG path.
    """
    path = f"M{corners[0][0]:.1f} {corners[0][1]:.1f}"
    for (x0, y0), (x1, y1) in pairwise(corners):
        half = (x0 + x1) / 2
        if y0 != y1:
            path += f" C{half:.1f} {y0:.1f} {half:.1f} {y1:.1f} {x1:.1f} {y1:.1f}"
        elif x0 != x1:
            path += f" H{x1:.1f}"
    return path
