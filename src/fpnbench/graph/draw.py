"""Drawing of a pyramid as SVG text: levels as rows, time from left to right.

The picture of NAS-FPN's Fig. 7 (arXiv 1904.07392), for every space: one circle a
merging cell or block, in the row of its level; squares are the backbone's features,
rings the outputs. The colour of a line is the level it comes from.
"""

from collections.abc import Iterator, Sequence
from itertools import pairwise
from math import sqrt

from fpnbench.graph.blocks import STEM, BlockGraph, block_graph
from fpnbench.graph.genotype import Genotype
from fpnbench.graph.layout import (
    COLUMN,
    RADIUS,
    Layout,
    Route,
    Spot,
    arrange,
    legs,
    row_y,
)
from fpnbench.graph.signs import (
    FAINT,
    INK,
    MUTED,
    RING,
    circle,
    colour_of,
    legend,
    placed,
    ring,
    square,
    text,
)

_LEFT, _RIGHT, _HEADER, _FOOTER = 96.0, 72.0, 92.0, 66.0
_HEAD = 8.0


def draw_svg(genotype: Genotype, title: str = "") -> str:
    """Draw a genotype.

    Args:
        genotype: the pyramid; of a canonical one only what reaches an output is there.
        title: a line above the picture.

    Returns:
        The text of an SVG file; equal genotypes give equal texts.

    Source: NAS-FPN Fig. 7.
    """
    graph = block_graph(genotype)
    layout = arrange(graph)
    entries = list(legend(graph, layout))
    columns, legend_px = layout.columns - 1, sum(advance for _, advance in entries)
    width = max(_LEFT + columns * COLUMN + _RIGHT, legend_px + 32)
    first, last = _extent(layout)
    height = _HEADER - first + last + _FOOTER
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{width:.0f}" '
        f'height="{height:.0f}" viewBox="0 0 {width:.0f} {height:.0f}" '
        'font-family="DejaVu Sans, sans-serif">',
        f'<rect width="{width:.0f}" height="{height:.0f}" fill="#ffffff"/>',
        text(24, 36, title or "Feature pyramid", 20, INK, "start", bold=True),
        text(24, 60, _subtitle(graph, genotype), 13, MUTED, "start"),
        f'<g transform="translate({_LEFT:.0f} {_HEADER - first:.0f})">',
        *_frame(layout, first, last),
        *_stem_lines(layout),
        *_lines(graph, layout),
        *(part for spot in layout.spots for part in _spot(spot, graph, layout)),
        "</g>",
        *placed(entries, 44, height - 28),
        "</svg>",
    ]
    return "\n".join(parts) + "\n"


def _subtitle(graph: BlockGraph, genotype: Genotype) -> str:
    blocks = sum(block.key[0] != STEM for block in graph.blocks)
    inputs = [block.level for block in graph.blocks if block.key[0] == STEM]
    copies = f"{genotype.repeats} repeats · " if genotype.repeats > 1 else ""
    reads = " ".join(f"C{level}" for level in sorted(inputs))
    gives = " ".join(f"P{level}" for level in genotype.levels)
    return f"{copies}{blocks} blocks · in {reads} · out {gives}"


def _extent(layout: Layout) -> tuple[float, float]:
    """Return the heights between which blocks and lines lie; the top row is at 0."""
    lanes = [route.lane for route in layout.routes]
    bottom = row_y(layout.levels[0], layout.levels[-1])
    return min([-44, *(y - 8 for y in lanes)]), max([bottom + 44, *lanes]) + 8


def _frame(layout: Layout, first: float, last: float) -> Iterator[str]:
    """Draw what lies behind: a band per repeat, a line per level."""
    starts = (0, *layout.gates[:-1])
    for repeat, (start, end) in enumerate(zip(starts, layout.gates, strict=True)):
        x, span = start * COLUMN, (end - start) * COLUMN
        fill = "#f6f8fa" if repeat % 2 == 0 else "#fdfdfe"
        yield (
            f'<rect x="{x:.1f}" y="{first:.1f}" width="{span:.1f}" '
            f'height="{last - first:.1f}" '
            f'fill="{fill}"/>'
        )
        if len(layout.gates) > 1:
            yield text(x + span / 2, first - 6, f"repeat {repeat + 1}", 12, MUTED)
    for level in layout.levels:
        y = row_y(level, layout.levels[-1])
        right = layout.gates[-1] * COLUMN
        yield (
            f'<line x1="0" y1="{y:.1f}" x2="{right:.1f}" y2="{y:.1f}" '
            f'stroke="{FAINT}" stroke-width="1.5"/>'
        )
        yield text(-34, y - 1, f"level {level}", 12, colour_of(level), "end", bold=True)
        yield text(-34, y + 13, f"stride {2**level}", 10, MUTED, "end")


