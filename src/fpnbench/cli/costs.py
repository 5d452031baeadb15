"""`mode=costs`: the MACs, parameters and anchors that papers print, beside ours.

Every number and convention stands in `conf/mode/costs.yaml`; nothing is trained.
"""

import copy
import csv
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, cast

from hydra import compose
from omegaconf import DictConfig, OmegaConf
from rich.console import Console
from rich.progress import track
from rich.table import Table

from fpnbench.cli.build import load_cell
from fpnbench.cli.cost import Counted, bare_backbone, count, notation
from fpnbench.cli.folder import mode_folder, write_whole
from fpnbench.detect.anchors import side_cells
from fpnbench.detect.backbone import Backbone
from fpnbench.detect.cost import PartCost, backbone_cost
from fpnbench.graph.errors import UserError

SET = {
    "image_px": "image_px",
    "repeats": "repeats",
    "width": "width",
    "head_width": "detector.width",
    "head_levels": "detector.levels",
}
"""Keys of a row, and the key of the configuration that each sets."""
NEEDED = ("row", "cell", "backbone", "detector", "slots", "params")
OTHERS = ("cell_args", "note", "paper_gmacs", "paper_gflops", "paper_mparams")
FILE_WIDTH = 190
MACS_PER_FLOP = 0.5
"""Of papers that count a multiplication and an addition each."""


def main(cfg: DictConfig) -> int:
    """Print the table, write `costs.csv` and `anchors.csv`."""
    mode = cast(dict[str, Any], OmegaConf.to_container(cfg.mode, resolve=True))
    counter = Counter(mode["short"])
    tables = track(mode["tables"].values(), "counting", transient=True)
    rows = [counter.row(row) for row in _rows(tables)]
    anchors = [_anchors(cfg, row) for row in _rows([mode["anchors"]])]
    console = Console()
    if not console.is_terminal:  # a file has no width, and 80 columns are too few
        console = Console(width=max(console.width, FILE_WIDTH))
    console.print(_costs_table(rows))
    console.print(_anchors_table(anchors))
    folder = mode_folder(cfg, "costs")
    write_csv(folder / "costs.csv", rows)
    write_csv(folder / "anchors.csv", anchors)
    console.print(f"written to {folder}", soft_wrap=True, highlight=False)
    return 0


class Counter:
    """Counts rows; a backbone is built once, and counted once for each image size."""

    def __init__(self, short: Mapping[str, str]) -> None:
        """Remember the short names of backbones."""
        self._short = short
        self._composed: dict[tuple[str, str], DictConfig] = {}
        self._backbones: dict[str, Backbone] = {}
        self._costs: dict[tuple[str, int], PartCost] = {}

    def row(self, row: Mapping[str, Any]) -> dict[str, object]:
        """Count one row of the configuration.

        Raises:
            UserError: a key that no row has, a missing one, or parts that do not fit.
        """
        _check(row)
        cfg, name = self._configuration(row), row["backbone"]
        if name not in self._backbones:
            self._backbones[name] = bare_backbone(cfg)
        backbone, place = self._backbones[name], (name, int(cfg.image_px))
        if place not in self._costs:
            self._costs[place] = backbone_cost(backbone, place[1])
        whole, args = self._costs[place], row.get("cell_args")
        counted = count(cfg, backbone, whole, row["slots"], args)
        model = notation(self._short.get(name, name), cfg.repeats, counted.widths)
        return {**_beside_paper(row, counted, place[1]), "model": model}

    def _configuration(self, row: Mapping[str, Any]) -> DictConfig:
        groups = row["backbone"], row["detector"]
        if groups not in self._composed:
            chosen = [f"backbone={groups[0]}", f"detector={groups[1]}"]
            self._composed[groups] = compose("config", chosen)
        cfg = copy.deepcopy(self._composed[groups])
        cfg.cell = row["cell"]
        for key in SET.keys() & row.keys():
            OmegaConf.update(cfg, SET[key], row[key])
        return cfg


