"""Pyramids made by hand, as genotypes: wherever a searched cell runs, these run too."""

from collections.abc import Callable, Sequence

from fpnbench.graph.builder import Builder, check_levels
from fpnbench.graph.decision import Choices, Decision, check_choices
from fpnbench.graph.errors import UserError
from fpnbench.graph.genotype import Genotype
from fpnbench.graph.ops import Conv, Project, Sum

Pyramid = Callable[[Builder, dict[int, int], int], dict[int, int]]
"""(builder, features by level, width) -> outputs by level: adds one copy."""


class Handcrafted:
    """Named pyramids as a space of one decision.

    Attributes:
        name: name of the space.
        decisions: the one decision, which pyramid.
    """

    def __init__(
        self,
        pyramids: Sequence[str],
        levels: Sequence[int],
        backbone_levels: Sequence[int],
        repeats: int,
        width: int,
        name: str = "handcrafted",
    ) -> None:
        """Define the space.

        Args:
            pyramids: names, see `PYRAMIDS`.
            levels: pyramid levels in and out; those above the backbone's are pooled
                from its projected top map.
            backbone_levels: levels the backbone gives.
            repeats: copies stacked, each with weights of its own.
            width: feature dimension.
            name: name of the space.

        Raises:
            UserError: an unknown name, or none.
        """
        unknown = sorted(set(pyramids) - set(PYRAMIDS))
        if unknown or not pyramids:
            raise UserError(f"pyramids is {list(pyramids)}, allowed: {list(PYRAMIDS)}")
        if repeats < 1 or width < 1:
            raise UserError(f"repeats={repeats} and width={width} must be >= 1")
        check_levels(levels, backbone_levels)
        self.name = name
        self.decisions = (Decision("pyramid", tuple(pyramids)),)
        self._levels = tuple(levels)
        self._backbone_levels = tuple(backbone_levels)
        self._repeats = repeats
        self._width = width

    def decode(self, choices: Choices) -> Genotype:
        """Build the chosen pyramid."""
        (choice,) = check_choices(self.decisions, choices)
        pyramid = PYRAMIDS[str(self.decisions[0].options[choice])]
        builder = Builder()
        features = self._stem(builder)
        for repeat in range(self._repeats):
            builder.block = (repeat, 0)
            features = pyramid(builder, features, self._width)
        return builder.build(features, self._repeats)

    def _stem(self, builder: Builder) -> dict[int, int]:
        project = Project(self._width, bias=True)
        features = {
            level: builder.add(project, builder.input(level))
            for level in self._backbone_levels
        }
        for level in range(max(features) + 1, max(self._levels) + 1):
            features[level] = builder.resample(features[level - 1], level)
        return {level: features[level] for level in self._levels}


def fpn_vanilla(builder: Builder, inputs: dict[int, int], width: int) -> dict[int, int]:
    """Top-down merging cells: input plus the next coarser output, then ReLU-conv-BN.

    Source: the "vanilla FPN" of NAS-FPN Fig. 7 (a) (facts 1.3); the coarsest level has
    its input alone.
    """
    outputs: dict[int, int] = {}
    repeat = builder.block[0]
    for position, level in enumerate(sorted(inputs, reverse=True)):
        builder.block = (repeat, position)
        merged = inputs[level]
        if level + 1 in outputs:
            coarser = builder.resample(outputs[level + 1], level)
            merged = builder.add(Sum(), merged, coarser)
        outputs[level] = builder.add(Conv(width, 3, "relu", bias=True), merged)
    return {level: outputs[level] for level in sorted(outputs)}


PYRAMIDS: dict[str, Pyramid] = {"fpn_vanilla": fpn_vanilla}
