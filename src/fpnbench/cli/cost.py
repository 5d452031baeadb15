"""`mode=cost`: MACs and parameters of one cell in its detector."""

from dataclasses import asdict
from pathlib import Path

from omegaconf import DictConfig
from rich.console import Console
from rich.table import Table

from fpnbench.cli.build import build, build_source, load_cell
from fpnbench.cli.folder import mode_folder, write_json
from fpnbench.detect.cost import PartCost, backbone_cost, detector_cost
from fpnbench.graph.canonical import canonical
from fpnbench.graph.trace import trace


def main(cfg: DictConfig) -> int:
    """Print the cost of backbone, pyramid and predictor and write `cost.json`."""
    backbone, px = build(cfg.backbone)(), int(cfg.image_px)
    genotype = canonical(load_cell(cfg).restrict(cfg.detector.levels))
    rows = trace(genotype, backbone.channels, px).rows
    head = build(cfg.detector)(
        in_channels={level: rows[i].shape[0] for level, i in genotype.outputs},
        num_classes=len(build_source(cfg).split("train").categories),
        levels=genotype.levels,
        image_px=px,
    )
    whole = backbone_cost(backbone, px)
    cost = detector_cost(genotype, backbone.channels, whole, head, px)
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
    console.print(table)
    folder = mode_folder(cfg, f"cost-{Path(cfg.cell).stem}")
    place = {"cell": str(cfg.cell), "image_px": px, "repeats": cfg.repeats}
    write_json(folder / "cost.json", {**place, **asdict(total), **asdict(cost)})
    console.print(f"written to {folder}", soft_wrap=True, highlight=False)
    return 0
