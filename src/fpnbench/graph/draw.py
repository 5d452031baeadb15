"""Drawing of a pyramid as SVG text: levels as rows, time from left to right.

The picture of NAS-FPN's Fig. 7 (arXiv 1904.07392), for every space: one circle a
merging cell or block, in the row of its level; squares are the backbone's features,
rings the outputs. The colour of a line is the level it comes from.
"""

from collections.abc import Iterable, Iterator
from html import escape
from math import sqrt

from fpnbench.graph.blocks import STEM, Block, BlockGraph, block_graph
from fpnbench.graph.genotype import Genotype
from fpnbench.graph.layout import (
    COLUMN,
    RADIUS,
    ROW,
    Layout,
    Route,
    Spot,
    arrange,
    legs,
    row_y,
)

LEVEL_COLOURS = {
    2: "#7b5ea7",
    3: "#3a6fb0",
    4: "#1f9e94",
    5: "#6ba32d",
    6: "#e39a1c",
    7: "#d0455c",
}
"""Colour of a level; the figures of a paper can use the same."""
_OTHER, _INK, _MUTED, _FAINT = "#6b7280", "#1f2933", "#6b7785", "#dfe4ea"
_LEFT, _TOP, _RIGHT = 96.0, 132.0, 72.0
_RING = 5.0
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
    legend = list(_legend(graph, layout))
    width = max(
        _LEFT + (layout.columns - 1) * COLUMN + _RIGHT,
        32 + sum(advance for _, advance in legend),
    )
    rows = layout.levels[-1] - layout.levels[0]
    bottom = _TOP + rows * ROW + 76
    body = [
        *_frame(layout, bottom - _TOP - 28),
        *_stem_lines(layout),
        *_lines(graph, layout),
        *(part for spot in layout.spots for part in _spot(spot, graph, layout)),
    ]
    return "\n".join(
        [
            f'<svg xmlns="http://www.w3.org/2000/svg" width="{width:.0f}" '
            f'height="{bottom + 40:.0f}" viewBox="0 0 {width:.0f} {bottom + 40:.0f}" '
            'font-family="DejaVu Sans, sans-serif">',
            f'<rect width="{width:.0f}" height="{bottom + 40:.0f}" fill="#ffffff"/>',
            _text(24, 36, title or "Feature pyramid", 20, _INK, "start", bold=True),
            _text(24, 60, _subtitle(graph, genotype), 13, _MUTED, "start"),
            f'<g transform="translate({_LEFT:.0f} {_TOP:.0f})">',
            *body,
            "</g>",
            *_placed_legend(legend, bottom + 12),
            "</svg>",
            "",
        ]
    )


def _colour(level: int) -> str:
    return LEVEL_COLOURS.get(level, _OTHER)


def _tint(colour: str, share: float = 0.16) -> str:
    """Mix a colour into white."""
    parts = (int(colour[i : i + 2], 16) for i in (1, 3, 5))
    return "#" + "".join(f"{round(255 - share * (255 - part)):02x}" for part in parts)


def _text(
    x: float,
    y: float,
    text: str,
    size: float,
    fill: str,
    anchor: str = "middle",
    *,
    bold: bool = False,
) -> str:
    weight = ' font-weight="bold"' if bold else ""
    return (
        f'<text x="{x:.1f}" y="{y:.1f}" font-size="{size:g}" fill="{fill}" '
        f'text-anchor="{anchor}"{weight}>{escape(text)}</text>'
    )


def _subtitle(graph: BlockGraph, genotype: Genotype) -> str:
    blocks = sum(block.key[0] != STEM for block in graph.blocks)
    inputs = [block.level for block in graph.blocks if block.key[0] == STEM]
    copies = f"{genotype.repeats} repeats · " if genotype.repeats > 1 else ""
    reads = " ".join(f"C{level}" for level in sorted(inputs))
    gives = " ".join(f"P{level}" for level in genotype.levels)
    return f"{copies}{blocks} blocks · in {reads} · out {gives}"


