"""Block graph: a genotype's primitive ops gathered into the blocks a paper draws.

A merging cell of NAS-FPN or a block of MnasFPN is several primitive ops; people think,
draw and count in blocks. Stem ops are gathered by level instead: C3, C4, ... and the
C6, C7 that are made of C5.
"""

from dataclasses import dataclass

from fpnbench.graph.genotype import Genotype, Node, node_levels
from fpnbench.graph.ops import (
    Conv,
    GlobalPool,
    Project,
    Residual,
    SepConv,
    SepProject,
    StridedConv,
    Sum,
    WeightedSum,
)

CONVOLUTIONS = (Conv, SepConv, StridedConv, Project, SepProject)
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
        merge: `C3`, ... for inputs; `+`, `GP`, `GP+` (global pooling with further
            features summed in) or empty (one input) for blocks.
        detail: inner width F and kernel, where the block has them.
    """

    key: BlockKey
    level: int
    merge: str
    detail: str = ""


@dataclass(frozen=True, slots=True)
class Link:
    """What `target` reads from `source`; `residual` if only its residual does."""

    source: BlockKey
    target: BlockKey
    residual: bool = False


@dataclass(frozen=True, slots=True)
class BlockGraph:
    """Blocks in topological order, links between them, outputs by (level, block)."""

    blocks: tuple[Block, ...]
    links: tuple[Link, ...]
    outputs: tuple[tuple[int, BlockKey], ...]


def block_graph(genotype: Genotype) -> BlockGraph:
    """Gather a genotype's ops into blocks; two blocks are linked at most once."""
    levels = node_levels(genotype)
    keys = [
        _key(node, level) for node, level in zip(genotype.nodes, levels, strict=True)
    ]
    members: dict[BlockKey, list[int]] = {}
    links: dict[tuple[BlockKey, BlockKey], bool] = {}
    for index, node in enumerate(genotype.nodes):
        members.setdefault(keys[index], []).append(index)
        for position, source in enumerate(node.inputs):
            pair = (keys[source], keys[index])
            if pair[0] != pair[1]:
                skip = isinstance(node.op, Residual) and position == 1
                links[pair] = links.get(pair, True) and skip
    # The last op of a block in topological order is what it puts out.
    ordered = sorted(members.items(), key=lambda item: item[1][-1])
    blocks = tuple(
        _block(key, levels[indices[-1]], [genotype.nodes[i] for i in indices])
        for key, indices in ordered
    )
    outputs = tuple((level, keys[index]) for level, index in genotype.outputs)
    found = tuple(Link(*pair, skip) for pair, skip in sorted(links.items()))
    return BlockGraph(blocks, found, outputs)


def _key(node: Node, level: int) -> BlockKey:
    return (STEM, level) if node.block[0] == STEM else node.block


def _block(key: BlockKey, level: int, nodes: list[Node]) -> Block:
    if key[0] == STEM:
        return Block(key, level, f"C{level}")
    pooled = any(isinstance(node.op, GlobalPool) for node in nodes)
    summed = any(isinstance(node.op, Sum | WeightedSum) for node in nodes)
    merge = ("GP" if pooled else "") + ("+" if summed else "")
    return Block(key, level, merge, _detail(nodes))


def _detail(nodes: list[Node]) -> str:
    """Name the kernel of the last convolution, and F where it is not the width."""
    convs = [node.op for node in nodes if isinstance(node.op, CONVOLUTIONS)]
    if not convs:
        return ""
    last = convs[-1]
    kernel = 1 if isinstance(last, Project | SepProject) else last.kernel
    inner = {op.width for op in convs[:-1]} - {last.width}
    width = f"F{max(inner)} " if inner else ""
    return f"{width}{kernel}×{kernel}"
