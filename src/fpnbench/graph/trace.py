"""Shapes, MACs and parameters of a pyramid, op by op, without building it."""

from collections.abc import Mapping
from dataclasses import dataclass

from fpnbench.graph.errors import UserError
from fpnbench.graph.genotype import Genotype
from fpnbench.graph.ops import Cost, Input, LevelSizes, Shape, StridedConv


@dataclass(frozen=True, slots=True)
class Trace:
    """Cost of every node, in the genotype's order, and their sums.

    Attributes:
        rows: one cost a node.
        macs: multiply-accumulates of one image.
        params: trainable parameters.
    """

    rows: tuple[Cost, ...]
    macs: int
    params: int


def level_sizes(image_px: int) -> LevelSizes:
    """Return the size rule of a square image: level `l` is ceil(image_px / 2**l)."""

    def size(level: int) -> tuple[int, int]:
        side = -(-image_px // 2**level)
        return side, side

    return size


def check_inputs(genotype: Genotype, channels: Mapping[int, int]) -> None:
    """Refuse a backbone that lacks a map the pyramid takes.

    Raises:
        UserError: names the levels wanted and those there.
    """
    missing = [level for level in genotype.input_levels if level not in channels]
    if missing:
        raise UserError(
            f"the pyramid takes backbone levels {list(genotype.input_levels)}, "
            f"the backbone has {sorted(channels)}"
        )


def check_fit(genotype: Genotype, channels: Mapping[int, int], image_px: int) -> None:
    """Refuse what no detector can be made of: see `check_inputs`, or a small image.

    Raises:
        UserError: a map is missing, or the image is smaller than the largest stride of
            the outputs. Sizes that a stride does not divide are fine: rounded up. A
            level made by a strided convolution may go on to one cell, as SSD's do.
    """
    check_inputs(genotype, channels)
    coarsest, sizes = max(genotype.levels), level_sizes(image_px)
    learned = any(
        isinstance(node.op, StridedConv) and node.op.target == coarsest
        for node in genotype.nodes
    )
    shrinks = sizes(coarsest) != sizes(coarsest - 1)
    if image_px < 2**coarsest and not (learned and shrinks):
        raise UserError(
            f"image_px={image_px} is smaller than the stride of P{coarsest}, "
            f"{2**coarsest} pixels; give a larger one, or drop levels"
        )


def trace(genotype: Genotype, channels: Mapping[int, int], image_px: int) -> Trace:
    """Follow the shapes through a pyramid.

    Args:
        genotype: the pyramid.
        channels: channels of each backbone level.
        image_px: side of the square image.

    Raises:
        UserError: the backbone lacks a level that the pyramid takes.
    """
    check_inputs(genotype, channels)
    sizes = level_sizes(image_px)
    rows: list[Cost] = []
    for node in genotype.nodes:
        inputs: list[Shape] = [rows[index].shape for index in node.inputs]
        if isinstance(node.op, Input):
            inputs = [(channels[node.op.level], *sizes(node.op.level))]
        rows.append(node.op.cost(inputs, sizes))
    macs, params = sum(row.macs for row in rows), sum(row.params for row in rows)
    return Trace(tuple(rows), macs, params)