def _frame(layout: Layout, height: float) -> Iterator[str]:
    """Draw what lies behind: a band per repeat, a line per level."""
    starts = (0, *layout.gates[:-1])
    for repeat, (start, end) in enumerate(zip(starts, layout.gates, strict=True)):
        x, span = start * COLUMN, (end - start) * COLUMN
        fill = "#f6f8fa" if repeat % 2 == 0 else "#fdfdfe"
        yield (
            f'<rect x="{x:.1f}" y="-44" width="{span:.1f}" height="{height + 34:.1f}" '
            f'fill="{fill}"/>'
        )
        if len(layout.gates) > 1:
            yield _text(x + span / 2, -50, f"repeat {repeat + 1}", 12, _MUTED)
    for level in layout.levels:
        y = row_y(level, layout.levels[-1])
        right = layout.gates[-1] * COLUMN
        yield (
            f'<line x1="0" y1="{y:.1f}" x2="{right:.1f}" y2="{y:.1f}" '
            f'stroke="{_FAINT}" stroke-width="1.5"/>'
        )
        yield _text(-34, y - 1, f"level {level}", 12, _colour(level), "end", bold=True)
        yield _text(-34, y + 13, f"stride {2**level}", 10, _MUTED, "end")


def _stem_lines(layout: Layout) -> Iterator[str]:
    """Draw how C6 and C7 are made, beside the column of inputs."""
    for source, target in layout.stem:
        y0, y1 = (row_y(level, layout.levels[-1]) for level in (source, target))
        bulge = 0.0 if abs(source - target) == 1 else -34.0
        side = -RADIUS if bulge else 0.0
        edge = 0.0 if bulge else (RADIUS if y0 > y1 else -RADIUS)
        tip = y1 + edge * 1.0
        head = _HEAD if y0 > y1 else -_HEAD
        yield (
            f'<path class="stem" data-from="C{source}" data-to="C{target}" '
            f'd="M{side:.1f} {y0 - edge:.1f} C{side + bulge:.1f} {y0 - edge:.1f} '
            f'{side + bulge:.1f} {tip + head:.1f} {side:.1f} {tip + head / 2:.1f}" '
            f'fill="none" stroke="{_MUTED}" stroke-width="1.8" '
            'stroke-dasharray="4 3"/>'
        )
        if not bulge:
            yield _head_up(0.0, tip, head)


def _head_up(x: float, y: float, head: float) -> str:
    return f'<path d="M{x:.1f} {y:.1f} l-4.5 {head:.1f} h9 z" fill="{_MUTED}"/>'


def _lines(graph: BlockGraph, layout: Layout) -> Iterator[str]:
    """Draw every line; where several enter one block, they enter above each other."""
    top = layout.levels[-1]
    rings = {key for _, key in graph.outputs}
    for spot in layout.spots:
        routes = [route for route in layout.routes if route.target.key == spot.key]
        routes.sort(key=lambda route: (legs(route, top)[-2][1], route.source.key))
        for place, route in enumerate(routes):
            offset = (place - (len(routes) - 1) / 2) * min(10.0, 30.0 / len(routes))
            reach = RADIUS + _RING if spot.key in rings else spot.reach
            yield _line(route, top, offset, reach, route.source.key in rings)


def _line(route: Route, top: int, offset: float, reach: float, ring: bool) -> str:
    points = legs(route, top)
    (x0, y0), (_, y1) = points[0], points[-1]
    if ring:
        x0 += _RING
    centre = route.target.column * COLUMN
    tip = centre - sqrt(reach**2 - offset**2) if reach else centre
    y1 += offset
    x1 = tip - (_HEAD if route.target.block else 0.0)
    path = f"M{x0:.1f} {y0:.1f} "
    if len(points) == 4:
        (a, lane), (b, _) = points[1:3]
        path += (
            _bend(x0, y0, a, lane) + f"L{b:.1f} {lane:.1f} " + _bend(b, lane, x1, y1)
        )
    else:
        path += _bend(x0, y0, x1, y1)
    colour = _MUTED if route.residual else _colour(route.source.level)
    dash = ' stroke-dasharray="5 4"' if route.residual else ""
    head = (
        f'<path d="M{tip:.1f} {y1:.1f} l-{_HEAD + 1:g} -4.5 v9 z" fill="{colour}"/>'
        if route.target.block
        else ""
    )
    return (
        f'<path class="line" data-from="{_name(route.source)}" '
        f'data-to="{_name(route.target)}" d="{path.strip()}" fill="none" '
        f'stroke="{colour}" stroke-width="2"{dash}/>{head}'
    )


def _bend(x0: float, y0: float, x1: float, y1: float) -> str:
    """Return an S-curve that leaves and arrives level."""
    middle = (x0 + x1) / 2
    return f"C{middle:.1f} {y0:.1f} {middle:.1f} {y1:.1f} {x1:.1f} {y1:.1f} "


