"""Operations of a block, placed inside it.

Every feature that a block reads comes in on a row of its own and keeps it through
projection, expansion and resampling; where rows are merged the trunk begins, and runs
to the right end. Features wanted later come in lower, a residual lowest, so that their
rows pass below the trunk. What is read before the block's last operation leaves above.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from statistics import mean

from fpnbench.graph.blocks import BlockKey, block_keys, stride_of
from fpnbench.graph.genotype import Genotype, node_levels
from fpnbench.graph.layout import RADIUS, Shape
from fpnbench.graph.ops import (
    Conv,
    GlobalPool,
    Input,
    Noise,
    Op,
    Project,
    Resample,
    Residual,
    Rolled,
    SepConv,
    SepProject,
    StridedConv,
    Sum,
    WeightedSum,
)

MERGES = {Sum: "+", WeightedSum: "w+", GlobalPool: "GP", Residual: "+"}
"""Signs of the operations that are drawn as circles."""
DOT, HEIGHT = 14.0, 14.0
"""Radius of such a circle, and half the height of the other operations, px."""
PITCH, INNER = 34.0, 26.0
"""Distance of two rows, and free width between two columns, inside a block, px."""
PAD, TITLE = 10.0, 12.0
"""Free width inside a block's edge, and the height of its number above it, px."""
_LETTER = 5.9
"""Width of a letter, px."""
Edge = tuple[int, int]


@dataclass(frozen=True, slots=True)
class PlacedOp:
    """One operation with its middle, px from the place of its block."""

    op: Op
    level: int
    column: int
    x: float
    y: float

    @property
    def half(self) -> float:
        """Half its width, px."""
        return _half(self.op)


@dataclass(frozen=True, slots=True)
class Cell:
    """A block with its operations.

    Attributes:
        ops: by node.
        rights: right edge of every column, px from the block's place.
        shape: the room it needs, and where lines come in and go out.
    """

    ops: Mapping[int, PlacedOp]
    rights: tuple[float, ...]
    shape: Shape


def words(op: Op) -> tuple[str, str]:
    """Name an operation in two lines: R ReLU, C convolution, S separable, B norm."""
    match op:
        case Input(level):
            return f"C{level}", ""
        case Resample(source, target, kernel):
            by = stride_of(op)
            if source > target:
                return f"↑{by}", "nearest"
            window = kernel or by
            return f"↓{by}", f"max {window}×{window}" if window > 1 else "subsample"
        case Rolled():
            return "rolled", "other image"
        case Noise():
            return "noise", "of its mean, sd"
        case Project(width):
            return "C-B", f"1×1 →{width}"
        case SepProject(width):
            return "S-B", f"1×1 →{width}"
        case Conv() | SepConv() | StridedConv():
            separable = isinstance(op, SepConv) or getattr(op, "separable", False)
            letters = [{"none": "", "relu": "R", "relu6": "R6"}[op.activation]]
            letters += ["S" if separable else "C", "B" * getattr(op, "norm", True)]
            stride = f" ↓{stride_of(op)}" if isinstance(op, StridedConv) else ""
            size = f"{op.kernel}×{op.kernel}{stride} →{op.width}"
            return "-".join(filter(None, letters)), size
    return MERGES[type(op)], ""


def cells(genotype: Genotype) -> dict[BlockKey, Cell]:
    """Place the operations of every block."""
    keys = block_keys(genotype)
    groups: dict[BlockKey, list[int]] = {}
    read = {index for _, index in genotype.outputs}
    for index, node in enumerate(genotype.nodes):
        groups.setdefault(keys[index], []).append(index)
        read |= {source for source in node.inputs if keys[source] != keys[index]}
    return {key: _cell(genotype, group, read) for key, group in groups.items()}


def _half(op: Op) -> float:
    if isinstance(op, Input):
        return RADIUS
    if type(op) in MERGES:
        return DOT
    return max(map(len, words(op))) * _LETTER / 2 + 6


def _cell(genotype: Genotype, group: Sequence[int], read: set[int]) -> Cell:
    nodes, levels = genotype.nodes, node_levels(genotype)
    inside = {index: dict.fromkeys(nodes[index].inputs) for index in group}
    columns: dict[int, int] = {}
    for index, sources in inside.items():
        columns[index] = max(
            (columns[s] + 1 for s in sources if s in columns), default=0
        )
    rows = _rows(inside, columns, lambda index: levels[index])
    ys = _heights(inside, columns, rows)
    exits = _exits(group, columns, ys, read)
    axis = ys[group[-1]]
    halves = [0.0] * (max(columns.values()) + 1)
    for index, column in columns.items():
        halves[column] = max(halves[column], _half(nodes[index].op))
    half = PAD + sum(halves) + INNER * (len(halves) - 1) / 2
    middles = [PAD + halves[0] - half]
    for before, here in pairwise(halves):
        middles.append(middles[-1] + before + INNER + here)
    ends = [*ys.values(), *exits.values(), *rows.values()]
    inputs = any(isinstance(nodes[index].op, Input) for index in group)
    tall = PAD + (RADIUS if inputs else HEIGHT)
    return Cell(
        {
            index: PlacedOp(
                nodes[index].op,
                levels[index],
                column,
                middles[column],
                ys[index] - axis,
            )
            for index, column in columns.items()
        },
        tuple(x + h for x, h in zip(middles, halves, strict=True)),
        Shape(
            half,
            axis - min(ends) + tall + TITLE,
            max(ends) - axis + tall,
            {edge: y - axis for edge, y in rows.items()},
            {index: y - axis for index, y in exits.items()},
        ),
    )


def _rows(
    inside: Mapping[int, Mapping[int, None]],
    columns: Mapping[int, int],
    level: Callable[[int], int],
) -> dict[Edge, float]:
    """Give every edge from outside a height: early merges first, high levels first."""

    def merged(index: int) -> int:
        users = [user for user, sources in inside.items() if index in sources]
        if len(inside[index]) > 1 or not users:
            return columns[index]
        return merged(users[0])

    edges = [
        (s, i) for i, sources in inside.items() for s in sources if s not in inside
    ]
    edges.sort(key=lambda edge: (merged(edge[1]), -level(edge[0]), edge))
    return {edge: place * PITCH for place, edge in enumerate(edges)}


def _heights(
    inside: Mapping[int, Mapping[int, None]],
    columns: Mapping[int, int],
    rows: Mapping[Edge, float],
) -> dict[int, float]:
    """Give every operation a height: its row's, or from a merge on the trunk's."""
    ys: dict[int, float] = {}
    trunk: set[int] = set()
    for index, sources in inside.items():
        heights = [ys[s] if s in ys else rows[s, index] for s in sources]
        merged = [ys[s] for s in sources if s in trunk]
        y = merged[0] if merged else mean(heights or [0.0])
        if merged or len(sources) > 1:
            trunk.add(index)
        beside = [ys[other] for other in ys if columns[other] == columns[index]]
        while any(abs(y - other) < PITCH for other in beside):
            y += PITCH
        ys[index] = y
    return ys


def _exits(
    group: Sequence[int],
    columns: Mapping[int, int],
    ys: Mapping[int, float],
    read: set[int],
) -> dict[int, float]:
    """Let the last operation out straight, others that are read above what follows."""
    exits = {group[-1]: ys[group[-1]]}
    for index in group[:-1]:
        if index in read:
            later = [ys[other] for other in group if columns[other] > columns[index]]
            exits[index] = min([*exits.values(), *later]) - PITCH
    return exits
