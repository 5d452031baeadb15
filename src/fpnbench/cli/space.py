"""`mode=space`: a search space's decisions and how many choice vectors it has."""

from omegaconf import DictConfig
from rich.console import Console
from rich.table import Table

from fpnbench.cli.build import build_space
from fpnbench.cli.folder import mode_folder, names, write_json
from fpnbench.graph.decision import cardinality


def main(cfg: DictConfig) -> int:
    """Print the space and write `space.json`."""
    space, name = build_space(cfg), names()["space"]
    size, paper = cardinality(space.decisions), cfg.mode.paper.get(name)
    table = Table("decision", "options", box=None)
    for decision in space.decisions:
        table.add_row(decision.name, " ".join(map(str, decision.options)))
    console = Console()
    console.print(table)
    printed = "none printed" if paper is None else f"{paper:.4g}"
    counted = f"{name}: {size:,} choice vectors = {size:.5g}; paper: {printed}"
    console.print(counted, soft_wrap=True)
    folder = mode_folder(cfg, f"space-{name}")
    write_json(
        folder / "space.json",
        {
            "space": name,
            "decisions": [
                {"name": entry.name, "options": list(entry.options)}
                for entry in space.decisions
            ],
            "cardinality": str(size),
            "paper_cardinality": paper,
        },
    )
    console.print(f"written to {folder}", soft_wrap=True, highlight=False)
    return 0
