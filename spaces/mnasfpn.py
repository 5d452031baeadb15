"""MnasFPN: inverted residuals with size-dependent ordering, widths and kernels.

Source: Chen et al. 2020, MnasFPN (arXiv 1912.01106), section 3, and the released
detector (tensorflow/models, `ssd_mobilenet_v2_mnasfpn_feature_extractor.py`).
Conn-Search, the paper's ablation with in-degree up to D and sums only, is the same file
with other numbers (`conf/space/connsearch.yaml`).
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

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
from fpnbench.graph.ops import Conv, GlobalPool, Residual, SepConv, Sum

STEM_POOL = 3
"""Window of all max-pools in the released code, whatever the stride."""


@dataclass(frozen=True, slots=True)
class Block:
    """Merge `inputs` (indices by creation) on `expansion` channels at `level`."""

    inputs: tuple[int, ...]
    level: int
    expansion: int
    op: str
    kernel: int


class MnasFPN:
    """The MnasFPN family of search spaces.

    Decisions: C of all blocks; per block input 1, input 2 among the others, further
    inputs up to the in-degree (each one of the rest, or none; a repeated one counts as
    none), level (intermediate blocks only), F, op (where there is more than one),
    kernel; last, the order in which the output blocks produce the levels. Intermediate
    blocks that nothing uses are absent. The attention called SE has no weights in any
    source: here it is NAS-FPN's global pooling on the F-channel maps, our reading.

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
        in_degree: int,
        widths: Sequence[int],
        expansions: Sequence[int],
        ops: Sequence[str],
        kernels: Sequence[int],
        repeats: int,
        name: str = "mnasfpn",
    ) -> None:
        """Define the space.

        Args:
            levels: pyramid levels in and out; those above the backbone's are made from
                its top map.
            backbone_levels: levels the backbone gives.
            intermediates: blocks before the output blocks.
            intermediate_levels: levels an intermediate block may have.
            in_degree: most features a block merges, D.
            widths: options of C, the channels between blocks.
            expansions: options of F, the channels of a merge.
            ops: merging ops, of `sum` and `se`.
            kernels: options of the depthwise kernel.
            repeats: copies stacked, each with weights of its own.
            name: name of the space.

        Raises:
            UserError: an option that is not allowed.
        """
        if not set(ops) <= {"sum", "se"} or not ops:
            raise UserError(f"ops is {list(ops)}, allowed are sum and se")
        if in_degree < 2 or (in_degree > 2 and "se" in ops):
            raise UserError(
                f"in_degree is {in_degree}, allowed: 2, or more with ops=[sum]"
            )
        if intermediates < 0 or min(repeats, *widths, *expansions, *kernels) < 1:
            raise UserError(
                f"intermediates={intermediates} must be >= 0; repeats={repeats}, "
                f"widths={widths}, expansions={expansions}, kernels={kernels} >= 1"
            )
        check_levels(levels, backbone_levels)
        self.name = name
        self._levels = tuple(levels)
        self._backbone_levels = tuple(backbone_levels)
        self._intermediates = intermediates
        self._intermediate_levels = tuple(intermediate_levels)
        self._extras = in_degree - 2
        self._widths = tuple(widths)
        self._expansions = tuple(expansions)
        self._ops = tuple(ops)
        self._kernels = tuple(kernels)
        self._repeats = repeats
        self.decisions = self._decide()

    def decode(self, choices: Choices) -> Genotype:
        """Build the network of a choice vector."""
        width, blocks = self._read(check_choices(self.decisions, choices))
        builder = Builder()
        features = self._stem(builder, width)
        for repeat in range(self._repeats):
            features = self._merge(builder, repeat, features, width, blocks)
        return builder.build(features, self._repeats)

    def _decide(self) -> tuple[Decision, ...]:
        names = [f"P{level}" for level in self._levels]
        decisions = [Decision("C", self._widths)]
        for index in range(self._intermediates + len(self._levels)):
            block = f"block{index}"
            decisions += input_decisions(block, names)
            others = ("none", *range(len(names) - 2))
            decisions += [
                Decision(f"{block}.input{i + 3}", others) for i in range(self._extras)
            ]
            if index < self._intermediates:
                decisions.append(Decision(f"{block}.level", self._intermediate_levels))
            decisions.append(Decision(f"{block}.F", self._expansions))
            if len(self._ops) > 1:
                decisions.append(Decision(f"{block}.op", self._ops))
            decisions.append(Decision(f"{block}.kernel", self._kernels))
            names.append(block)
        return (*decisions, *order_decisions(self._levels))

    def _read(self, choices: Choices) -> tuple[int, list[Block]]:
        digits = len(self._levels) - 1
        order = read_order(choices[len(choices) - digits :], self._levels)
        reader = iter(choices)
        width = self._widths[next(reader)]
        blocks = []
        for index in range(self._intermediates + len(self._levels)):
            inputs = self._read_inputs(reader, len(self._levels) + index)
            if index < self._intermediates:
                level = self._intermediate_levels[next(reader)]
            else:
                level = order[index - self._intermediates]
            expansion = self._expansions[next(reader)]
            op = self._ops[next(reader)] if len(self._ops) > 1 else self._ops[0]
            kernel = self._kernels[next(reader)]
            blocks.append(Block(inputs, level, expansion, op, kernel))
        return width, blocks

    def _read_inputs(self, reader: Iterator[int], count: int) -> tuple[int, ...]:
        inputs = list(read_pair(reader, count))
        others = [i for i in range(count) if i not in inputs]
        for _ in range(self._extras):
            extra = next(reader)
            if extra > 0 and others[extra - 1] not in inputs:
                inputs.append(others[extra - 1])
        return tuple(inputs)

    def _stem(self, builder: Builder, width: int) -> dict[int, int]:
        """Return the inputs by level: raw backbone maps, C6 pooled and projected."""
        features = {level: builder.input(level) for level in self._backbone_levels}
        top = max(self._backbone_levels)
        for level in range(top + 1, max(self._levels) + 1):
            pooled = builder.resample(features[level - 1], level, STEM_POOL)
            features[level] = builder.add(Conv(width, 1, "none", bias=False), pooled)
        return {level: features[level] for level in self._levels}

    def _merge(
        self,
        builder: Builder,
        repeat: int,
        inputs: dict[int, int],
        width: int,
        blocks: Sequence[Block],
    ) -> dict[int, int]:
        """Add one copy of the cell and return its outputs by level."""
        features = list(inputs.values())
        for position, block in enumerate(blocks):
            builder.block = (repeat, position)
            operands = [_expand(builder, features[i], block) for i in block.inputs]
            if block.op == "se":
                first, second = (builder.level(features[i]) for i in block.inputs)
                coarse_fine = operands[::-1] if second > first else operands
                merged = builder.add(GlobalPool(), *coarse_fine)
            else:
                merged = builder.add(Sum(), *operands)
            conv = SepConv(width, block.kernel, "relu6", bias=False)
            features.append(builder.add(conv, merged))
        outputs = {}
        for position in range(self._intermediates, len(blocks)):
            builder.block = (repeat, position)
            level = blocks[position].level
            node = features[len(inputs) + position]
            outputs[level] = builder.add(Residual(), node, inputs[level])
        return {level: outputs[level] for level in self._levels}


def _expand(builder: Builder, node: int, block: Block) -> int:
    """Bring one input to the block's level and F channels in the cheaper order (SDO).

    A finer input is pooled first, then expanded; a coarser one is expanded first, then
    upsampled.
    """
    conv = Conv(block.expansion, 1, "none", bias=False)
    if builder.level(node) < block.level:
        pooled = builder.resample(node, block.level, STEM_POOL)
        return builder.add(conv, pooled)
    return builder.resample(builder.add(conv, node), block.level)
