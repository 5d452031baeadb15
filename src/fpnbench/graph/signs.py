"""Signs of a pyramid's drawing: squares, circles, rings, texts and the legend.

Everything is SVG text around the point (0, 0).
"""

from collections.abc import Iterable, Iterator, Sequence
from html import escape

from fpnbench.graph.layout import RADIUS

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
HEAD = 8.0
"""Length of an arrow's head, px."""


def colour_of(level: int) -> str:
    """Return the colour of a level."""
    return LEVEL_COLOURS.get(level, OTHER)


def tint(colour: str, share: float = 0.16) -> str:
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


def circle(merge: str, colour: str, radius: float = RADIUS, dash: str = "") -> str:
    """Return the sign of a block; `merge` as in `Block`, `dash` is of its edge."""
    pooled = merge.startswith("GP")
    fill = colour if pooled else tint(colour)
    ink = "#ffffff" if pooled else INK
    size = round(radius * {"+": 1.05, "w+": 0.8}.get(merge, 0.69))
    return (
        f'<circle r="{radius:g}" fill="{fill}" stroke="{colour}" '
        f'stroke-width="2.5"{dash}/>'
        + text(0, size * 0.36, merge, size, ink, bold=True)
    )


def gate(level: int, *, last: bool) -> str:
    """Return the sign of a feature that is handed on, or comes out at the `last`."""
    colour = colour_of(level)
    if not last:
        return f'<circle r="4.5" fill="#ffffff" stroke="{colour}" stroke-width="2"/>'
    return (
        f'<rect x="0" y="-13" width="42" height="26" rx="13" fill="#ffffff" '
        f'stroke="{colour}" stroke-width="2.5"/>'
    ) + text(21, 5, f"P{level}", 13, colour, bold=True)


def head(x: float, y: float, colour: str) -> str:
    """Return the head of an arrow to the right with its tip at (x, y)."""
    return f'<path d="M{x:.1f} {y:.1f} l-{HEAD + 1:g} -4.5 v9 z" fill="{colour}"/>'


def stem_line(
    names: tuple[str, str],
    ends: Sequence[tuple[float, float, float]],
    tall: float,
    *,
    aside: bool,
) -> str:
    """Return the line from an input to another that is made of it.

    Args:
        names: of both.
        ends: x, y and half the width of both, px.
        tall: half the height of both, px.
        aside: whether it passes others: then it runs on their left, else upright.
    """
    (x0, y0, half0), (x1, y1, half1) = ends
    if aside:
        x0, x1 = x0 - half0, x1 - half1
        bend = min(x0, x1) - 23
        points = (x0, y0, bend, y0, bend, y1, x1 - HEAD, y1)
        tip = f"M{x1:.1f} {y1:.1f} l-{HEAD + 1:g} -4.5 v9 z"
    else:
        up = 1 if y0 > y1 else -1
        y0, y1 = y0 - up * tall, y1 + up * tall
        half = (y0 + y1) / 2
        points = (x0, y0, x0, half, x1, half, x1, y1 + up * HEAD)
        tip = f"M{x1:.1f} {y1:.1f} l-4.5 {up * (HEAD + 1):g} h9 z"
    path = "M{:.1f} {:.1f} C{:.1f} {:.1f} {:.1f} {:.1f} {:.1f} {:.1f}".format(*points)
    return (
        f'<path class="stem" data-from="{names[0]}" data-to="{names[1]}" d="{path}" '
        f'fill="none" stroke="{MUTED}" stroke-width="2" stroke-dasharray="4 3"/>'
        f'<path d="{tip}" fill="{MUTED}"/>'
    )


def entry(sign: str, label: str) -> tuple[str, float]:
    """Return (drawing, width) of a legend's entry."""
    drawing = sign + text(20, 4, label, 12, MUTED, "start")
    return drawing, len(label) * 6.3 + 58


def small(sign: str) -> str:
    """Return a sign in a legend's size."""
    return f'<g transform="scale(0.55)">{sign}</g>'


def dashes() -> str:
    """Return a piece of a residual's line."""
    return (
        f'<path d="M-16 0 h28" stroke="{MUTED}" stroke-width="2" '
        'stroke-dasharray="5 4"/>'
    )


def placed(entries: Iterable[tuple[str, float]], x: float, y: float) -> Iterator[str]:
    """Put the entries of a legend beside each other, from (x, y) on."""
    for drawing, advance in entries:
        yield f'<g transform="translate({x:.1f} {y:.1f})">{drawing}</g>'
        x += advance
