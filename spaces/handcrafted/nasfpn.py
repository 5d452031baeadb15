"""NAS-FPN's hand-made starting point, and pyramids written down cell by cell.

Source: Ghiasi et al. 2019, NAS-FPN (arXiv 1904.07392), Fig. 7.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass

from fpnbench.graph.builder import Builder
from fpnbench.graph.errors import UserError
from fpnbench.graph.ops import Op
from spaces.handcrafted.parts import Features, Frame, merge, there


@dataclass(frozen=True, slots=True)
class Wire:
    """One merging cell: R(sum of features `inputs`) at `level`, an output or not."""

    level: int
    inputs: tuple[int, ...]
    output: bool


def fpn_vanilla(
    builder: Builder, inputs: Features, frame: Frame, *, through: Op | None = None
) -> Features:
    """O7 = R(I7); Ok = R(Ik + Ok+1) below.

    Args:
        builder: where to.
        inputs: by level.
        frame: of the pyramid.
        through: an operation that Ok+1 passes before it is added, of a control.

    Source: the "vanilla FPN" of NAS-FPN Fig. 7 (a) (facts 1.3); repeated, the baseline
    of EfficientDet's Table 5.
    """
    outputs: Features = {}
    for level in sorted(inputs, reverse=True):
        coarser = there(outputs, level + 1)
        if through is not None:
            coarser = [builder.add(through, source) for source in coarser]
        outputs[level] = merge(builder, frame, level, inputs[level], *coarser)
    return outputs


def wired(
    builder: Builder, inputs: Features, frame: Frame, *, wires: Sequence[Wire]
) -> Features:
    """Add the cells of a wiring, see `parse_wiring`; no rule adds anything to them."""
    features = [inputs[level] for level in sorted(inputs)]
    outputs = {}
    for wire in wires:
        sources = [features[index] for index in wire.inputs]
        features.append(merge(builder, frame, wire.level, *sources))
        if wire.output:
            outputs[wire.level] = features[-1]
    return outputs


def parse_wiring(
    name: str, lines: Sequence[str], levels: Sequence[int]
) -> tuple[Wire, ...]:
    """Read a pyramid that is written down cell by cell.

    A line is `P3 5 6 +0`: an output (L: an intermediate cell) of level 3 that adds the
    features 5, 6 and 0. Inputs are 0, 1, ... by rising level, each line makes the next.
    The plus sign only says that the paper draws this feature as a third arrow.

    Args:
        name: what errors call it.
        lines: one cell each.
        levels: levels of the inputs, and of the outputs.

    Raises:
        UserError: a line that is no cell, a level that is not there or put out twice or
            never, a feature that is not made yet.
    """
    wires: list[Wire] = []
    for line in lines:
        where = f"wiring {name}, {line!r}"
        found = re.fullmatch(r"([LP])(\d+)((?: \+?\d+)+)", str(line))
        if found is None:
            raise UserError(f"{where}: a cell is written as 'P3 5 6 +0' or 'L4 1 3'")
        level, output = int(found[2]), found[1] == "P"
        if level not in levels:
            raise UserError(f"{where}: level {level} is not in levels={list(levels)}")
        if output and any(wire.output and wire.level == level for wire in wires):
            raise UserError(f"{where}: level {level} is put out twice")
        inputs = tuple(int(word) for word in found[3].split())
        made = len(levels) + len(wires)
        if late := [index for index in inputs if index >= made]:
            raise UserError(f"{where}: feature {late[0]} is not in 0..{made - 1}")
        wires.append(Wire(level, inputs, output))
    if lacks := set(levels) - {wire.level for wire in wires if wire.output}:
        raise UserError(f"wiring {name}: no cell puts out levels {sorted(lacks)}")
    return tuple(wires)
