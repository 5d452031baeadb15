"""`fpnbench.load_pyramid`: a pyramid to put into a detector of one's own."""

from collections.abc import Mapping
from pathlib import Path

from omegaconf import OmegaConf
from torch import Tensor, nn

from fpnbench.cli.build import cell_path, load_cell
from fpnbench.cli.cost import notation
from fpnbench.cli.draw import cell_name
from fpnbench.cli.values import check_values
from fpnbench.detect.pyramid import FeaturePyramid
from fpnbench.graph.canonical import canonical
from fpnbench.graph.errors import UserError
from fpnbench.graph.genotype import Genotype


class LoadedPyramid(nn.Module):
    """A cell's `FeaturePyramid` that checks the maps it is given and tells its name.

    Attributes:
        in_channels: channels of each level that goes in.
        out_channels: channels of each level that comes out.
        pyramid: the pyramid itself.
    """

    def __init__(
        self, name: str, genotype: Genotype, in_channels: Mapping[int, int]
    ) -> None:
        """Build the pyramid on maps of these channels.

        Raises:
            UserError: a level that the pyramid takes is missing, or none is as fine as
                its finest output.
        """
        super().__init__()
        self.pyramid = FeaturePyramid(genotype, in_channels)
        self.in_channels, self.out_channels = in_channels, self.pyramid.out_channels
        finest = min(self.out_channels)
        if min(in_channels) > finest:
            raise UserError(
                f"in_channels has levels {sorted(in_channels)}: "
                f"P{finest} of {name} needs C{finest} for its size"
            )
        model = notation(name, genotype.repeats, tuple(self.out_channels.values()))
        ins = " ".join(f"C{level}" for level in genotype.input_levels)
        outs = " ".join(f"P{level}" for level in self.out_channels)
        self._told = f"{model}: {ins} -> {outs}"

    def __repr__(self) -> str:
        """Tell cell, repeats @ width, and levels; the ops are those of `pyramid`."""
        return f"{type(self).__name__}({self._told})"

    def forward(
        self, feats: Mapping[int, Tensor] | Mapping[str, Tensor]
    ) -> dict[int, Tensor]:
        """Merge backbone maps into pyramid levels.

        Args:
            feats: maps by level, (B, C, H, W) each; those not in `in_channels` are left
                out. A level has half the height and width of the finer one, rounded up.

        Returns:
            Output levels, (B, C, H, W) each, fine to coarse.

        Raises:
            UserError: a level is missing, or its map has other channels or sides.
        """
        maps = {_level(key): x for key, x in feats.items()}
        if not maps.keys() >= self.in_channels.keys():
            raise UserError(
                f"{self} needs levels {sorted(self.in_channels)}, got {sorted(maps)}"
            )
        finest = min(self.in_channels)
        height, width = maps[finest].shape[2:]
        for level, channels in self.in_channels.items():
            step, found = 2 ** (level - finest), tuple(maps[level].shape[1:])
            expected = (channels, -(-height // step), -(-width // step))
            if found != expected:
                raise UserError(
                    f"level {level} has channels, height and width {found}, "
                    f"{expected} is needed on level {finest} of {height} x {width}"
                )
        out: dict[int, Tensor] = self.pyramid({lv: maps[lv] for lv in self.in_channels})
        return out


def load_pyramid(
    path_or_name: str | Path,
    in_channels: Mapping[int, int] | Mapping[str, int],
    width: int,
    repeats: int,
) -> LoadedPyramid:
    """Make a published, hand-made or found pyramid, with fresh weights.

    Levels are numbered by stride: level l has stride 2**l, 3 is the map of 1/8 of the
    image's side. Where a library names its maps by strings, digits do, too: "3" is
    level 3 in `in_channels` and in what the module is given. What comes out is always
    by number.

    Args:
        path_or_name: a name of `conf/cell`, or the path of a run's `best.json`.
        in_channels: channels of each backbone map by level.
        width: feature dimension; a cell that decides its own (MnasFPN's C) has that,
            see `out_channels` of the module.
        repeats: stacked copies, each with weights of its own.

    Returns:
        A module from {level: (B, C, H, W)} to {level: (B, C, H, W)}. Weights are drawn
        from torch's global generator.

    Raises:
        UserError: no such cell; a level, width or number of repeats that cannot be; a
            backbone without a level that the cell takes.
    """
    cfg = OmegaConf.create(
        {"cell": str(path_or_name), "width": width, "repeats": repeats}
    )
    check_values(cfg)
    channels = {_level(key): count for key, count in in_channels.items()}
    if not channels or any(type(c) is not int or c < 1 for c in channels.values()):
        raise UserError(
            f"in_channels={dict(in_channels)}: it must give a whole number of channels "
            "from 1 on for each level"
        )
    name = cell_name(cell_path(cfg.cell))
    return LoadedPyramid(name, canonical(load_cell(cfg)), channels)


def _level(key: int | str) -> int:
    """Read a level from a number or its digits."""
    if type(key) is int or (isinstance(key, str) and key.isdecimal()):
        return int(key)
    raise UserError(
        f"{key!r} is no level: give a number, or its digits, such as 3 for stride 8"
    )
