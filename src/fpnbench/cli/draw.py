"""`mode=draw`: a picture of one cell, published or found by a run."""

from pathlib import Path

from omegaconf import DictConfig
from rich.console import Console

from fpnbench.cli.build import cell_path, load_cell
from fpnbench.cli.folder import mode_folder, write_json, write_text, write_whole
from fpnbench.graph.blocks import first_copy
from fpnbench.graph.canonical import canonical
from fpnbench.graph.draw import draw_svg
from fpnbench.graph.draw_ops import draw_ops_svg
from fpnbench.graph.errors import UserError
from fpnbench.graph.genotype import to_json
from fpnbench.report.png import svg_to_png

DETAILS = {"blocks": draw_svg, "ops": draw_ops_svg}


def main(cfg: DictConfig) -> int:
    """Draw `cell=` with the current `repeats`; write `cell.svg` and `cell.png`.

    `detail=ops` writes `cell.json` too: the drawn operations as data, where node 3 is
    `n3` of the picture.

    Raises:
        UserError: `detail` is unknown.
    """
    if cfg.detail not in DETAILS:
        raise UserError(f"detail={cfg.detail} is not one of {', '.join(DETAILS)}")
    genotype = canonical(load_cell(cfg))
    name = cell_name(cell_path(cfg.cell))
    folder = mode_folder(cfg, f"draw-{name}")
    svg = DETAILS[cfg.detail](genotype, name)
    write_text(folder / "cell.svg", svg)
    write_whole(folder / "cell.png", lambda part: svg_to_png(svg, part))
    if cfg.detail == "ops":
        write_json(folder / "cell.json", to_json(first_copy(genotype)))
    console = Console()
    console.print(f"drawn: {folder / 'cell.svg'}", soft_wrap=True)
    console.print(f"drawn: {folder / 'cell.png'}", soft_wrap=True)
    return 0


def cell_name(path: Path) -> str:
    """Return what a cell is called: the run's folder for its `best.json`."""
    return path.resolve().parent.name if path.stem == "best" else path.stem
