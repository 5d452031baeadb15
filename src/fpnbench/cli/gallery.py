"""`mode=gallery`: one page with every cell of `conf/cell`."""

import json
from pathlib import Path
from typing import cast

from omegaconf import DictConfig, OmegaConf
from rich.console import Console

from fpnbench.cli.build import CONF, load_cell
from fpnbench.cli.folder import mode_folder, write_text
from fpnbench.graph.canonical import canonical
from fpnbench.graph.draw import draw_svg
from fpnbench.graph.draw_ops import draw_ops_svg
from fpnbench.graph.trace import trace

_PAGE = """# Gallery

Every cell of `conf/cell/`, drawn from the graph that is trained. Made by

    python run.py mode=gallery out=docs/gallery

Squares are the backbone's features, circles merging cells or blocks in the row of their
level, rings outputs; a line has the colour of the level it comes from. A circle may put
out two things, its merged feature and that after its last convolution: the picture of
the operations of a cell tells which one is read.

Parameters and multiply-accumulates are those of one copy of the pyramid alone at
{image_px} px, on maps of ({channels}) channels,
with feature dimension {width}; cells of MnasFPN's family bring their own width.
"""


def main(cfg: DictConfig) -> int:
    """Write the page, `README.md`, and for every cell two drawings."""
    folder = mode_folder(cfg, "gallery")
    searched: list[str] = []
    by_hand: list[str] = []
    for path in sorted((CONF / "cell").glob("*.json")):
        hand = json.loads(path.read_text())["space"] == "handcrafted"
        found = path.stem in cfg.mode.searched or not hand
        (searched if found else by_hand).append(_section(cfg, path, folder))
    channels = ", ".join(f"C{level} {n}" for level, n in cfg.mode.channels.items())
    values = {"image_px": cfg.image_px, "width": cfg.width, "channels": channels}
    parts = [_PAGE.format(**values)]
    parts += ["## Found by a search\n", *searched, "## Made by hand\n", *by_hand]
    write_text(folder / "README.md", "\n".join(parts))
    count = len(searched) + len(by_hand)
    Console().print(f"{count} cells: {folder / 'README.md'}", soft_wrap=True)
    return 0


def _section(cfg: DictConfig, path: Path, folder: Path) -> str:
    """Draw one cell and return its part of the page."""
    name, data = path.stem, json.loads(path.read_text())
    config = cast(DictConfig, OmegaConf.merge(cfg, {"cell": name}))
    genotype = canonical(load_cell(config))
    write_text(folder / f"{name}.svg", draw_svg(genotype, name))
    write_text(folder / f"{name}-ops.svg", draw_ops_svg(genotype, name))
    cost = trace(genotype, cfg.mode.channels, cfg.image_px)
    return (
        f"### {name}\n\n{data['source']}\n\n"
        f"{cost.params / 1e6:.3f} M parameters, {cost.macs / 1e9:.3f} GMAC, "
        f"[operations]({name}-ops.svg)\n\n![{name}]({name}.svg)\n"
    )
