"""Places of a pyramid's drawing: levels are rows, time runs to the right.

Blocks stand in the column of their depth, so that blocks which do not wait for each
other share one. Between two repeats, and at the right end, every feature that is handed
on passes a gate; so all repeats look alike. How the lines run is `routes`' matter.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from fpnbench.graph.blocks import STEM, Block, BlockGraph, BlockKey, Link

RADIUS = 19.0
"""Radius of a block, px."""
GAP = 58.0
"""Free width between two columns, px; up to `QUIET` lines begin or end in it."""
QUIET, BUSY = 8, 4.0
"""Above so many, every line widens the gap by `BUSY` px."""
TRACKS = (28.0, 20.0, 12.0, 4.0)
"""Lines between two rows: px above the room of the lower row."""
ALLEY = 32.0
"""Free height between the rooms of two rows, px."""
COLUMN, ROW = 2 * RADIUS + GAP, 38.0 + 42.0 + ALLEY
"""Distance of neighbouring columns and rows, px, where all blocks are `DISC`s."""


@dataclass(frozen=True, slots=True)
class Shape:
    """The room that a block needs around its place, and where lines meet it.

    Attributes:
        half: half its width, px.
        above: height above its place with all texts, px.
        below: the same downwards.
        entries: by edge, how far below its place (px) a line comes in; 0 if absent.
        exits: by node, how far below its place (px) a line goes out; 0 if absent.
    """

    half: float
    above: float
    below: float
    entries: Mapping[tuple[int, int], float] = field(default_factory=dict)
    exits: Mapping[int, float] = field(default_factory=dict)


DISC = Shape(RADIUS, 38.0, 42.0)
"""A block drawn as a circle with a text above and one below it."""
GATE = Shape(0.0, 30.0, 30.0)


@dataclass(frozen=True, slots=True)
class Spot:
    """Something with a place: a block, an input, or a gate (`block` is None).

    Attributes:
        key: the block's key; of a gate (repeat it leads into, -1 - level).
        column: column, from 0.
        level: level, that is the row.
        shape: the room it needs.
        block: the block that stands here.
    """

    key: BlockKey
    column: int
    level: int
    shape: Shape
    block: Block | None


@dataclass(frozen=True, slots=True)
class Join:
    """A line to be laid between two spots; `edge` as in `Link`."""

    source: Spot
    target: Spot
    residual: bool
    edge: tuple[int, int] | None

    @property
    def name(self) -> tuple[BlockKey, BlockKey, tuple[int, int] | None]:
        """What tells it from every other line."""
        return self.source.key, self.target.key, self.edge

    @property
    def out(self) -> float:
        """How far below its source's place it goes out, px."""
        return self.source.shape.exits.get(self.edge[0], 0.0) if self.edge else 0.0

    @property
    def into(self) -> float:
        """How far below its target's place it comes in, px."""
        return self.target.shape.entries.get(self.edge, 0.0) if self.edge else 0.0


@dataclass(frozen=True, slots=True)
class Grid:
    """Where columns and rows lie, px; the highest level's row is at 0.

    Attributes:
        middles: middle of every column.
        halves: half the width of every column.
        rows: by level, the middle of its row.
        tracks: heights between the rows at which lines may run.
        top: upper end of the highest row's room.
        bottom: lower end of the lowest row's room.
    """

    middles: tuple[float, ...]
    halves: tuple[float, ...]
    rows: Mapping[int, float]
    tracks: tuple[float, ...]
    top: float
    bottom: float

    def left(self, column: int) -> float:
        """Return the left edge of a column."""
        return self.middles[column] - self.halves[column]

    def right(self, column: int) -> float:
        """Return the right edge of a column."""
        return self.middles[column] + self.halves[column]


@dataclass(frozen=True, slots=True)
class Places:
    """Everything with its place.

    Attributes:
        spots: inputs, blocks and gates.
        joins: lines from left to right, still to be laid.
        stem: links between inputs, such as C6's to the C5 that it is made of.
        gates: columns of the gates; the last one is the end.
        grid: where columns and rows lie.
    """

    spots: tuple[Spot, ...]
    joins: tuple[Join, ...]
    stem: tuple[Link, ...]
    gates: tuple[int, ...]
    grid: Grid

    @property
    def end(self) -> float:
        """Where the last gates stand, px."""
        return self.grid.middles[self.gates[-1]]

    def aside(self, link: Link) -> bool:
        """Return whether a stem link passes other rows, beside their inputs."""
        levels = sorted(self.grid.rows)
        return abs(levels.index(link.source[1]) - levels.index(link.target[1])) > 1