def write_csv(path: Path, rows: Sequence[Mapping[str, object]]) -> None:
    """Write rows of the same keys as a table; without rows it is empty."""

    def write(part: Path) -> None:
        with part.open("w", newline="") as file:
            columns: list[str] = list(*rows[:1])
            writer = csv.DictWriter(file, columns, lineterminator="\n")
            writer.writeheader()
            writer.writerows(rows)

    write_whole(path, write)


def _rows(tables: Iterable[Mapping[str, Any]]) -> Iterable[dict[str, Any]]:
    for table in tables:
        for row in table["rows"]:
            yield {**table["common"], **row}


def _beside_paper(
    row: Mapping[str, Any], counted: Counted, image_px: int
) -> dict[str, object]:
    params = counted.cost.params
    if row["params"] == "all":
        params += counted.statistics
    gmacs, mparams = counted.cost.macs / 1e9, params / 1e6
    paper_gmacs, paper_mparams = row.get("paper_gmacs"), row.get("paper_mparams")
    if "paper_gflops" in row:
        paper_gmacs = row["paper_gflops"] * MACS_PER_FLOP
    return {
        "row": row["row"],
        "image_px": image_px,
        "gmacs": round(gmacs, 6),
        "paper_gmacs": paper_gmacs,
        "mparams": round(mparams, 6),
        "paper_mparams": paper_mparams,
        "note": row.get("note", ""),
        "gmacs_diff_pct": _difference_pct(gmacs, paper_gmacs),
        "mparams_diff_pct": _difference_pct(mparams, paper_mparams),
        "params": row["params"],
    }


def _difference_pct(ours: float, paper: float | None) -> float | None:
    return None if paper is None else round(100 * (ours / paper - 1), 2)


def _check(row: Mapping[str, Any]) -> None:
    name = row.get("row", row)
    allowed = (*NEEDED, *SET, *OTHERS)
    unknown = sorted(set(row) - set(allowed))
    missing = [key for key in NEEDED if key not in row]
    if unknown or missing:
        raise UserError(
            f"mode.tables, row {name}: keys unknown {unknown}, missing {missing}; "
            f"allowed are {', '.join(allowed)}"
        )
    if row["params"] not in ("trainable", "all"):
        raise UserError(
            f"mode.tables, row {name}: params={row['params']}, allowed: trainable, all"
        )


def _anchors(cfg: DictConfig, row: Mapping[str, Any]) -> dict[str, object]:
    """Count the anchors on the levels that a pyramid gives."""
    cfg.cell = row["cell"]
    levels = load_cell(cfg, row["cell_args"]).levels
    height, width = row["height_px"], row["width_px"]
    cells = sum(side_cells(lv, height) * side_cells(lv, width) for lv in levels)
    return {
        "row": row["row"],
        "height_px": height,
        "width_px": width,
        "levels": " ".join(f"P{level}" for level in levels),
        "per_cell": row["per_cell"],
        "anchors": cells * row["per_cell"],
        "paper_thousands": row["paper_thousands"],
    }


def _costs_table(rows: Sequence[Mapping[str, Any]]) -> Table:
    table = Table("row", "model", box=None)
    for name in ("px", "GMAC", "paper", "differs", "M params", "paper", "differs"):
        table.add_column(name, justify="right")
    table.add_column("note")
    for row in rows:
        table.add_row(
            row["row"],
            row["model"],
            str(row["image_px"]),
            f"{row['gmacs']:.4f}",
            _or_none(row["paper_gmacs"], ".5g"),
            _or_none(row["gmacs_diff_pct"], "+.2f", " %"),
            f"{row['mparams']:.3f}",
            _or_none(row["paper_mparams"], ".5g"),
            _or_none(row["mparams_diff_pct"], "+.2f", " %"),
            row["note"],
        )
    return table


def _anchors_table(rows: Sequence[Mapping[str, Any]]) -> Table:
    table = Table("row", "levels", "anchors", "paper", box=None)
    for row in rows:
        paper = f"{row['paper_thousands']}k"
        table.add_row(row["row"], row["levels"], f"{row['anchors']:,}", paper)
    return table


def _or_none(value: float | None, form: str, unit: str = "") -> str:
    return "" if value is None else f"{value:{form}}{unit}"
