"""`mode=draw`: a picture of one cell, published or found by a run."""

from pathlib import Path

from omegaconf import DictConfig
from rich.console import Console

from fpnbench.cli.build import cell_path, load_cell
from fpnbench.cli.folder import mode_folder, write_text, write_whole
from fpnbench.graph.canonical import canonical
from fpnbench.graph.draw import draw_svg
from fpnbench.report.png import svg_to_png


def main(cfg: DictConfig) -> int:
    """Draw `cell=` with the current `repeats`; write `cell.svg` and `cell.png`."""
    genotype = canonical(load_cell(cfg))
    name = cell_name(cell_path(cfg.cell))
    folder = mode_folder(cfg, f"draw-{name}")
    svg = draw_svg(genotype, name)
    write_text(folder / "cell.svg", svg)
    write_whole(folder / "cell.png", lambda part: svg_to_png(svg, part))
    console = Console()
    console.print(f"drawn: {folder / 'cell.svg'}", soft_wrap=True)
    console.print(f"drawn: {folder / 'cell.png'}", soft_wrap=True)
    return 0


def cell_name(path: Path) -> str:
    """Return what a cell is called: the run's folder for its `best.json`."""
    return path.resolve().parent.name if path.stem == "best" else path.stem