def _stem_lines(layout: Layout) -> Iterator[str]:
    """Draw how C6 and C7 are made, in the column of inputs."""
    for source, target in layout.stem:
        start, end = (row_y(level, layout.levels[-1]) for level in (source, target))
        if abs(source - target) == 1:
            up = 1 if start > end else -1
            start, end = start - up * RADIUS, end + up * RADIUS
            path = f"M0 {start:.1f} V{end + up * _HEAD:.1f}"
            head = f"M0 {end:.1f} l-4.5 {up * (_HEAD + 1):g} h9 z"
        else:
            # Past the inputs between them, on the left.
            path = f"M-19 {start:.1f} C-42 {start:.1f} -42 {end:.1f} -27 {end:.1f}"
            head = f"M-19 {end:.1f} l-{_HEAD + 1:g} -4.5 v9 z"
        yield (
            f'<path class="stem" data-from="C{source}" data-to="C{target}" d="{path}" '
            f'fill="none" stroke="{MUTED}" stroke-width="2" stroke-dasharray="4 3"/>'
            f'<path d="{head}" fill="{MUTED}"/>'
        )


def _lines(graph: BlockGraph, layout: Layout) -> Iterator[str]:
    """Draw every line; where several enter one block, they enter above each other."""
    top = layout.levels[-1]
    rings = {key for _, key in graph.outputs}
    for spot in layout.spots:
        routes = [route for route in layout.routes if route.target.key == spot.key]
        routes.sort(key=lambda route: (legs(route, top)[-2][1], route.source.key))
        for place, route in enumerate(routes):
            offset = (place - (len(routes) - 1) / 2) * min(10.0, 30.0 / len(routes))
            reach = RADIUS + RING if spot.key in rings else spot.reach
            yield _line(route, top, offset, reach, route.source.key in rings)


def _line(route: Route, top: int, offset: float, reach: float, ringed: bool) -> str:
    (x0, y0), *lane, (_, y1) = legs(route, top)
    centre, y1 = route.target.column * COLUMN, y1 + offset
    tip = centre - sqrt(reach**2 - offset**2) if reach else centre
    headed = route.target.block is not None
    corners = [(x0 + RING * ringed, y0), *lane, (tip - _HEAD * headed, y1)]
    colour = MUTED if route.residual else colour_of(route.source.level)
    dash = ' stroke-dasharray="5 4"' if route.residual else ""
    head = f'<path d="M{tip:.1f} {y1:.1f} l-{_HEAD + 1:g} -4.5 v9 z" fill="{colour}"/>'
    return (
        f'<path class="line" data-from="{_name(route.source)}" '
        f'data-to="{_name(route.target)}" d="{_curve(corners)}" fill="none" '
        f'stroke="{colour}" stroke-width="2"{dash}/>{head if headed else ""}'
    )


def _curve(corners: Sequence[tuple[float, float]]) -> str:
    """Join corners by S-curves that leave and arrive level."""
    path = f"M{corners[0][0]:.1f} {corners[0][1]:.1f}"
    for (x0, y0), (x1, y1) in pairwise(corners):
        half = (x0 + x1) / 2
        path += f" C{half:.1f} {y0:.1f} {half:.1f} {y1:.1f} {x1:.1f} {y1:.1f}"
    return path


def _name(spot: Spot) -> str:
    """Name a spot for scripts and tests: C3, block 0.4, gate 1:P3."""
    repeat, index = spot.key
    if spot.block is None:
        return f"{repeat}:P{spot.level}"
    return spot.block.merge if repeat == STEM else f"{repeat}.{index}"


def _spot(spot: Spot, graph: BlockGraph, layout: Layout) -> Iterator[str]:
    x, y = spot.column * COLUMN, row_y(spot.level, layout.levels[-1])
    colour = colour_of(spot.level)
    yield f'<g class="spot" id="{_name(spot)}" transform="translate({x:.1f} {y:.1f})">'
    if any(key == spot.key for _, key in graph.outputs):
        yield ring(colour)
    if spot.block is None:
        yield from _gate(spot, colour, last=spot.column == layout.gates[-1])
    elif spot.key[0] == STEM:
        yield square(colour) + text(0, 5, spot.block.merge, 13, "#ffffff", bold=True)
    else:
        yield circle(spot.block.merge, colour)
        yield text(0, 37, spot.block.detail, 10, MUTED)
        yield text(0, -29, str(spot.key[1]), 9, MUTED)
    yield "</g>"


def _gate(spot: Spot, colour: str, *, last: bool) -> Iterator[str]:
    if not last:
        yield f'<circle r="4.5" fill="#ffffff" stroke="{colour}" stroke-width="2"/>'
        return
    yield (
        f'<rect x="0" y="-13" width="42" height="26" rx="13" fill="#ffffff" '
        f'stroke="{colour}" stroke-width="2.5"/>'
    )
    yield text(21, 5, f"P{spot.level}", 13, colour, bold=True)
