"""Signs of a pyramid's drawing: squares, circles, rings, texts and the legend.

Everything is SVG text around the point (0, 0).
"""

from collections.abc import Iterable, Iterator
from html import escape

from fpnbench.graph.blocks import STEM, BlockGraph
from fpnbench.graph.layout import RADIUS, Layout

LEVEL_COLOURS = {
    2: "#7b5ea7",
    3: "#3a6fb0",
    4: "#1f9e94",
    5: "#6ba32d",
    6: "#e39a1c",
    7: "#d0455c",
}
"""Colour of a level; the figures of a paper can use the same."""
OTHER, INK, MUTED, FAINT = "#6b7280", "#1f2933", "#6b7785", "#dfe4ea"
RING = 5.0
"""Distance of an output's ring, px."""


def colour_of(level: int) -> str:
    """Return the colour of a level."""
    return LEVEL_COLOURS.get(level, OTHER)


def _tint(colour: str, share: float = 0.16) -> str:
    """Mix a colour into white."""
    parts = (int(colour[i : i + 2], 16) for i in (1, 3, 5))
    return "#" + "".join(f"{round(255 - share * (255 - part)):02x}" for part in parts)


def text(
    x: float,
    y: float,
    words: str,
    size: float,
    fill: str,
    anchor: str = "middle",
    *,
    bold: bool = False,
) -> str:
    """Return `words` with their middle, or `anchor`, at x and their baseline at y."""
    weight = ' font-weight="bold"' if bold else ""
    return (
        f'<text x="{x:.1f}" y="{y:.1f}" font-size="{size:g}" fill="{fill}" '
        f'text-anchor="{anchor}"{weight}>{escape(words)}</text>'
    )


def square(colour: str) -> str:
    """Return the sign of an input."""
    side = 2 * RADIUS
    return (
        f'<rect x="{-RADIUS:g}" y="{-RADIUS:g}" width="{side:g}" height="{side:g}" '
        f'rx="7" fill="{colour}"/>'
    )


def ring(colour: str) -> str:
    """Return the ring around an output."""
    return (
        f'<circle class="output" r="{RADIUS + RING:g}" fill="#ffffff" '
        f'stroke="{colour}" stroke-width="2"/>'
    )


def circle(merge: str, colour: str) -> str:
    """Return the sign of a block; `merge` as in `Block`."""
    pooled = merge.startswith("GP")
    fill = colour if pooled else _tint(colour)
    ink = "#ffffff" if pooled else INK
    size = 13 if pooled else 20
    return (
        f'<circle r="{RADIUS:g}" fill="{fill}" stroke="{colour}" stroke-width="2.5"/>'
        + text(0, size * 0.36, merge, size, ink, bold=True)
    )


def legend(graph: BlockGraph, layout: Layout) -> Iterator[tuple[str, float]]:
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
                _key_sign(kind) + text(20, 4, label, 12, MUTED, "start"),
                (len(label) * 6.3 + 58),
            )


def _key_sign(kind: str) -> str:
    if kind == "dash":
        return (
            f'<path d="M-16 0 h28" stroke="{MUTED}" stroke-width="2" '
            'stroke-dasharray="5 4"/>'
        )
    if kind == "square":
        sign = square(OTHER)
    elif kind == "ring":
        sign = ring(OTHER) + circle("", OTHER)
    else:
        sign = circle(kind, OTHER)
    return f'<g transform="scale(0.55)">{sign}</g>'


def placed(entries: Iterable[tuple[str, float]], x: float, y: float) -> Iterator[str]:
    """Put the entries of a legend beside each other, from (x, y) on."""
    for drawing, advance in entries:
        yield f'<g transform="translate({x:.1f} {y:.1f})">{drawing}</g>'
        x += advance
