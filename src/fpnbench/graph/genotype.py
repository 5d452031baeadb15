"""Genotype: a whole feature pyramid, unrolled, as one graph of primitive ops."""

from collections.abc import Iterable
from dataclasses import asdict, dataclass
from typing import Any

from fpnbench.graph.errors import UserError
from fpnbench.graph.ops import OPS, Input, Op, Resample, StridedConv

FORMAT = 1
"""Number of the JSON format; raised when ops or the meaning of fields change."""


@dataclass(frozen=True, slots=True)
class Node:
    """One op and where its operands come from.

    Attributes:
        op: the operation.
        inputs: indices of earlier nodes.
        block: which block of the space made the node, (repeat, index), for drawing and
            weight sharing; (-1, 0) is the stem. No part of the key.
    """

    op: Op
    inputs: tuple[int, ...]
    block: tuple[int, int] = (-1, 0)


@dataclass(frozen=True, slots=True)
class Genotype:
    """A feature pyramid: nodes in topological order, and which gives each output level.

    Attributes:
        nodes: every op from the backbone's maps to the outputs, all repeats unrolled.
        outputs: (level, node index) pairs, by rising level.
        repeats: how many copies were stacked; provenance only, no part of the key.
    """

    nodes: tuple[Node, ...]
    outputs: tuple[tuple[int, int], ...]
    repeats: int = 1

    @property
    def levels(self) -> tuple[int, ...]:
        """Levels that come out."""
        return tuple(level for level, _ in self.outputs)

    @property
    def input_levels(self) -> tuple[int, ...]:
        """Backbone levels that go in."""
        return tuple(
            sorted({node.op.level for node in self.nodes if isinstance(node.op, Input)})
        )

    def restrict(self, levels: Iterable[int]) -> "Genotype":
        """Keep only the outputs that a detector reads.

        Raises:
            UserError: none of `levels` comes out.
        """
        wanted = set(levels)
        kept = tuple(pair for pair in self.outputs if pair[0] in wanted)
        if not kept:
            raise UserError(
                f"the detector reads levels {sorted(wanted)}, "
                f"the pyramid has {list(self.levels)}"
            )
        return Genotype(self.nodes, kept, self.repeats)


def node_levels(genotype: Genotype) -> tuple[int, ...]:
    """Return the pyramid level of every node."""
    levels: list[int] = []
    for node in genotype.nodes:
        match node.op:
            case Input(level):
                levels.append(level)
            case Resample(target=target) | StridedConv(target=target):
                levels.append(target)
            case _:
                levels.append(levels[node.inputs[0]])
    return tuple(levels)


def to_json(genotype: Genotype) -> dict[str, Any]:
    """Return the genotype as plain JSON values."""
    nodes = [
        {
            "op": type(node.op).__name__,
            **asdict(node.op),
            "inputs": list(node.inputs),
            "block": list(node.block),
        }
        for node in genotype.nodes
    ]
    outputs = {str(level): index for level, index in genotype.outputs}
    return {
        "format": FORMAT,
        "nodes": nodes,
        "outputs": outputs,
        "repeats": genotype.repeats,
    }


def from_json(data: dict[str, Any]) -> Genotype:
    """Read what `to_json` wrote.

    Raises:
        UserError: another format number, an unknown op, fields that do not fit it, a
            node or output that reads what is not before it.
    """
    if data.get("format") != FORMAT:
        raise UserError(
            f"genotype has format {data.get('format')!r}, this version reads {FORMAT}"
        )
    kinds = {kind.__name__: kind for kind in OPS}
    try:
        nodes = tuple(_node(kinds, dict(entry)) for entry in data["nodes"])
        outputs = tuple(
            sorted((int(level), int(index)) for level, index in data["outputs"].items())
        )
        genotype = Genotype(nodes, outputs, int(data["repeats"]))
    except (KeyError, TypeError, AttributeError, ValueError, IndexError) as error:
        raise UserError(
            f"genotype cannot be read: {type(error).__name__} {error}"
        ) from error
    read = [(i, source) for i, node in enumerate(nodes) for source in node.inputs]
    read += [(len(nodes), source) for _, source in outputs]
    for place, source in read:
        if not 0 <= source < place:
            raise UserError(
                f"genotype cannot be read: node {source!r} is used, which is not there "
                "or not before its use"
            )
    return genotype


def _node(kinds: dict[str, type[Op]], entry: dict[str, Any]) -> Node:
    kind, inputs, block = entry.pop("op"), entry.pop("inputs"), entry.pop("block")
    sources = tuple(int(source) for source in inputs)
    return Node(kinds[kind](**entry), sources, (int(block[0]), int(block[1])))
