"""Helpers by which spaces write graphs and read choices."""

from collections.abc import Iterator, Mapping, Sequence

from fpnbench.graph.decision import Choices, Decision
from fpnbench.graph.errors import UserError
from fpnbench.graph.genotype import Genotype, Node
from fpnbench.graph.ops import Input, Op, Resample, StridedConv


class Builder:
    """A genotype under construction: appends nodes and remembers their levels.

    Attributes:
        block: provenance given to the nodes that are added, see `Node.block`.
    """

    def __init__(self) -> None:
        self.block = (-1, 0)
        self._nodes: list[Node] = []
        self._levels: list[int] = []

    def input(self, level: int) -> int:
        """Add the backbone's map C`level` and return its index."""
        return self._append(Input(level), (), level)

    def add(self, op: Op, *inputs: int) -> int:
        """Add an op that keeps the level of its first input and return its index."""
        return self._append(op, inputs, self._levels[inputs[0]])

    def resample(self, source: int, level: int, kernel: int = 0) -> int:
        """Bring a node to `level`; no op where it is there already.

        Args:
            source: index of the node.
            level: where to.
            kernel: pooling window on the way down, see `Resample`.
        """
        here = self._levels[source]
        if here == level:
            return source
        op = Resample(here, level, kernel if level > here else 0)
        return self._append(op, (source,), level)

    def strided(self, source: int, op: StridedConv) -> int:
        """Add a convolution down from the level of `source` and return its index."""
        return self._append(op, (source,), op.target)

    def level(self, index: int) -> int:
        """Return the level of a node."""
        return self._levels[index]

    def build(self, outputs: Mapping[int, int], repeats: int) -> Genotype:
        """Finish; `outputs` maps levels to nodes."""
        return Genotype(tuple(self._nodes), tuple(sorted(outputs.items())), repeats)

    def _append(self, op: Op, inputs: tuple[int, ...], level: int) -> int:
        self._nodes.append(Node(op, inputs, self.block))
        self._levels.append(level)
        return len(self._nodes) - 1


def check_levels(levels: Sequence[int], backbone_levels: Sequence[int]) -> None:
    """Refuse pyramid levels that backbone maps and poolings of the top one lack.

    Raises:
        UserError: names both lists.
    """
    made = {*backbone_levels, *range(max(backbone_levels), max(levels, default=0) + 1)}
    if not levels or not made.issuperset(levels):
        raise UserError(
            f"levels={list(levels)} cannot be made of backbone_levels="
            f"{list(backbone_levels)} and poolings of the highest"
        )
    if sorted(set(levels)) != list(levels):
        raise UserError(f"levels={list(levels)} must rise")


def check_intermediates(
    count: int, options: Sequence[int], levels: Sequence[int]
) -> None:
    """Refuse a negative number of intermediate cells, or levels the pyramid lacks.

    Raises:
        UserError: names the value and what is allowed.
    """
    if count < 0:
        raise UserError(f"intermediates={count} must be >= 0")
    if not set(options) <= set(levels):
        raise UserError(
            f"intermediate_levels={list(options)} must be among levels={list(levels)}"
        )


def input_decisions(block: str, features: Sequence[str]) -> list[Decision]:
    """Two different features: the first, and the second among those that remain."""
    remaining = tuple(range(len(features) - 1))
    return [
        Decision(f"{block}.input1", tuple(features)),
        Decision(f"{block}.input2", remaining),
    ]


def read_pair(reader: Iterator[int], count: int) -> tuple[int, int]:
    """Read two different features of `count` as `input_decisions` wrote them."""
    first, second = next(reader), next(reader)
    return first, [i for i in range(count) if i != first][second]


def coarse_first(first: int, second: int, levels: Sequence[int]) -> tuple[int, int]:
    """Order two features as (coarse, fine) for global pooling.

    The higher level is the coarse one; at equal levels the first input is.
    """
    return (second, first) if levels[second] > levels[first] else (first, second)


def order_decisions(levels: Sequence[int]) -> list[Decision]:
    """Order of the output levels as digits, each an index among the levels left.

    The last level is no decision.
    """
    count = len(levels)
    return [
        Decision(f"output{i}.level", tuple(range(count - i))) for i in range(count - 1)
    ]


def read_order(digits: Choices, levels: Sequence[int]) -> list[int]:
    """Read a permutation of `levels` from the digits of `order_decisions`."""
    left = list(levels)
    return [left.pop(digit) for digit in (*digits, 0)]
