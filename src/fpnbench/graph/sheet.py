"""A pyramid's sheet of paper: title, legend, a row a level, a band a repeat."""

from collections.abc import Iterable, Iterator, Sequence

from fpnbench.graph.layout import Places
from fpnbench.graph.routes import Route
from fpnbench.graph.signs import FAINT, INK, MUTED, colour_of, placed, text

_LEFT, _RIGHT, _HEADER, _FOOTER = 77.0, 72.0, 92.0, 66.0
_MARGIN = 6.0
_ASIDE = 14.0
"""How far a stem line runs beside the inputs that it passes, px."""


def sheet(
    title: tuple[str, str],
    places: Places,
    routes: Sequence[Route],
    parts: Iterable[str],
    legend: Sequence[tuple[str, float]],
) -> str:
    """Return a whole SVG file.

    Args:
        title: the title and the smaller line below it.
        places: what stands where.
        routes: the lines: those beyond the outer rows need room.
        parts: the drawing.
        legend: (drawing, width) of its entries, see `legend_of`.
    """
    lanes = [route.lane for route in routes]
    first = min([places.grid.top - _MARGIN, *(y - 8 for y in lanes)])
    last = max([places.grid.bottom + 2, *lanes]) + 8
    left = _LEFT + places.grid.halves[0] + _aside(places)
    legend_px = sum(advance for _, advance in legend)
    width = max(left + places.end + _RIGHT, legend_px + 32, 12.0 * len(title[0]) + 60)
    height = _HEADER - first + last + _FOOTER
    lines = [
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{width:.0f}" '
        f'height="{height:.0f}" viewBox="0 0 {width:.0f} {height:.0f}" '
        'font-family="DejaVu Sans, sans-serif">',
        f'<rect width="{width:.0f}" height="{height:.0f}" fill="#ffffff"/>',
        text(24, 36, title[0], 20, INK, "start", bold=True),
        text(24, 60, title[1], 13, MUTED, "start"),
        f'<g transform="translate({left:.0f} {_HEADER - first:.0f})">',
        *_frame(places, first, last),
        *parts,
        "</g>",
        *placed(legend, 44, height - 28),
        "</svg>",
    ]
    return "\n".join(lines) + "\n"


def _frame(places: Places, first: float, last: float) -> Iterator[str]:
    """Draw what lies behind: a band per repeat, a line per level."""
    middles, rows = places.grid.middles, places.grid.rows
    starts = (0, *places.gates[:-1])
    for repeat, (start, end) in enumerate(zip(starts, places.gates, strict=True)):
        x, span = middles[start], middles[end] - middles[start]
        fill = "#f6f8fa" if repeat % 2 == 0 else "#fdfdfe"
        yield (
            f'<rect x="{x:.1f}" y="{first:.1f}" width="{span:.1f}" '
            f'height="{last - first:.1f}" '
            f'fill="{fill}"/>'
        )
        if len(places.gates) > 1:
            yield text(x + span / 2, first - 6, f"repeat {repeat + 1}", 12, MUTED)
    margin = places.grid.left(0) - 15 - _aside(places)
    for level in sorted(rows):
        y = rows[level]
        yield (
            f'<line x1="0" y1="{y:.1f}" x2="{places.end:.1f}" y2="{y:.1f}" '
            f'stroke="{FAINT}" stroke-width="1.5"/>'
        )
        name, stride = f"level {level}", f"stride {2**level}"
        yield text(margin, y - 1, name, 12, colour_of(level), "end", bold=True)
        yield text(margin, y + 13, stride, 10, MUTED, "end")


def _aside(places: Places) -> float:
    """Return the width of lines that run on the left of the inputs."""
    return _ASIDE * any(places.aside(link) for link in places.stem)
