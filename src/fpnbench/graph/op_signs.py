"""Signs of operations and blocks in a drawing of operations, and its legend."""

from collections.abc import Iterator

from fpnbench.graph.cells import DOT, HEIGHT, MERGES, words
from fpnbench.graph.genotype import Genotype
from fpnbench.graph.ops import (
    Conv,
    Input,
    Noise,
    Op,
    Project,
    Resample,
    Residual,
    Rolled,
    SepProject,
)
from fpnbench.graph.signs import (
    INK,
    OTHER,
    circle,
    dashes,
    entry,
    small,
    square,
    text,
    tint,
)

RING = 4.0
"""Distance of an output's second border, px."""
_LETTERS = {
    "R": "ReLU",
    "R6": "ReLU6",
    "C": "convolution",
    "S": "separable convolution",
    "B": "batch norm",
}
_MERGES = {
    "+": "sum",
    "w+": "sum with learned weights",
    "GP": "global pooling of the operand with the dot",
}


def border(
    half: float, above: float, height: float, colour: str, *, output: bool
) -> str:
    """Return the edge of a block; that of an output is double.

    Args:
        half: half the width, px.
        above: how far it reaches above the block's place, px.
        height: its height, px.
        colour: of the level.
        output: whether the block puts out a level.
    """
    return "".join(
        f'<rect x="{-half - space:.1f}" y="{-above - space:.1f}" '
        f'width="{2 * (half + space):.1f}" height="{height + 2 * space:.1f}" '
        f'rx="{8 + space:g}" fill="#ffffff" stroke="{colour}" stroke-width="1.5"/>'
        for space in ((RING, 0.0) if output else (0.0,))
    )


def operation(op: Op, colour: str, half: float) -> str:
    """Return the sign of an operation, in a frame of 2 x `half` px."""
    first, second = words(op)
    if isinstance(op, Input):
        return square(colour) + text(0, 5, first, 13, "#ffffff", bold=True)
    if type(op) in MERGES:
        dash = ' stroke-dasharray="4 3"' if isinstance(op, Residual) else ""
        return circle(MERGES[type(op)], colour, DOT, dash)
    return _chip(op, colour, half) + (
        text(0, -2, first, 10, INK, bold=True) + text(0, 9, second, 9, INK)
    )


def _chip(op: Op, colour: str, half: float) -> str:
    """Return the frame of an operation that is no merge."""
    fill = "#ffffff" if isinstance(op, Resample | Rolled | Noise) else tint(colour)
    dash = ' stroke-dasharray="4 3"' if isinstance(op, Project | SepProject) else ""
    return (
        f'<rect x="{-half:.1f}" y="{-HEIGHT:g}" width="{2 * half:.1f}" '
        f'height="{2 * HEIGHT:g}" rx="5" fill="{fill}" stroke="{colour}" '
        f'stroke-width="1.5"{dash}/>'
    )


def legend(genotype: Genotype) -> Iterator[tuple[str, float]]:
    """Yield what every kind of sign in the picture means."""
    ops = {node.op for node in genotype.nodes}
    used = {letter for op in ops for letter in words(op)[0].split("-")}
    yield entry(small(square(OTHER)), "input")
    for sign, label in _MERGES.items():
        if any(MERGES.get(type(op)) == sign for op in ops):
            yield entry(small(circle(sign, OTHER)), label)
    known = [f"{sign} {name}" for sign, name in _LETTERS.items() if sign in used]
    if known:
        chip = _chip(Conv(1, 1, "none", False), OTHER, 27)
        yield entry(small(chip), ", ".join(known))
    if any(isinstance(op, Project | SepProject) for op in ops):
        chip = _chip(Project(1, False), OTHER, 27)
        yield entry(small(chip), "only where channels differ")
    yield entry(small(border(24, HEIGHT, 2 * HEIGHT, OTHER, output=True)), "output")
    if any(isinstance(op, Residual) for op in ops):
        yield entry(dashes(), "residual, where shapes agree")
