"""`mode=scores`: what the score store holds, and how it moves between machines."""

import csv
import gzip
import json
from collections.abc import Iterator
from dataclasses import asdict, astuple, fields
from pathlib import Path

import pandas as pd
from omegaconf import DictConfig
from rich.console import Console
from rich.table import Table

from fpnbench.cli.folder import mode_folder, write_text, write_whole
from fpnbench.cli.store import own_environment
from fpnbench.graph.errors import UserError
from fpnbench.graph.score import read_score
from fpnbench.search.store import Place, ScoreStore, StoredScore

ACTIONS = ("stats", "export", "import")
PLACE = [entry.name for entry in fields(Place)]
COLUMNS = [*PLACE, "score", "environment"]


def main(cfg: DictConfig) -> int:
    """Print, export or import the scores of `store=`.

    Raises:
        UserError: another action, no store, or a file that is no export.
    """
    if cfg.action not in ACTIONS:
        raise UserError(f"action={cfg.action} is not one of {', '.join(ACTIONS)}")
    if cfg.store is None:
        raise UserError("store=null: mode=scores needs the file of a score store")
    if cfg.action != "import" and not Path(cfg.store).is_file():
        raise UserError(f"store={cfg.store}: there is no such file")
    store, console = ScoreStore(Path(cfg.store), own_environment(), _fail), Console()
    if cfg.action == "export":
        count = export(store, Path(cfg.file))
        console.print(f"{count} scores written to {cfg.file}", highlight=False)
    elif cfg.action == "import":
        before = sum(1 for _ in store)
        for row in list(read_export(Path(cfg.file))):
            store.insert(row)
        added = sum(1 for _ in store) - before
        console.print(f"{added} scores added to {cfg.store}", highlight=False)
    else:
        tell(store, cfg, console)
    store.close()
    return 0


def export(store: ScoreStore, path: Path) -> int:
    """Write all scores, without records; return how many."""
    rows = list(store)

    def write(part: Path) -> None:
        with gzip.open(part, "wt", newline="") as file:
            writer = csv.writer(file, lineterminator="\n")
            writer.writerow(COLUMNS)
            for row in rows:
                values = json.dumps(asdict(row.score)), json.dumps(row.environment)
                writer.writerow([*astuple(row.place), *values])

    write_whole(path, write)
    return len(rows)


def read_export(path: Path) -> Iterator[StoredScore]:
    """Read what `export` wrote.

    Raises:
        UserError: the file is no export, or a row of it cannot be read.
    """
    number = 0
    try:
        with gzip.open(path, "rt", newline="") as file:
            for number, row in enumerate(csv.DictReader(file), 1):
                if not row["benchmark"]:
                    raise UserError(f"{path}, row {number}: the benchmark is unknown")
                place = Place(
                    row["key"], row["benchmark"], int(row["seed"]), int(row["epochs"])
                )
                score = read_score(json.loads(row["score"]))
                yield StoredScore(place, score, json.loads(row["environment"]))
    except (OSError, EOFError, ValueError, KeyError, TypeError) as error:
        reason = f"row {number}: {type(error).__name__} {error}"
        raise UserError(f"{path} is no export of mode=scores: {reason}") from error


def tell(store: ScoreStore, cfg: DictConfig, console: Console) -> None:
    """Print a row per benchmark and fidelity, and write it as `scores.csv`."""
    rows = [
        {**asdict(row.place), "ap": row.score.ap, "cost_s": row.score.cost_s}
        for row in store
    ]
    columns = ["benchmark", "epochs", "scores", "networks", "seeds", "best_ap", "hours"]
    frame = pd.DataFrame(rows, columns=[*PLACE, "ap", "cost_s"])
    by = frame.groupby(["benchmark", "epochs"])
    told = by.agg(
        scores=("key", "size"),
        networks=("key", "nunique"),
        seeds=("seed", "nunique"),
        best_ap=("ap", "max"),
        hours=("cost_s", lambda seconds: seconds.sum() / 3600),
    ).reset_index()[columns]
    table = Table(*columns, box=None)
    for row in told.itertuples(index=False):
        table.add_row(*(f"{v:.4f}" if isinstance(v, float) else str(v) for v in row))
    console.print(table)
    folder = mode_folder(cfg, "scores")
    write_text(folder / "scores.csv", told.to_csv(index=False))
    console.print(f"written to {folder}", soft_wrap=True, highlight=False)


def _fail(message: str) -> None:
    raise UserError(message)