def _name(spot: Spot) -> str:
    """Name a spot for scripts and tests: C3, block 0.4, gate 1:P3."""
    repeat, index = spot.key
    if spot.block is None:
        return f"{repeat}:P{spot.level}"
    return spot.block.merge if repeat == STEM else f"{repeat}.{index}"


def _spot(spot: Spot, graph: BlockGraph, layout: Layout) -> Iterator[str]:
    x, y = spot.column * COLUMN, row_y(spot.level, layout.levels[-1])
    colour = _colour(spot.level)
    yield f'<g class="spot" id="{_name(spot)}" transform="translate({x:.1f} {y:.1f})">'
    if spot.block is None:
        yield from _gate(spot, colour, last=spot.column == layout.gates[-1])
    elif spot.key[0] == STEM:
        yield _square(colour) + _text(0, 5, spot.block.merge, 13, "#ffffff", bold=True)
        if any(key == spot.key for _, key in graph.outputs):
            yield _ring(colour)
    else:
        if any(key == spot.key for _, key in graph.outputs):
            yield _ring(colour)
        yield _circle(spot.block, colour)
        yield _text(0, 37, spot.block.detail, 10, _MUTED)
        yield _text(0, -29, str(spot.key[1] + 1), 9, _MUTED)
    yield "</g>"


def _gate(spot: Spot, colour: str, *, last: bool) -> Iterator[str]:
    if not last:
        yield f'<circle r="4.5" fill="#ffffff" stroke="{colour}" stroke-width="2"/>'
        return
    yield (
        f'<rect x="0" y="-13" width="42" height="26" rx="13" fill="#ffffff" '
        f'stroke="{colour}" stroke-width="2.5"/>'
    )
    yield _text(21, 5, f"P{spot.level}", 13, colour, bold=True)


def _square(colour: str) -> str:
    side = 2 * RADIUS
    return (
        f'<rect x="{-RADIUS:g}" y="{-RADIUS:g}" width="{side:g}" height="{side:g}" '
        f'rx="7" fill="{colour}"/>'
    )


def _ring(colour: str) -> str:
    return (
        f'<circle class="output" r="{RADIUS + _RING:g}" fill="#ffffff" '
        f'stroke="{colour}" stroke-width="2"/>'
    )


def _circle(block: Block, colour: str) -> str:
    pooled = block.merge.startswith("GP")
    fill = colour if pooled else _tint(colour)
    ink = "#ffffff" if pooled else _INK
    size = 13 if pooled else 20
    return (
        f'<circle r="{RADIUS:g}" fill="{fill}" stroke="{colour}" stroke-width="2.5"/>'
        + (_text(0, size * 0.36, block.merge, size, ink, bold=True))
    )


def _legend(graph: BlockGraph, layout: Layout) -> Iterator[tuple[str, float]]:
    """Yield (drawing, width) of every kind of thing that is in the picture."""
    merges = {block.merge for block in graph.blocks if block.key[0] != STEM}
    kinds = [("square", "input", True), ("+", "sum", "+" in merges)]
    kinds += [("GP", "global-pooling attention", bool(merges & {"GP", "GP+"}))]
    kinds += [("GP+", "with dangling features added", "GP+" in merges)]
    kinds += [("", "one input", "" in merges), ("ring", "output", True)]
    residual = any(route.residual for route in layout.routes)
    kinds += [("dash", "residual, where shapes agree", residual)]
    for kind, label, present in kinds:
        if present:
            yield (
                _key_sign(kind) + _text(20, 4, label, 12, _MUTED, "start"),
                (len(label) * 6.3 + 58),
            )


def _key_sign(kind: str) -> str:
    if kind == "dash":
        return (
            f'<path d="M-16 0 h28" stroke="{_MUTED}" stroke-width="2" '
            'stroke-dasharray="5 4"/>'
        )
    if kind == "square":
        sign = _square(_OTHER)
    elif kind == "ring":
        sign = _ring(_OTHER) + _circle(Block((0, 0), 0, ""), _OTHER)
    else:
        sign = _circle(Block((0, 0), 0, kind), _OTHER)
    return f'<g transform="scale(0.55)">{sign}</g>'


def _placed_legend(legend: Iterable[tuple[str, float]], y: float) -> Iterator[str]:
    x = 44.0
    for drawing, advance in legend:
        yield f'<g transform="translate({x:.1f} {y:.1f})">{drawing}</g>'
        x += advance
