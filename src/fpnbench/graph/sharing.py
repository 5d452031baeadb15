"""Which nodes of different networks use the same weights, when a supernet trains all.

Two rules. By raw `position`: block 3 of the decoded vector is block 3 of every other
vector, its n-th input from another block is the n-th of theirs. By canonical `slot`: a
block is known by what it is in the network, the output of level 5 or the second
intermediate block of level 4, and its inputs by the levels that they come from; all
vectors of one network then use the same weights. In both, what reads a backbone map has
weights of its own: the channels of C4 mean something else than those of C3. Copies
(repeats) share nothing.
"""

from collections import Counter
from collections.abc import Mapping
from typing import Literal, NamedTuple

from fpnbench.graph.canonical import canonical, prune
from fpnbench.graph.genotype import Genotype, node_levels
from fpnbench.graph.ops import Input, Resample

Share = Literal["position", "slot"]


class Place(NamedTuple):
    """Where the weights of a node live; equal places share them.

    Attributes:
        repeat: the copy, -1 for the stem.
        slot: the block in it.
        role: where the op's operand comes from: `C4` a backbone map, `in` the block
            itself, `x` another block (by position), `P4` one of level 4 (by slot).
        order: number among the nodes of the block that have the same role and kind.
        kind: name of the op.
    """

    repeat: int
    slot: str
    role: str
    order: int
    kind: str


def shared_form(
    genotype: Genotype, levels: tuple[int, ...], share: Share
) -> tuple[Genotype, tuple[Place, ...]]:
    """Return what is read of a decoded genotype, and the place of each of its nodes.

    Args:
        genotype: as the space decoded it, all outputs.
        levels: outputs that are read, as far as it has them.
        share: the rule.

    Returns:
        The live part, in the order in which it was decoded (`position`) or canonical
        (`slot`); and its places.
    """
    read = genotype.restrict(levels)
    form = canonical(read) if share == "slot" else prune(read)
    return form, places(form, output_blocks(genotype), share)


def output_blocks(genotype: Genotype) -> dict[int, int]:
    """Return the level of each block that makes an output."""
    return {genotype.nodes[i].block[1]: level for level, i in genotype.outputs}


def places(
    form: Genotype, outputs: Mapping[int, int], share: Share
) -> tuple[Place, ...]:
    """Return the place of each node.

    Args:
        form: a genotype whose order of nodes decides between equal ones.
        outputs: level by block, see `output_blocks`.
        share: the rule.
    """
    levels = node_levels(form)
    slots = block_slots(form, outputs, share)
    seen: Counter[tuple[tuple[int, int], str, str]] = Counter()
    found = []
    for index, node in enumerate(form.nodes):
        kind, role = type(node.op).__name__, _role(form, index, levels, share)
        order = seen[node.block, role, kind]
        seen[node.block, role, kind] += 1
        repeat, block = node.block
        slot = "stem" if repeat < 0 else slots[block]
        found.append(Place(repeat, slot, role, order, kind))
    return tuple(found)


def block_slots(
    form: Genotype, outputs: Mapping[int, int], share: Share
) -> dict[int, str]:
    """Return the name of each block's slot, the same in all copies."""
    levels = node_levels(form)
    # The last node of a block is its output; in canonical order, which goes by depth,
    # blocks are met in an order that their network alone decides.
    own = {
        node.block[1]: levels[index]
        for index, node in enumerate(form.nodes)
        if node.block[0] >= 0
    }
    if share == "position":
        return {block: f"B{block}" for block in own}
    slots, count = {}, Counter[int]()
    for block, level in own.items():
        if block in outputs:
            slots[block] = f"P{outputs[block]}"
        else:
            slots[block] = f"M{level}.{count[level]}"
            count[level] += 1
    return slots


def _role(form: Genotype, index: int, levels: tuple[int, ...], share: Share) -> str:
    node = form.nodes[index]
    if not node.inputs:
        return ""
    source = node.inputs[0]
    while isinstance(form.nodes[source].op, Resample):
        source = form.nodes[source].inputs[0]
    op = form.nodes[source].op
    if isinstance(op, Input):
        return f"C{op.level}"
    if form.nodes[source].block == node.block:
        return "in"
    return "x" if share == "position" else f"P{levels[source]}"
