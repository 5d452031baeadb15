"""`mode=spaces`: how large every search space is, beside what its paper prints."""

import csv
from pathlib import Path

from hydra import compose
from omegaconf import DictConfig
from rich.console import Console
from rich.progress import track

from fpnbench.cli.build import CONF, build_space
from fpnbench.cli.folder import mode_folder, write_json, write_whole
from fpnbench.cli.space import METHOD, show, sizes


def main(cfg: DictConfig) -> int:
    """Print a row for every yaml of conf/space; write `spaces.csv`, `spaces.json`."""
    found = sorted(path.stem for path in (CONF / "space").glob("*.yaml"))
    current = [f"repeats={cfg.repeats}", f"width={cfg.width}"]
    console = Console()
    rows = [
        sizes(build_space(compose("config", [f"space={name}", *current])), name, cfg)
        for name in track(found, "counting", console=console, transient=True)
    ]
    show(rows, console)
    folder = mode_folder(cfg, "spaces")

    def write(part: Path) -> None:
        with part.open("w", newline="") as file:
            writer = csv.DictWriter(file, list(rows[0]), lineterminator="\n")
            writer.writeheader()
            writer.writerows(rows)

    write_whole(folder / "spaces.csv", write)
    write_json(folder / "spaces.json", {"method": METHOD, "spaces": rows})
    console.print(f"written to {folder}", soft_wrap=True, highlight=False)
    return 0
