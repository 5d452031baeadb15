"""The space of hand-made pyramids: one decision, which of them."""

from collections.abc import Mapping, Sequence
from functools import partial

from fpnbench.graph.builder import Builder, check_levels
from fpnbench.graph.decision import Choices, Decision, check_choices
from fpnbench.graph.errors import UserError
from fpnbench.graph.genotype import Genotype
from fpnbench.graph.ops import Noise, Rolled, WeightedSum
from spaces.handcrafted.efficientdet import bifpn, fully_connected
from spaces.handcrafted.fpn import finest_only, fpn, no_lateral, no_top_down, one_map
from spaces.handcrafted.fpnlite import fpnlite, last_layer
from spaces.handcrafted.merging import (
    fpn_merging,
    fpn_stacked,
    miso_merging,
    simo_merging,
    siso_merging,
)
from spaces.handcrafted.nasfpn import fpn_vanilla, parse_wiring, wired
from spaces.handcrafted.panet import bottom_up, panet
from spaces.handcrafted.parts import Copy, Frame, Stem, maps, pooled
from spaces.handcrafted.ssd import ssd
from spaces.handcrafted.yolof import mimo, miso, no_fusion, simo, siso

COARSE = ("conv", "subsample")

PYRAMIDS: dict[str, tuple[Stem, Copy]] = {
    "fpn_vanilla": (pooled, fpn_vanilla),
    "fpn": (maps, fpn),
    "c4_only": (maps, partial(one_map, level=4)),
    "c5_only": (maps, partial(one_map, level=5)),
    "no_top_down": (maps, no_top_down),
    "no_lateral": (maps, no_lateral),
    "finest_only": (maps, finest_only),
    "fpnlite": (last_layer, fpnlite),
    "panet": (pooled, panet),
    "bottom_up": (pooled, bottom_up),
    "bifpn": (pooled, bifpn),
    "bifpn_weighted": (pooled, partial(bifpn, op=WeightedSum())),
    "fully_connected": (pooled, fully_connected),
    "mimo": (maps, mimo),
    "simo": (maps, simo),
    "miso": (maps, miso),
    "siso": (maps, siso),
    "no_fusion": (pooled, no_fusion),
    "ssd": (maps, ssd),
    "rolled": (pooled, partial(fpn_vanilla, through=Rolled())),
    "noisy": (pooled, partial(fpn_vanilla, through=Noise())),
    "fpn_merging": (pooled, fpn_merging),
    "simo_merging": (pooled, simo_merging),
    "miso_merging": (pooled, miso_merging),
    "siso_merging": (pooled, siso_merging),
    "fpn_stacked": (pooled, fpn_stacked),
}
"""Stem and copy of every pyramid that is made for any levels."""


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
        coarse: str,
        wirings: Mapping[str, Sequence[str]],
        repeats: int,
        width: int,
        extras: Sequence[int] = (),
        name: str = "handcrafted",
    ) -> None:
        """Define the space.

        Args:
            pyramids: names, of `PYRAMIDS` or `wirings`.
            levels: pyramid levels, two or more without a gap; how those above the
                backbone's are made is the pyramid's own matter.
            backbone_levels: levels the backbone gives.
            coarse: `conv` or `subsample`, see `Frame`.
            wirings: pyramids written down cell by cell, see `parse_wiring`.
            repeats: copies stacked, each with weights of its own.
            width: feature dimension.
            extras: channels of the levels above the backbone's in `ssd`, which then
                reads the backbone's maps as they are; none: `width` everywhere.
            name: name of the space.

        Raises:
            UserError: an unknown name, or none; an option that is not allowed; a
                pyramid that cannot be built on these levels.
        """
        known = [*PYRAMIDS, *wirings]
        if len(set(known)) < len(known):
            raise UserError(f"wirings={list(wirings)} takes names of {list(PYRAMIDS)}")
        if not pyramids or not set(pyramids) <= set(known):
            raise UserError(f"pyramids is {list(pyramids)}, allowed: {known}")
        if repeats < 1 or width < 1:
            raise UserError(f"repeats={repeats} and width={width} must be >= 1")
        if coarse not in COARSE:
            raise UserError(f"coarse is {coarse!r}, allowed: {', '.join(COARSE)}")
        check_levels(levels, backbone_levels)
        given = set(levels) & set(backbone_levels)
        without_gap = range(levels[0], levels[0] + len(levels))
        if len(levels) < 2 or list(levels) != list(without_gap) or not given:
            raise UserError(
                f"levels={list(levels)} must be two or more, rising without a gap, and "
                f"one of backbone_levels={list(backbone_levels)} among them"
            )
        self.name = name
        self.decisions = (Decision("pyramid", tuple(pyramids)),)
        above = levels[-1] - max(given)
        if extras and (len(extras) != above or min(extras) < 1):
            raise UserError(f"extras={list(extras)}: {above} levels need a width each")
        self._frame = Frame(tuple(levels), max(given), width, coarse, tuple(extras))
        self._repeats = repeats
        self._pyramids = PYRAMIDS | {
            key: (pooled, partial(wired, wires=parse_wiring(key, wirings[key], levels)))
            for key in wirings
            if key in pyramids
        }
        for choice in range(len(pyramids)):
            self.decode((choice,))  # what cannot be built is told here, not in a search

    def decode(self, choices: Choices) -> Genotype:
        """Build the chosen pyramid."""
        (choice,) = check_choices(self.decisions, choices)
        stem, copy = self._pyramids[str(self.decisions[0].options[choice])]
        builder = Builder()
        features = stem(builder, self._frame)
        for repeat in range(self._repeats):
            builder.block = (repeat, 0)
            features = copy(builder, features, self._frame)
        return builder.build(features, self._repeats)
