"""MnasFPN: inverted residuals with size-dependent ordering, widths and kernels.

Source: Chen et al. 2020, MnasFPN (arXiv 1912.01106), section 3, and the released
detector (tensorflow/models, `ssd_mobilenet_v2_mnasfpn_feature_extractor.py`).
The paper's ablations are the same file with other numbers: Conn-Search (in-degree up to
D, sums only, `conf/space/connsearch.yaml`) and No-Expand (F = C, `no_expand.yaml`).
"""

from collections.abc import Iterator, Sequence
from math import comb

from fpnbench.graph.builder import (
    Builder,
    check_intermediates,
    check_levels,
    coarse_first,
    input_decisions,
    order_decisions,
    read_order,
    read_pair,
)
from fpnbench.graph.decision import Choices, Decision, cardinality, check_choices
from fpnbench.graph.errors import UserError
from fpnbench.graph.genotype import Genotype
from fpnbench.graph.multiplicity import (
    Cell,
    automorphisms,
    live,
    pair_orders,
    placements,
)
from fpnbench.graph.ops import Conv, GlobalPool, Residual, SepConv, Sum

STEM_POOL = 3
"""Window of all max-pools in the released code, whatever the stride."""


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
        expansions: Sequence[int] | None,
        ops: Sequence[str],
        kernels: Sequence[int],
        repeats: int,
        sdo: bool = True,
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
            expansions: options of F, the channels of a merge; None: F = C, and both 1x1
                convolutions stay (No-Expand).
            ops: merging ops, of `sum` and `se`.
            kernels: options of the depthwise kernel.
            repeats: copies stacked, each with weights of its own.
            sdo: size-dependent ordering, section 3.2: a finer input is pooled before
                its 1x1 convolution; without it, every input is convolved first.
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
        if min(repeats, *widths, *(expansions or ()), *kernels) < 1:
            raise UserError(
                f"repeats={repeats}, widths={widths}, expansions={expansions} and "
                f"kernels={kernels} must be >= 1"
            )
        check_levels(levels, backbone_levels)
        check_intermediates(intermediates, intermediate_levels, levels)
        self.name = name
        self._levels = tuple(levels)
        self._backbone_levels = tuple(backbone_levels)
        self._intermediates = intermediates
        self._intermediate_levels = tuple(intermediate_levels)
        self._extras = in_degree - 2
        self._widths = tuple(widths)
        self._expansions = None if expansions is None else tuple(expansions)
        self._ops = tuple(ops)
        self._kernels = tuple(kernels)
        self._repeats = repeats
        self._sdo = sdo
        self.decisions = self._decide()
        self._unused = [self._options(f"block{i}.") for i in range(intermediates)]

    def decode(self, choices: Choices) -> Genotype:
        """Build the network of a choice vector."""
        width, blocks = self._read(check_choices(self.decisions, choices))
        builder = Builder()
        features = self._stem(builder, width)
        for repeat in range(self._repeats):
            features = self._merge(builder, repeat, features, width, blocks)
        return builder.build(features, self._repeats)

    def multiplicity(self, choices: Choices) -> int:
        """Count the choice vectors of this network, see `graph.multiplicity`.

        Unused blocks stand anywhere among the intermediate ones and are chosen freely.
        """
        inputs = len(self._levels)
        _, blocks = self._read(check_choices(self.decisions, choices))
        blocks = live(blocks, inputs)
        levels = [*self._levels, *(block.level for block in blocks)]

        def ways(block: Cell, free: int) -> int:
            if block.roles:
                return pair_orders(block.roles, levels)
            return _input_sequences(len(block.bag), self._extras)

        named = placements(blocks, inputs, self._unused, ways)
        return named // automorphisms(blocks, inputs)

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
            if self._expansions is not None:
                decisions.append(Decision(f"{block}.F", self._expansions))
            if len(self._ops) > 1:
                decisions.append(Decision(f"{block}.op", self._ops))
            decisions.append(Decision(f"{block}.kernel", self._kernels))
            names.append(block)
        return (*decisions, *order_decisions(self._levels))

    def _options(self, prefix: str) -> int:
        """Count the choices of the decisions whose names begin so."""
        named = [d for d in self.decisions if d.name.startswith(prefix)]
        return cardinality(named)

    def _read(self, choices: Choices) -> tuple[int, list[Cell]]:
        """Read C and the blocks; their `detail` is (F, kernel)."""
        digits = len(self._levels) - 1
        order = read_order(choices[len(choices) - digits :], self._levels)
        reader = iter(choices)
        width = self._widths[next(reader)]
        levels, blocks = list(self._levels), []
        for index in range(self._intermediates + len(self._levels)):
            inputs = self._read_inputs(reader, len(levels))
            output = index >= self._intermediates
            if output:
                level = order[index - self._intermediates]
            else:
                level = self._intermediate_levels[next(reader)]
            expansion = width
            if self._expansions is not None:
                expansion = self._expansions[next(reader)]
            op = self._ops[next(reader)] if len(self._ops) > 1 else self._ops[0]
            detail = (expansion, self._kernels[next(reader)])
            roles: tuple[int, ...] = ()
            if op == "se":
                roles, inputs = coarse_first(inputs[0], inputs[1], levels), ()
            blocks.append(Cell(level, output, roles, tuple(sorted(inputs)), detail))
            levels.append(level)
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
        blocks: Sequence[Cell],
    ) -> dict[int, int]:
        """Add one copy of the cell and return its outputs by level."""
        features = list(inputs.values())
        outputs = {}
        for position, block in enumerate(blocks):
            builder.block = (repeat, position)
            expansion, kernel = block.detail
            conv = Conv(expansion, 1, "none", bias=False)
            operands = [
                self._expand(builder, features[i], block.level, conv)
                for i in block.operands
            ]
            merged = builder.add(GlobalPool() if block.roles else Sum(), *operands)
            sep_conv = SepConv(width, kernel, "relu6", bias=False)
            node = builder.add(sep_conv, merged)
            features.append(node)
            if block.output:
                skip = inputs[block.level]
                outputs[block.level] = builder.add(Residual(), node, skip)
        return {level: outputs[level] for level in self._levels}

    def _expand(self, builder: Builder, node: int, level: int, conv: Conv) -> int:
        """Bring one input to a block's level and F channels.

        With size-dependent ordering in the cheaper order: a finer input is pooled
        first, then expanded; a coarser one is expanded first, then upsampled.
        """
        if self._sdo and builder.level(node) < level:
            return builder.add(conv, builder.resample(node, level, STEM_POOL))
        return builder.resample(builder.add(conv, node), level, STEM_POOL)


def _input_sequences(size: int, extras: int) -> int:
    """Count the inputs (two, then `extras` or none) that merge `size` features.

    The extra ones must name all but the first two: counted by inclusion and exclusion
    of those that they miss.
    """
    left = size - 2
    terms: list[int] = [
        comb(left, i) * (left - i + 1) ** extras for i in range(left + 1)
    ]
    return size * (size - 1) * (sum(terms[::2]) - sum(terms[1::2]))
