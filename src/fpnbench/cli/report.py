"""`mode=report`: tables and figures of many runs."""

from collections.abc import Iterable
from glob import glob
from pathlib import Path
from typing import Literal, cast

import pandas as pd
from omegaconf import DictConfig
from rich.console import Console
from rich.table import Table

from fpnbench.cli.folder import (
    fixed,
    flat,
    mode_folder,
    recorded,
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

RESULTS = ("summary.json", "trials.csv")
"""What a run leaves behind when it ends, beside its `config.yaml`."""


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
    plus = f"; skipped: {skipped}" if skipped else ""
    console.print(f"{len(runs)} runs{plus}; written to {folder}", soft_wrap=True)
    return 0


def run_folders(wanted: object) -> tuple[list[Path], str]:
    """Return the finished runs of a list or glob, and in words what else was there.

    Raises:
        UserError: nothing was given, or no finished run is among it.
    """
    patterns = [wanted] if isinstance(wanted, str | int | float) else wanted
    if not patterns:
        raise UserError("runs= is missing: a list or a glob of run folders")
    texts = map(str, cast(Iterable[object], patterns))
    paths = [Path(path) for path in sorted({p for text in texts for p in glob(text)})]
    begun = [path for path in paths if (path / "config.yaml").is_file()]
    found = [p for p in begun if all((p / name).is_file() for name in RESULTS)]
    left = [path for path in begun if path not in found]
    skipped = []
    if left:
        skipped.append(
            f"{len(left)} unfinished run(s), such as {left[0]} (the command that began "
            "it goes on with it)"
        )
    if len(begun) < len(paths):
        skipped.append(f"{len(paths) - len(begun)} that are no run folders")
    if not found:
        raise UserError(
            f"runs={wanted}: no finished run (with {', '.join(RESULTS)}) among "
            f"{len(paths)} paths{':' * bool(skipped)} {', '.join(skipped)}".rstrip()
        )
    return found, ", ".join(skipped)


def configuration(folder: Path) -> dict[str, object]:
    """Return a run's recorded configuration but for its seed and budget, flat.

    Raises:
        UserError: `config.yaml` cannot be read.
    """
    return {
        key: value
        for key, value in flat(fixed(recorded(folder))).items()
        if key != "seed"
    }


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
