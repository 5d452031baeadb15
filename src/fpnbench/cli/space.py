"""`mode=space`: a search space's decisions, its size and its different networks."""

from collections.abc import Mapping
from math import exp, sqrt
from statistics import fmean, stdev
from typing import Any

from omegaconf import DictConfig
from rich.console import Console
from rich.table import Table

from fpnbench.cli.build import build_space
from fpnbench.cli.folder import mode_folder, names, write_json
from fpnbench.graph.decision import cardinality, enumerate_choices
from fpnbench.graph.errors import UserError
from fpnbench.graph.protocols import CountedSpace, Space
from fpnbench.search.searcher import uniform_choices

METHOD = (
    "different networks = choice vectors x mean(1/m) over uniform draws, m = vectors "
    "with the draw's key, counted exactly; 95 % interval from the standard error of "
    "the mean's logarithm"
)


def main(cfg: DictConfig) -> int:
    """Print the space and write `space.json`."""
    space, name = build_space(cfg), names()["space"]
    row = sizes(space, name, cfg)
    table = Table("decision", "options", box=None)
    for decision in space.decisions:
        table.add_row(decision.name, " ".join(map(str, decision.options)))
    console = Console()
    console.print(table)
    show([row], console)
    folder = mode_folder(cfg, f"space-{name}")
    decisions = [
        {"name": entry.name, "options": list(entry.options)}
        for entry in space.decisions
    ]
    write_json(folder / "space.json", {**row, "decisions": decisions, "method": METHOD})
    console.print(f"written to {folder}", soft_wrap=True, highlight=False)
    return 0


def sizes(space: Space, name: str, cfg: DictConfig) -> dict[str, Any]:
    """Return a row of the table: what is counted, and what the paper prints.

    Raises:
        UserError: `mode.draws` is no whole number from 2 on.
    """
    draws = cfg.mode.draws
    if not isinstance(draws, int) or draws < 2:
        raise UserError(f"mode.draws={draws}: it must be a whole number from 2 on")
    size, paper = cardinality(space.decisions), cfg.mode.paper.get(name)
    return {
        "space": name,
        "decision_count": len(space.decisions),
        "cardinality": str(size),
        "cardinality_short": f"{size:.6g}",
        "paper_cardinality": paper,
        "agrees": "" if paper is None else cfg.mode.verdict[_agrees(size, paper)],
        "repeats": cfg.repeats,
        **_networks(space, size, draws, cfg.seed),
    }


def show(rows: list[dict[str, Any]], console: Console) -> None:
    """Print rows, the exact numbers below the table, and how networks are counted."""
    columns = ("space", "choice vectors", "paper", "row", "different networks")
    table = Table(*columns, "95 % interval", "draws", box=None)
    for row in rows:
        paper = row["paper_cardinality"]
        printed = "none printed" if paper is None else f"{paper:.3g}"
        table.add_row(
            *(row["space"], row["cardinality_short"], printed, row["agrees"]),
            *_told(row),
        )
    console.print(table)
    for row in rows:
        exact = f"{row['space']}: {int(row['cardinality']):,} choice vectors"
        console.print(exact, soft_wrap=True, highlight=False)
    console.print(METHOD, soft_wrap=True, highlight=False)


def _agrees(size: int, paper: float) -> bool:
    """Tell whether a size has the paper's value at the paper's number of digits."""
    digits = len(f"{paper:g}".split("e")[0].replace(".", "")) - 1
    return float(f"{size:.{digits}e}") == paper


def _networks(space: Space, size: int, draws: int, seed: int) -> dict[str, Any]:
    """Count or estimate the different networks; empty for a space that cannot tell."""
    if not isinstance(space, CountedSpace):
        empty = dict.fromkeys(("networks", "networks_low", "networks_high"))
        return {**empty, "draws": 0}
    if size <= draws:
        every = enumerate_choices(space.decisions)
        count = float(round(sum(1 / space.multiplicity(choices) for choices in every)))
        mean, factor, draws = count, 1.0, size
    else:
        drawn = (uniform_choices(space.decisions, seed, n) for n in range(draws))
        shares = [1 / space.multiplicity(choices) for choices in drawn]
        mean = fmean(shares)
        factor = exp(1.96 * stdev(shares) / mean / sqrt(draws))
        mean *= size
    return {
        "networks": mean,
        "networks_low": mean / factor,
        "networks_high": mean * factor,
        "draws": draws,
    }


def _told(row: Mapping[str, Any]) -> tuple[str, str, str]:
    if row["networks"] is None:
        return "", "", ""
    if row["draws"] == int(row["cardinality"]):
        return f"{row['networks']:,.0f}", "exact", "all"
    interval = f"{row['networks_low']:.3g} to {row['networks_high']:.3g}"
    return f"{row['networks']:.3g}", interval, str(row["draws"])
