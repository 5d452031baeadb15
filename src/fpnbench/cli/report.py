"""`mode=report`: tables and figures of many runs."""

from collections.abc import Callable, Iterable
from functools import partial
from glob import glob
from pathlib import Path
from typing import Literal, cast

import pandas as pd
from omegaconf import DictConfig
from rich.console import Console
from rich.table import Table

from fpnbench.cli.build import CONF
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
from fpnbench.report.anytime import curves
from fpnbench.report.comparison import curves_figure, frontier_figure
from fpnbench.report.evidence import (
    Evidence,
    check_controls,
    find_evidence,
    heading,
)
from fpnbench.report.frontier import points, volumes
from fpnbench.report.latex import latex
from fpnbench.report.matrix import matrix
from fpnbench.report.runs import (
    Run,
    check_comparable,
    counts,
    differences,
    read_run,
    twins,
    with_finalists,
)

EVIDENCE = CONF.parent / "experiments" / "proxy" / "evidence.json"
"""What the checkout knows about its benchmarks."""
RESULTS = ("summary.json", "trials.csv")
"""What a run leaves behind when it ends, beside its `config.yaml`."""


def main(cfg: DictConfig) -> int:
    """Print the space x searcher matrix of `runs=` and write it with its figures.

    Raises:
        UserError: the runs make no table, or none that says anything about pyramids.
    """
    found, skipped = run_folders(cfg.runs)
    runs = [with_finalists(read_run(path, configuration(path))) for path in found]
    check_finalists(runs, cfg.finalists)
    check_comparable(runs)
    check_baseline(runs, cfg.baseline)
    table, console = matrix(runs, cfg.baseline), Console()
    above = evidence_of(runs, cfg.controls, demo=tables.is_demo(table))
    notes = [*tables.notes(table), *same_networks(runs), *environments(runs)]
    folder = mode_folder(cfg, "report")
    # Before anything is printed: `| head` ends a program that prints.
    write(folder, runs, table, notes, above)
    console.print(printed(table, above))
    for note in notes:
        console.print(note, style="dim", highlight=False)
    plus = f"; skipped: {skipped}" if skipped else ""
    console.print(f"{len(runs)} runs{plus}; written to {folder}", soft_wrap=True)
    return 0


def check_finalists(runs: list[Run], wanted: object) -> None:
    """Refuse runs without finalists where they are required.

    Raises:
        UserError: `finalists=` is not what it may be, or names what lacks them.
    """
    if wanted not in ("if_there", "required"):
        raise UserError(f"finalists={wanted} is not one of if_there, required")
    lacking = [str(run.folder) for run in runs if run.finalists is None]
    if wanted == "required" and lacking:
        raise UserError(
            f"finalists=required, but {len(lacking)} of {len(runs)} runs have none: "
            f"{', '.join(lacking)}; mode=finalists makes them"
        )


def check_baseline(runs: list[Run], wanted: object) -> None:
    """Refuse a baseline that no run and no yaml has the name of.

    Raises:
        UserError: names the runs' searchers.
    """
    there = sorted({str(run.summary["searcher"]) for run in runs})
    yaml = CONF / "searcher" / f"{wanted}.yaml"
    if wanted is not None and wanted not in there and not yaml.is_file():
        raise UserError(
            f"baseline={wanted} is no searcher of these runs: {', '.join(there)}"
        )


def evidence_of(runs: list[Run], wanted: object, *, demo: bool) -> str:
    """Return what is known of the runs' benchmark, the words above their tables.

    A table that is a DEMO anyway is made, whatever its controls say.

    Raises:
        UserError: `controls=` is not what it may be, or the controls of the benchmark
            are out of order and `controls=required`.
    """
    if wanted not in ("required", "ignored"):
        raise UserError(f"controls={wanted} is not one of required, ignored")
    found: list[Evidence] = find_evidence(runs, EVIDENCE)
    if wanted == "required" and not demo:
        check_controls(found)
    return heading(found)


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
        inside = [path for path in paths if any(path.glob("*/config.yaml"))]
        skipped += [f"but runs in it: runs='{path}/*'" for path in inside[:1]]
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


def same_networks(runs: list[Run]) -> list[str]:
    """Say which rows are one and the same search."""
    return [
        f"In {same[0].space} {' and '.join(each.searcher for each in same)} asked for "
        "the same networks in the same order: their rows are one result."
        for same in twins(runs)
    ]


def environments(runs: list[Run]) -> list[str]:
    """Say what the runs were not all computed with, if anything."""
    differ = "; ".join(differences(runs))
    return [f"Computed with different {differ}: APs may differ by it."] * bool(differ)


def printed(table: pd.DataFrame, above: str) -> Table:
    """Return the matrix for the terminal, with the words that stand above it."""
    header, *rows = tables.matrix_cells(table, tables.BRIEF)
    title = "\n".join(filter(None, [tables.title(table), above]))
    shown = Table(title=title, title_justify="left", box=None)
    for place, name in enumerate(header):
        justify: Literal["left", "right"] = "left" if place < 2 else "right"
        shown.add_column(name, justify=justify, overflow="fold")
    for row in rows:
        shown.add_row(*row)
    return shown


def write(
    folder: Path, runs: list[Run], table: pd.DataFrame, notes: list[str], above: str
) -> None:
    """Write the tables and figures of a report, numbers before pictures.

    The words `above` stand over every table, and in every row of a CSV.
    """
    course, found, asked = curves(runs), points(runs), counts(runs)
    areas, title, cells = (
        volumes(found),
        tables.title(table),
        tables.matrix_cells(table),
    )
    frames = {"matrix": table, "curves": course, "counts": asked, "hypervolume": areas}
    frames["frontier"] = found[found["frontier"]].drop(columns="frontier")
    note = "; ".join(filter(None, ["DEMO" * tables.is_demo(table), above]))
    for name, frame in frames.items():
        text = frame.assign(note=note).to_csv(index=False)
        write_text(folder / f"{name}.csv", text)
    caption = ": ".join(filter(None, [title, above]))
    parts_of_page = [tables.matrix_cells(table, part) for part in tables.PARTS]
    write_text(folder / "matrix.tex", latex(parts_of_page, caption, notes))
    markdown = partial(tables.markdown, above=above)
    parts = [f"# {title}", markdown(cells), *notes]
    if len(course):
        name = tables.title(table, "best so far")
        draw(folder, "curves", partial(curves_figure, course, title=name))
        parts += ["## Anytime curves", "![Best so far](curves.png)"]
    if len(found):
        name = tables.title(table, "AP against cost")
        draw(folder, "frontier", partial(frontier_figure, found, title=name))
        volume = [tables.volume_cells(areas, cost) for cost in areas["cost"].unique()]
        parts += ["## AP against cost", *map(markdown, volume), tables.VOLUME]
        parts.append("![AP against cost](frontier.png)")
    listed = "\n".join(f"- `{run.folder}`: {run.summary['status']}" for run in runs)
    benchmark = f"Benchmark `{runs[0].summary['benchmark']}`, {len(runs)} runs:"
    parts += [
        "## Trials",
        markdown(tables.count_cells(asked)),
        benchmark,
        listed,
    ]
    write_text(folder / "report.md", "\n\n".join(parts) + "\n")


def draw(folder: Path, name: str, figure: Callable[..., None]) -> None:
    """Write a figure as PNG and PDF."""
    for suffix in ("png", "pdf"):
        write_whole(folder / f"{name}.{suffix}", lambda part: figure(path=part))
