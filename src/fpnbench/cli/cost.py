"""`mode=cost`: MACs and parameters of one cell in its detector."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, cast

import torch
from hydra.core.hydra_config import HydraConfig
from omegaconf import DictConfig
from rich.console import Console
from rich.table import Table

from fpnbench.cli.build import build, build_source, load_cell
from fpnbench.cli.folder import mode_folder, write_json
from fpnbench.detect.backbone import Backbone
from fpnbench.detect.cost import (
    DetectorCost,
    PartCost,
    backbone_cost,
    detector_cost,
    moving_statistics,
)
from fpnbench.detect.pyramid import FeaturePyramid
from fpnbench.graph.canonical import canonical


@dataclass(frozen=True, slots=True)
class Counted:
    """What was counted of a configured detector.

    Attributes:
        cost: MACs and trainable parameters of its parts.
        statistics: moving means and variances of all batch norms.
        widths: channels of each level that the predictor reads, fine to coarse.
    """

    cost: DetectorCost
    statistics: int
    widths: tuple[int, ...]


def main(cfg: DictConfig) -> int:
    """Print the cost of backbone, pyramid and predictor and write `cost.json`."""
    classes = len(build_source(cfg).split("train").categories)
    backbone = bare_backbone(cfg)
    whole = backbone_cost(backbone, int(cfg.image_px))
    counted = count(cfg, backbone, whole, classes, cfg.mode.cell_args)
    cost, chosen = counted.cost, HydraConfig.get().runtime.choices["backbone"]
    model = notation(cfg.mode.short.get(chosen, chosen), cfg.repeats, counted.widths)
    total = PartCost(cost.macs, cost.params)
    table = Table("part", "GMAC", "M parameters", box=None)
    for name, part in {
        "backbone": cost.backbone,
        "pyramid": cost.pyramid,
        "predictor": cost.predictor,
        "all": total,
    }.items():
        table.add_row(name, f"{part.macs / 1e9:.4f}", f"{part.params / 1e6:.4f}")
    console = Console()
    console.print(f"{cfg.cell}: {model}", soft_wrap=True, highlight=False)
    console.print(table)
    statistics = (
        f"and {counted.statistics / 1e6:.4f} M moving statistics of batch norms"
    )
    console.print(statistics, soft_wrap=True)
    folder = mode_folder(cfg, f"cost-{Path(cfg.cell).stem}")
    place = {
        "cell": str(cfg.cell),
        "model": model,
        "image_px": int(cfg.image_px),
        "repeats": cfg.repeats,
        "statistics": counted.statistics,
    }
    write_json(folder / "cost.json", {**place, **asdict(total), **asdict(cost)})
    console.print(f"written to {folder}", soft_wrap=True, highlight=False)
    return 0


def bare_backbone(cfg: DictConfig) -> Backbone:
    """Build the configured backbone on torch's meta device; no weights are read."""
    with torch.device("meta"):
        return cast(Backbone, build(cfg.backbone)(weights=None, frozen=False))


def count(
    cfg: DictConfig,
    backbone: Backbone,
    whole: PartCost,
    num_classes: int,
    cell_args: Mapping[str, Any] | None,
) -> Counted:
    """Count the configured detector without computing anything.

    Args:
        cfg: a composed configuration with a cell.
        backbone: the configured one.
        whole: its cost at `image_px`.
        num_classes: classes or class slots of the predictor.
        cell_args: values of the cell's space that shall differ from its file's.

    Raises:
        UserError: the parts do not fit each other, or there is no such cell.
    """
    px, channels, make_head = int(cfg.image_px), backbone.channels, build(cfg.detector)
    genotype = canonical(load_cell(cfg, cell_args).restrict(cfg.detector.levels))
    with torch.device("meta"):
        pyramid = FeaturePyramid(genotype, channels)
    head = make_head(
        in_channels=pyramid.out_channels,
        num_classes=num_classes,
        levels=genotype.levels,
        image_px=px,
    )
    cost = detector_cost(genotype, channels, whole, head, px)
    widths = tuple(pyramid.out_channels[level] for level in genotype.levels)
    return Counted(cost, moving_statistics(backbone, pyramid, head), widths)


def notation(backbone: str, repeats: int, widths: Sequence[int]) -> str:
    """Return a model as papers write it: "R-50, 5 @ 256".

    Args:
        backbone: its short name.
        repeats: copies of the pyramid.
        widths: channels of the levels that are read; a range is told where they differ.

    Source: NAS-FPN, Table 1: repeats @ feature dimension.
    """
    width = "-".join(str(each) for each in sorted({min(widths), max(widths)}))
    return f"{backbone}, {repeats} @ {width}"