def arrange(graph: BlockGraph, shapes: Mapping[BlockKey, Shape]) -> Places:
    """Place the blocks of a graph; `shapes` holds the room of every block."""
    spots, gates = _place(graph, shapes)
    stem = tuple(link for link in graph.links if link.target[0] == STEM)
    joins = _through_gates(graph, spots)
    grid = _grid(tuple(spots.values()), joins, gates[-1] + 1)
    return Places(tuple(spots.values()), joins, stem, gates, grid)


def _grid(spots: Sequence[Spot], joins: Sequence[Join], columns: int) -> Grid:
    halves = [RADIUS] * columns
    above: dict[int, float] = {}
    below: dict[int, float] = {}
    for spot in spots:
        level, shape = spot.level, spot.shape
        halves[spot.column] = max(halves[spot.column], shape.half)
        above[level] = max(above.get(level, 0.0), shape.above)
        below[level] = max(below.get(level, 0.0), shape.below)
    middles = [0.0]
    for column in range(1, columns):
        lines = sum(
            join.target.column == column or join.source.column == column - 1
            for join in joins
        )
        gap = GAP + BUSY * max(0, lines - QUIET)
        middles.append(middles[-1] + halves[column - 1] + gap + halves[column])
    high, *lower = sorted(above, reverse=True)
    rows, tracks = {high: 0.0}, []
    for upper, level in zip([high, *lower], lower, strict=False):
        rows[level] = rows[upper] + below[upper] + ALLEY + above[level]
    lowest = min(rows)
    bottom = rows[lowest] + below[lowest]
    for end in [
        bottom + ALLEY,
        *(rows[level] - above[level] for level in sorted(rows)),
    ]:
        tracks += [end - track for track in TRACKS]
    return Grid(
        tuple(middles), tuple(halves), rows, tuple(tracks), -above[high], bottom
    )


def _gate(repeat: int, level: int) -> BlockKey:
    return (repeat, -1 - level)


def _repeats(graph: BlockGraph) -> int:
    return max((block.key[0] for block in graph.blocks), default=STEM) + 1


def _handed_on(graph: BlockGraph, repeat: int) -> set[int]:
    """Return the levels of what `repeat` reads from earlier ones."""
    if repeat == _repeats(graph):
        return {level for level, _, _ in graph.outputs}
    level = {block.key: block.level for block in graph.blocks}
    return {
        level[link.source]
        for link in graph.links
        if link.target[0] == repeat and link.source[0] < repeat
    }


def _place(
    graph: BlockGraph, shapes: Mapping[BlockKey, Shape]
) -> tuple[dict[BlockKey, Spot], tuple[int, ...]]:
    spots = {
        block.key: Spot(block.key, 0, block.level, shapes[block.key], block)
        for block in graph.blocks
        if block.key[0] == STEM
    }
    gates: list[int] = []
    start = 0 if _repeats(graph) else 1
    for repeat in range(_repeats(graph) + 1):
        if repeat > 0 or not _repeats(graph):
            gates.append(start)
            for level in sorted(_handed_on(graph, repeat)):
                key = _gate(repeat, level)
                spots[key] = Spot(key, start, level, GATE, None)
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
            shape = shapes[block.key]
            spots[block.key] = Spot(block.key, column, block.level, shape, block)
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


def _through_gates(
    graph: BlockGraph, spots: Mapping[BlockKey, Spot]
) -> tuple[Join, ...]:
    """Send every link between two repeats, and every output, through its gate."""
    found: dict[tuple[BlockKey, BlockKey, tuple[int, int] | None], bool] = {}
    level = {block.key: block.level for block in graph.blocks}
    for link in graph.links:
        source, target = link.source, link.target
        if target[0] == STEM:
            continue
        if source[0] < target[0] and target[0] > 0:
            gate = _gate(target[0], level[source])
            found[source, gate, link.edge] = False
            source = gate
        key = (source, target, link.edge)
        found[key] = found.get(key, True) and link.residual
    for output, block, node in graph.outputs:
        found[block, _gate(_repeats(graph), output), (node, -1)] = False
    return tuple(
        Join(spots[a], spots[b], skip, edge) for (a, b, edge), skip in found.items()
    )
