"""Block graph: a genotype's primitive ops gathered into the blocks a paper draws.

A merging cell of NAS-FPN or a block of MnasFPN is several primitive ops; people think,
draw and count in blocks. Stem ops are gathered by level instead: C3, C4, ... and the
C6, C7 that are made of C5.
"""

from dataclasses import dataclass, replace

from fpnbench.graph.genotype import Genotype, Node, node_levels
from fpnbench.graph.ops import (
    Conv,
    GlobalPool,
    Noise,
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

CONVOLUTIONS = (Conv, SepConv, StridedConv, Project, SepProject)
WRONG = {Rolled: "rolled", Noise: "noise"}
"""Names of the operations that replace a map by one of no use."""
BlockKey = tuple[int, int]
"""(repeat, index) of a block; (-1, level) of an input."""
STEM = -1
"""The repeat that the inputs count as."""


@dataclass(frozen=True, slots=True)
class Block:
    """One block of the network.

    Attributes:
        key: (repeat, index), or (-1, level) for an input.
        level: pyramid level of what it puts out.
        merge: `C3`, ... for inputs; `+`, `w+` (weighted sum), `GP`, `GP+` (global
            pooling with further features summed in) or empty (one input) for blocks.
        detail: whether it takes a wrong map (rolled, noise); inner width F, kernel and
            stride, where the block has them.
    """

    key: BlockKey
    level: int
    merge: str
    detail: str = ""


@dataclass(frozen=True, slots=True)
class Link:
    """What `target` reads from `source`.

    Attributes:
        source: the block that is read.
        target: the block that reads.
        residual: whether only the target's residual reads it.
        edge: the two nodes, where every edge between nodes is a link of its own.
    """

    source: BlockKey
    target: BlockKey
    residual: bool = False
    edge: tuple[int, int] | None = None


@dataclass(frozen=True, slots=True)
class BlockGraph:
    """Blocks in topological order and links between them.

    Attributes:
        blocks: the blocks.
        links: who reads whom.
        outputs: (level, block, node) of what comes out.
    """

    blocks: tuple[Block, ...]
    links: tuple[Link, ...]
    outputs: tuple[tuple[int, BlockKey, int], ...]


def block_graph(genotype: Genotype, *, edges: bool = False) -> BlockGraph:
    """Gather a genotype's ops into blocks.

    Args:
        genotype: the pyramid.
        edges: whether every edge between nodes is a link of its own; else two blocks
            are linked at most once.
    """
    levels = node_levels(genotype)
    keys = block_keys(genotype)
    members: dict[BlockKey, list[int]] = {}
    links: dict[Link, bool] = {}
    for index, node in enumerate(genotype.nodes):
        members.setdefault(keys[index], []).append(index)
        for position, source in enumerate(node.inputs):
            if keys[source] != keys[index]:
                edge = (source, index) if edges else None
                link = Link(keys[source], keys[index], edge=edge)
                skip = isinstance(node.op, Residual) and position == 1
                links[link] = links.get(link, True) and skip
    # The last op of a block in topological order is what it puts out.
    ordered = sorted(members.items(), key=lambda item: item[1][-1])
    blocks = tuple(
        _block(key, levels[indices[-1]], [genotype.nodes[i] for i in indices])
        for key, indices in ordered
    )
    outputs = tuple((level, keys[index], index) for level, index in genotype.outputs)
    found = sorted(links.items(), key=lambda item: (item[0].source, item[0].target))
    return BlockGraph(
        blocks, tuple(replace(link, residual=skip) for link, skip in found), outputs
    )


def block_keys(genotype: Genotype) -> list[BlockKey]:
    """Return the block that every node belongs to."""
    return [
        (STEM, level) if node.block[0] == STEM else node.block
        for node, level in zip(genotype.nodes, node_levels(genotype), strict=True)
    ]


def first_copy(genotype: Genotype) -> Genotype:
    """Return stem and first repeat; what later repeats read of them comes out."""
    kept = [i for i, node in enumerate(genotype.nodes) if node.block[0] <= 0]
    place = {index: position for position, index in enumerate(kept)}
    levels = node_levels(genotype)
    out = {index for _, index in genotype.outputs if index in place}
    for node in genotype.nodes:
        if node.block[0] > 0:
            out |= place.keys() & set(node.inputs)
    nodes = (genotype.nodes[index] for index in kept)
    return Genotype(
        tuple(
            replace(node, inputs=tuple(place[i] for i in node.inputs)) for node in nodes
        ),
        tuple(sorted((levels[index], place[index]) for index in out)),
    )


def _block(key: BlockKey, level: int, nodes: list[Node]) -> Block:
    if key[0] == STEM:
        return Block(key, level, f"C{level}")
    kinds = {type(node.op) for node in nodes}
    merge = "GP" if GlobalPool in kinds else ""
    merge += "w+" if WeightedSum in kinds else "+" if Sum in kinds else ""
    return Block(key, level, merge, _detail(nodes))


def _detail(nodes: list[Node]) -> str:
    """Name wrong maps, the kernel of the last convolution, and F if it is another."""
    convs = [node.op for node in nodes if isinstance(node.op, CONVOLUTIONS)]
    if not convs:
        return ""
    last = convs[-1]
    kernel = 1 if isinstance(last, Project | SepProject) else last.kernel
    inner = {op.width for op in convs[:-1]} - {last.width}
    width = f"F{max(inner)} " if inner else ""
    stride = f" ↓{stride_of(last)}" if isinstance(last, StridedConv) else ""
    wrong = {WRONG[type(node.op)] for node in nodes if type(node.op) in WRONG}
    return " ".join([*sorted(wrong), f"{width}{kernel}×{kernel}{stride}"])


def stride_of(op: StridedConv | Resample) -> int:
    """Return by how much an op changes the size of a feature."""
    return 1 << abs(op.target - op.source)
