"""NAS-FPN: merging cells over all pairs of features.

Source: Ghiasi et al. 2019, NAS-FPN (arXiv 1904.07392), section 3.1, and the released
code (tensorflow/tpu, `modeling/architecture/nasfpn.py`), which decides what the paper
leaves open: unused features are summed into the output of their level, global pooling
attends from the operand of the higher level, the first one where levels are equal.
"""

from collections.abc import Sequence
from math import comb
from typing import Literal

from fpnbench.graph.builder import (
    Builder,
    check_intermediates,
    check_levels,
    coarse_first,
    input_decisions,
    order_decisions,
    read_order,
    read_pair,
)
from fpnbench.graph.decision import Choices, Decision, check_choices
from fpnbench.graph.errors import UserError
from fpnbench.graph.genotype import Genotype
from fpnbench.graph.multiplicity import (
    Cell,
    automorphisms,
    pair_orders,
    placements,
    readings,
    renamed,
)
from fpnbench.graph.ops import (
    Conv,
    GlobalPool,
    Project,
    Residual,
    SepConv,
    SepProject,
    Sum,
)

Projection = Literal["per_use", "once"]


class NASFPN:
    """The NAS-FPN search space.

    Decisions of a merging cell, as the paper's controller predicts them: input 1, input
    2 among the others, output level (intermediate cells only), binary op; last, the
    order in which the output cells produce the levels.

    Attributes:
        name: name of the space.
        decisions: what a searcher decides.
    """

    def __init__(
        self,
        levels: Sequence[int],
        backbone_levels: Sequence[int],
        intermediates: int,
        intermediate_levels: Sequence[int],
        ops: Sequence[str],
        projection: Projection,
        repeats: int,
        width: int,
        separable: bool = False,
        residual: bool = False,
        name: str = "nasfpn",
    ) -> None:
        """Define the space.

        Args:
            levels: pyramid levels in and out; those above the backbone's are pooled
                from its top map.
            backbone_levels: levels the backbone gives.
            intermediates: merging cells before the output cells.
            intermediate_levels: levels an intermediate cell may have.
            ops: binary ops, of `sum` and `gp`.
            projection: `per_use` projects C3 and C4 by 1x1 at every use in the first
                repeat (fits the paper's Table 1), `once` projects them in the stem
                (released code).
            repeats: copies stacked, each with weights of its own.
            width: feature dimension.
            separable: all convolutions are separable, the 1x1 ones, too (facts 1.2).
            residual: every output adds its level's input where the shapes agree, which
                a raw backbone map's does not (MnasFPN's cell-wide residual).
            name: name of the space.

        Raises:
            UserError: an option that is not allowed.
        """
        if not set(ops) <= {"sum", "gp"} or not ops:
            raise UserError(f"ops is {list(ops)}, allowed are sum and gp")
        if projection not in ("per_use", "once"):
            raise UserError(f"projection is {projection!r}, allowed: per_use, once")
        if repeats < 1 or width < 1:
            raise UserError(f"repeats={repeats} and width={width} must be >= 1")
        check_levels(levels, backbone_levels)
        check_intermediates(intermediates, intermediate_levels, levels)
        self.name = name
        self._levels = tuple(levels)
        self._backbone_levels = tuple(backbone_levels)
        self._intermediates = intermediates
        self._intermediate_levels = tuple(intermediate_levels)
        self._ops = tuple(ops)
        self._projection = projection
        self._repeats = repeats
        self._residual = residual
        self._project = (SepProject if separable else Project)(width, bias=True)
        self._conv = (SepConv if separable else Conv)(width, 3, "relu", bias=True)
        self.decisions = self._decide()

    def decode(self, choices: Choices) -> Genotype:
        """Build the network of a choice vector."""
        cells = self._cells(check_choices(self.decisions, choices))
        builder = Builder()
        features, raw = self._stem(builder)
        for repeat in range(self._repeats):
            features = self._merge(builder, repeat, features, raw, cells)
            raw = frozenset()
        return builder.build(features, self._repeats)

    def multiplicity(self, choices: Choices) -> int:
        """Count the choice vectors of this network, see `graph.multiplicity`."""
        cells = self._cells(check_choices(self.decisions, choices))
        inputs, top = len(self._levels), len(self._levels) - 1
        levels = [*self._levels, *(cell.level for cell in cells)]
        told = [cells]
        if self._top_is_nameless(cells, top):
            names = list(range(len(levels)))
            names[top - 1] = top
            cells = [renamed(c, names) if c.level == levels[top] else c for c in cells]
            told = list(readings(cells, top, top - 1))
        unused = [0] * self._intermediates
        named = sum(
            placements(reading, inputs, unused, lambda c, free: _ways(c, free, levels))
            for reading in told
        )
        return named // automorphisms(cells, inputs)

    def _decide(self) -> tuple[Decision, ...]:
        names = [f"P{level}" for level in self._levels]
        decisions: list[Decision] = []
        for index in range(self._intermediates + len(self._levels)):
            cell = f"cell{index}"
            decisions += input_decisions(cell, names)
            if index < self._intermediates:
                decisions.append(Decision(f"{cell}.level", self._intermediate_levels))
            decisions.append(Decision(f"{cell}.op", self._ops))
            names.append(cell)
        return (*decisions, *order_decisions(self._levels))

    def _cells(self, choices: Choices) -> list[Cell]:
        """Read the cells, with global pooling's roles and the dangling features."""
        digits = len(self._levels) - 1
        order = read_order(choices[len(choices) - digits :], self._levels)
        reader = iter(choices)
        levels, used = list(self._levels), set[int]()
        cells = []
        for index in range(self._intermediates + len(self._levels)):
            pair = read_pair(reader, len(levels))
            output = index >= self._intermediates
            if output:
                level = order[index - self._intermediates]
            else:
                level = self._intermediate_levels[next(reader)]
            used.update(pair)
            bag = [
                i for i in range(len(levels)) if i not in used and levels[i] == level
            ]
            bag *= output
            used.update(bag)
            roles: tuple[int, ...] = ()
            if self._ops[next(reader)] == "gp":
                roles = coarse_first(*pair, levels)
            else:
                bag += pair
            cells.append(Cell(level, output, roles, tuple(sorted(bag))))
            levels.append(level)
        return cells

    def _stem(self, builder: Builder) -> tuple[dict[int, int], frozenset[int]]:
        """Return the inputs by level, and those still to be projected at every use."""
        top = max(self._backbone_levels)
        features, raw = {}, set()
        for level in self._backbone_levels:
            node = builder.input(level)
            if self._projection == "per_use" and level < top:
                raw.add(node)
            else:
                node = builder.add(self._project, node)
            features[level] = node
        for level in range(top + 1, max(self._levels) + 1):
            features[level] = builder.resample(features[level - 1], level)
        return {level: features[level] for level in self._levels}, frozenset(raw)

    def _merge(
        self,
        builder: Builder,
        repeat: int,
        inputs: dict[int, int],
        raw: frozenset[int],
        cells: Sequence[Cell],
    ) -> dict[int, int]:
        """Add one copy of the cells and return its outputs by level."""
        features = list(inputs.values())
        outputs = {}

        def take(index: int, level: int) -> int:
            node = features[index]
            if node in raw:
                node = builder.add(self._project, node)
            return builder.resample(node, level)

        for position, cell in enumerate(cells):
            builder.block = (repeat, position)
            operands = [take(index, cell.level) for index in cell.bag]
            if cell.roles:
                pair = [take(index, cell.level) for index in cell.roles]
                operands.append(builder.add(GlobalPool(), *pair))
            merged = operands[0]
            if len(operands) > 1:
                merged = builder.add(Sum(), *operands)
            node = builder.add(self._conv, merged)
            features.append(node)
            if cell.output and self._residual:
                node = builder.add(Residual(), node, inputs[cell.level])
            if cell.output:
                outputs[cell.level] = node
        return {level: outputs[level] for level in self._levels}

    def _top_is_nameless(self, cells: Sequence[Cell], top: int) -> bool:
        """Tell whether the top input is just one more pooling of the input below.

        A cell at the top level that reads the input below pools it to a node of its own
        that equals the top input, if that has a single use, there. In later copies, and
        with a residual, the top input is told from these.
        """
        below, level = ([-1, *self._levels])[-2:]
        pooled = below + 1 == level > max(self._backbone_levels)
        uses = [cell.level for cell in cells for i in cell.operands if i == top]
        return pooled and uses == [level] and self._repeats == 1 and not self._residual


def _ways(cell: Cell, free: int, levels: Sequence[int]) -> int:
    """Count the pairs of inputs that give a cell its operands, see `placements`.

    A sum's operands do not tell which are inputs and which were dangling: those that do
    not dangle at this moment must be inputs, the others may be.
    """
    if len(set(cell.operands)) < len(cell.operands):
        return 0
    dangling: set[int] = set()
    if cell.output:
        unused = (i for i in range(len(levels)) if free >> i & 1)
        dangling = {i for i in unused if levels[i] == cell.level}
    if cell.roles:
        fits = set(cell.bag) == dangling - set(cell.roles)
        return pair_orders(cell.roles, levels) if fits else 0
    forced = len(set(cell.bag) - dangling)
    if not dangling <= set(cell.bag) or forced > 2:
        return 0
    return 2 * comb(len(cell.bag) - forced, 2 - forced)
