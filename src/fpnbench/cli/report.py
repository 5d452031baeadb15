"""`mode=report`: tables and figures of many runs."""

from collections.abc import Iterable
from glob import glob
from pathlib import Path
from typing import Literal, cast

import pandas as pd
from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException
from rich.console import Console
from rich.table import Table
from yaml import YAMLError  # type: ignore[import-untyped]

from fpnbench.cli.folder import (
    fixed,
    flat,
    mode_folder,
    resolved,
    write_text,
    write_whole,
)
from fpnbench.graph.errors import UserError
from fpnbench.report import tables
from fpnbench.report.curves import comparison_figure
from fpnbench.report.matrix import (
    Run,
    bands,
    check_comparable,
    counts,
    curves,
    matrix,
    read_run,
)


def main(cfg: DictConfig) -> int:
    """Print the space x searcher matrix of `runs=` and write it with its figures."""
    found, skipped = run_folders(cfg.runs)
    runs = [read_run(folder, configuration(folder)) for folder in found]
    check_comparable(runs)
    table, console = matrix(runs), Console()
    console.print(printed(table))
    for note in tables.notes(table):
        console.print(note, style="dim")
    folder = mode_folder(cfg, "report")
    write(folder, runs, table)
    plus = f", {skipped} skipped that are no run folders" if skipped else ""
    console.print(f"{len(runs)} runs{plus}; written to {folder}", soft_wrap=True)
    return 0


def run_folders(wanted: object) -> tuple[list[Path], int]:
    """Return the run folders of a list or glob, and how many paths are none.

    Raises:
        UserError: nothing was given, or no run folder is among it.
    """
    patterns = [wanted] if isinstance(wanted, str) else wanted
    if not patterns:
        raise UserError("runs= is missing: a list or a glob of run folders")
    paths = sorted(
        {p for pattern in cast(Iterable[str], patterns) for p in glob(str(pattern))}
    )
    files = ("summary.json", "trials.csv", "config.yaml")
    found = [
        Path(path)
        for path in paths
        if all(Path(path, name).is_file() for name in files)
    ]
    if not found:
        raise UserError(
            f"runs={wanted}: no run folder among {len(paths)} paths (a run folder "
            f"holds {', '.join(files)})"
        )
    return found, len(paths) - len(found)


def configuration(folder: Path) -> dict[str, object]:
    """Return a run's recorded configuration but for its seed and budget, flat.

    Raises:
        UserError: `config.yaml` cannot be read.
    """
    path = folder / "config.yaml"
    try:
        values = fixed(resolved(cast(DictConfig, OmegaConf.load(path))))
    except (OSError, ValueError, YAMLError, OmegaConfBaseException) as error:
        reason = str(error).splitlines()[0]
        raise UserError(f"{path} cannot be read: {reason}") from error
    return {key: value for key, value in flat(values).items() if key != "seed"}


def printed(table: pd.DataFrame) -> Table:
    """Return the matrix for the terminal."""
    shown = Table(
        title=tables.title(table),
        title_justify="left",
        box=None,
        pad_edge=False,
        collapse_padding=True,
    )
    for place, name in enumerate(tables.HEADER):
        # Where the terminal is narrow, the settings behind a searcher's name wrap.
        justify: Literal["left", "right"] = "left" if place < 2 else "right"
        shown.add_column(name, justify=justify, no_wrap=place != 1)
    for row in tables.rows(table):
        shown.add_row(*row)
    return shown


def write(folder: Path, runs: list[Run], table: pd.DataFrame) -> None:
    """Write the tables and figures of a report."""
    course, title = curves(runs), tables.title(table)
    table = table.assign(note="DEMO" if tables.is_demo(table) else "")
    frames = {"matrix": table, "curves": course, "counts": counts(runs)}
    for name, frame in frames.items():
        write_text(folder / f"{name}.csv", frame.to_csv(index=False))
    write_text(folder / "matrix.tex", tables.latex(table))
    parts = [f"# {title}", tables.markdown(table), *tables.notes(table)]
    lines = bands(course)
    if lines:
        for name in ("curves.png", "curves.pdf"):
            write_whole(
                folder / name, lambda part: comparison_figure(lines, part, title)
            )
        parts.append("![Best reward so far](curves.png)")
    listed = "\n".join(f"- `{run.folder}`: {run.summary['status']}" for run in runs)
    benchmark = f"Benchmark `{runs[0].summary['benchmark']}`, {len(runs)} runs:"
    parts += [benchmark, listed]
    write_text(folder / "report.md", "\n\n".join(parts) + "\n")
