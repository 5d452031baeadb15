"""`mode=check`: measure claims against their bars."""

from dataclasses import asdict
from importlib import import_module
from pathlib import Path

import pandas as pd
from omegaconf import DictConfig
from rich.console import Console
from rich.table import Table

from fpnbench.cli.folder import mode_folder, write_json, write_text
from fpnbench.graph.errors import UserError
from fpnbench.report.bar import Bar, Findings

CHECKS = Path(__file__).parent / "checks"


def main(cfg: DictConfig) -> int:
    """Run one check, print its bars and write `check.json`; 0 if every bar held.

    A check returns its bars, or `Findings`: then `check.json` also says what they are
    about and holds the table, which stands in `check.csv`, too.
    """
    known = sorted(path.stem for path in CHECKS.glob("[!_]*.py"))
    if cfg.what not in known:
        wrong = " is missing:" if cfg.what is None else f"{cfg.what} is not"
        raise UserError(f"what={wrong} one of {', '.join(known)}")
    folder = mode_folder(cfg, f"check-{cfg.what}")
    check = import_module(f"fpnbench.cli.checks.{cfg.what}")
    found: Findings | list[Bar] = check.run(cfg)
    findings = found if isinstance(found, Findings) else Findings(found)
    table = Table("check", "bar", "measured", "", box=None)
    for bar in findings.bars:
        table.add_row(bar.name, bar.bar, bar.measured, "held" if bar.held else "FAILED")
    console = Console()
    console.print(table)
    held = all(bar.held for bar in findings.bars)
    result = {"what": cfg.what, "held": held, **asdict(findings)}
    write_json(folder / "check.json", result)
    if findings.rows:
        csv = pd.DataFrame(list(findings.rows)).to_csv(index=False)
        write_text(folder / "check.csv", csv)
    console.print(f"written to {folder}", soft_wrap=True, highlight=False)
    return 0 if held else 1
