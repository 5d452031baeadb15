"""NAS-FPN: merging cells over all pairs of features.

Source: Ghiasi et al. 2019, NAS-FPN (arXiv 1904.07392), section 3.1, and the released
code (tensorflow/tpu, `modeling/architecture/nasfpn.py`), which decides what the paper
leaves open: unused features are summed into the output of their level, global pooling
attends from the operand of the higher level, the first one where levels are equal.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from fpnbench.graph.builder import (
    Builder,
    check_levels,
    input_decisions,
    order_decisions,
    read_order,
    read_pair,
)
from fpnbench.graph.decision import Choices, Decision, check_choices
from fpnbench.graph.errors import UserError
from fpnbench.graph.genotype import Genotype
from fpnbench.graph.ops import Conv, GlobalPool, Project, Sum

Projection = Literal["per_use", "once"]


@dataclass(frozen=True, slots=True)
class MergingCell:
    """Merge features `first` and `second` (indices in order of creation) at `level`."""

    first: int
    second: int
    level: int
    op: str
    output: bool


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
            name: name of the space.

        Raises:
            UserError: an option that is not allowed.
        """
        if not set(ops) <= {"sum", "gp"} or not ops:
            raise UserError(f"ops is {list(ops)}, allowed are sum and gp")
        if projection not in ("per_use", "once"):
            raise UserError(f"projection is {projection!r}, allowed: per_use, once")
        if intermediates < 0 or repeats < 1 or width < 1:
            raise UserError(
                f"intermediates={intermediates} must be >= 0, "
                f"repeats={repeats} and width={width} >= 1"
            )
        check_levels(levels, backbone_levels)
        self.name = name
        self._levels = tuple(levels)
        self._backbone_levels = tuple(backbone_levels)
        self._intermediates = intermediates
        self._intermediate_levels = tuple(intermediate_levels)
        self._ops = tuple(ops)
        self._projection = projection
        self._repeats = repeats
        self._width = width
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

    def _cells(self, choices: Choices) -> list[MergingCell]:
        digits = len(self._levels) - 1
        order = read_order(choices[len(choices) - digits :], self._levels)
        reader = iter(choices)
        cells = []
        for index in range(self._intermediates + len(self._levels)):
            first, second = read_pair(reader, len(self._levels) + index)
            output = index >= self._intermediates
            if output:
                level = order[index - self._intermediates]
            else:
                level = self._intermediate_levels[next(reader)]
            op = self._ops[next(reader)]
            cells.append(MergingCell(first, second, level, op, output))
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
                node = builder.add(Project(self._width, bias=True), node)
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
        cells: Sequence[MergingCell],
    ) -> dict[int, int]:
        """Add one copy of the cells and return its outputs by level."""
        features = list(inputs.values())
        used = [False] * len(features)
        outputs = {}

        def use(index: int, level: int) -> int:
            used[index] = True
            node = features[index]
            if node in raw:
                node = builder.add(Project(self._width, bias=True), node)
            return builder.resample(node, level)

        for position, cell in enumerate(cells):
            builder.block = (repeat, position)
            operands = [use(cell.first, cell.level), use(cell.second, cell.level)]
            first, second = (
                builder.level(features[i]) for i in (cell.first, cell.second)
            )
            dangling = [
                use(index, cell.level)
                for index, node in enumerate(features)
                if cell.output and not used[index] and builder.level(node) == cell.level
            ]
            if cell.op == "gp":
                coarse_fine = operands[::-1] if second > first else operands
                operands = [builder.add(GlobalPool(), *coarse_fine)]
            operands += dangling
            merged = operands[0]
            if len(operands) > 1:
                merged = builder.add(Sum(), *operands)
            conv = Conv(self._width, 3, "relu", bias=True)
            features.append(builder.add(conv, merged))
            used.append(False)
            if cell.output:
                outputs[cell.level] = features[-1]
        return {level: outputs[level] for level in self._levels}
