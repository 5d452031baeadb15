"""Which shared parameters a space needs, and how large: found by looking at networks.

A space does not say what its ops are, so networks with every option of every decision
are looked at, and uniform draws. What is found for one block holds for all blocks of
that copy, and what is found for one input for all inputs: the bank is their product, so
that nothing hangs on two rare events being met together.
"""

import random
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from typing import Literal

import torch
from torch import Tensor

from fpnbench.detect.pyramid import build_op
from fpnbench.graph.decision import Choices, Decision
from fpnbench.graph.genotype import Genotype
from fpnbench.graph.ops import Op
from fpnbench.graph.protocols import Space
from fpnbench.graph.sharing import Place, Share, output_blocks, places
from fpnbench.graph.trace import trace

Kernel = Literal["own", "crop"]
Shape = tuple[int, ...]
ANY_PX = 2**10
"""Channels do not depend on the image."""
DRAWS = 100
"""Uniform draws that are looked at."""
OTHERS = "xP"
"""First letters of the roles that are other blocks, see `Place`."""


@cache
def parameter_shapes(op: Op, inputs: tuple[int, ...]) -> tuple[tuple[str, Shape], ...]:
    """Return names and shapes of an op's parameters on inputs of these channels."""
    with torch.device("meta"):
        module = build_op(op, list(inputs))
    return tuple((name, tuple(p.shape)) for name, p in module.named_parameters())


def address(place: Place, name: str, shape: Shape, kernel: Kernel) -> str:
    """Return the name of a node's parameter in the bank."""
    origin = f"{place.role} {place.order}"
    size = _size(shape, kernel)
    return _join(place.repeat, place.slot, origin, place.kind, name, size)


def cut(whole: Tensor, shape: Shape) -> Tensor:
    """Return the part of a parameter that a network of this shape uses.

    The first channels; of a larger kernel the middle.
    """
    index = [slice(size) for size in shape]
    for axis in range(2, len(shape)):
        first = (whole.shape[axis] - shape[axis]) // 2
        index[axis] = slice(first, first + shape[axis])
    return whole[tuple(index)]


@dataclass
class Survey:
    """What the networks that were looked at have.

    Attributes:
        shapes: the largest of each kind of parameter, by copy, source (`block` stands
            for any other block), kind of op, name and size of kernel.
        sources: roles of other blocks; `orders`: numbers of equal ones in a block.
        slots: of all copies.
        middle: how many blocks of a network make no output.
        widths: the largest channels of each output level.
    """

    shapes: dict[tuple[int, str, str, str, str], Shape] = field(default_factory=dict)
    sources: set[str] = field(default_factory=set)
    orders: set[int] = field(default_factory=set)
    slots: set[str] = field(default_factory=set)
    middle: int = 0
    widths: dict[int, int] = field(default_factory=dict)


def survey(
    space: Space, channels: Mapping[int, int], share: Share, kernel: Kernel
) -> Survey:
    """Look at networks of a space, see the head of this file."""
    found = Survey()
    for choices in _probes(space.decisions):
        _look(found, space.decode(choices), channels, share, kernel)
    if share == "slot":
        # Intermediate blocks may all be of one level: as many slots of each.
        levels = {slot.split(".")[0] for slot in found.slots if slot[0] == "M"}
        found.slots |= {f"{lv}.{i}" for lv in levels for i in range(found.middle)}
    return found


def bank_shapes(found: Survey) -> dict[str, Shape]:
    """Return the shape of every parameter, by its address."""
    others = [f"{role} {order}" for role in found.sources for order in found.orders]
    return {
        _join(repeat, slot, origin, kind, name, size): shape
        for (repeat, source, kind, name, size), shape in found.shapes.items()
        for slot in (found.slots if repeat >= 0 else ["stem"])
        for origin in (others if source == "block" else [source])
    }


def _look(
    found: Survey,
    genotype: Genotype,
    channels: Mapping[int, int],
    share: Share,
    kernel: Kernel,
) -> None:
    """Note what one network has, its dead part too."""
    rows = trace(genotype, channels, ANY_PX).rows
    outputs = output_blocks(genotype)
    where = places(genotype, outputs, share)
    for level, index in genotype.outputs:
        found.widths[level] = max(found.widths.get(level, 0), rows[index].shape[0])
    blocks = {place.slot for place in where if place.repeat >= 0}
    found.slots |= blocks
    found.middle = max(found.middle, len(blocks) - len(outputs))
    for node, place in zip(genotype.nodes, where, strict=True):
        inputs = tuple(rows[i].shape[0] for i in node.inputs)
        for name, shape in parameter_shapes(node.op, inputs):
            source = f"{place.role} {place.order}"
            if place.role[0] in OTHERS:
                found.sources.add(place.role)
                found.orders.add(place.order)
                source = "block"
            key = (place.repeat, source, place.kind, name, _size(shape, kernel))
            known = found.shapes.get(key, shape)
            found.shapes[key] = tuple(map(max, known, shape))


def _join(*parts: object) -> str:
    # A dot would be a submodule's name to torch.
    return " ".join(map(str, parts)).replace(".", "_")


def _size(shape: Shape, kernel: Kernel) -> str:
    spatial = len(shape) == 4 and shape[-1] > 1
    return f"k{shape[-1]}" if spatial and kernel == "own" else ""


def _probes(decisions: Sequence[Decision]) -> Iterator[Choices]:
    """Yield vectors that hold every option of every decision, and uniform draws."""
    rng, sizes = random.Random(0), [len(d.options) for d in decisions]
    for turn in range(max(sizes)):
        yield tuple(turn % size for size in sizes)
    for _ in range(DRAWS):
        yield tuple(rng.randrange(size) for size in sizes)
