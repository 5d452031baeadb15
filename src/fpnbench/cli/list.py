"""`mode=list`: everything that can be chosen, with its source and its cost."""

import csv
import json
import re
from collections.abc import Iterator
from dataclasses import asdict, dataclass, fields
from importlib.resources import files
from itertools import groupby
from pathlib import Path
from typing import cast

from hydra.core.hydra_config import HydraConfig
from omegaconf import DictConfig, OmegaConf
from rich.console import Console

from fpnbench.cli.build import CONF, build_space, load_cell
from fpnbench.cli.folder import mode_folder, write_whole
from fpnbench.graph.canonical import canonical
from fpnbench.graph.decision import cardinality
from fpnbench.graph.errors import UserError
from fpnbench.graph.trace import trace


@dataclass(frozen=True, slots=True)
class Choice:
    """One thing that can be chosen: `group=name`.

    Attributes:
        about: what it is and where it comes from.
        vectors: of a space, its choice vectors.
        macs: of a cell, multiply-accumulates of the pyramid; likewise `params`.
    """

    group: str
    name: str
    about: str
    vectors: int | None = None
    macs: int | None = None
    params: int | None = None

    @property
    def cost(self) -> str:
        """What it costs, or how large it is, for people."""
        if self.macs is not None and self.params is not None:
            return f"{self.macs / 1e6:.1f} MMAC {self.params / 1e6:.3f} M"
        return "" if self.vectors is None else f"{self.vectors:.4g} vectors"


def main(cfg: DictConfig) -> int:
    """Print what can be chosen; write `list.csv` if `out` is given.

    Raises:
        UserError: `what` is no group.
    """
    groups = sorted({path.parent.name for path in _files()})
    if cfg.what is not None and cfg.what not in groups:
        raise UserError(f"what={cfg.what} is not one of {', '.join(groups)}")
    found = list(choices(cfg, cfg.what))
    console = Console()
    for group, members in groupby(found, lambda choice: choice.group):
        console.print(f"{group}=", style="bold")
        alike = list(members)
        name, cost = (
            max(len(getattr(choice, column)) for choice in alike)
            for column in ("name", "cost")
        )
        for choice in alike:
            line = f"  {choice.name:{name}}  {choice.cost:{cost}}  {choice.about}"
            console.print(line, markup=False, highlight=False, soft_wrap=True)
    if cfg.what in (None, "cell"):
        stated = f"{cfg.image_px} px, repeats={cfg.repeats}, width={cfg.width}"
        channels = ", ".join(
            f"C{lv} {count}" for lv, count in cfg.mode.channels.items()
        )
        said = f"cost of cells: the pyramid alone, {stated}, channels {channels}"
        console.print(said, highlight=False, soft_wrap=True)
    if cfg.out is not None:
        folder = mode_folder(cfg, "list")
        write_whole(folder / "list.csv", lambda part: _write(part, found))
        console.print(f"written to {folder}", soft_wrap=True, highlight=False)
    return 0


def choices(cfg: DictConfig, what: str | None) -> Iterator[Choice]:
    """Yield what can be chosen, by group and name.

    A space that cannot be built has no size: what is wrong is said when it is used.
    """
    for path in sorted(_files(), key=lambda path: (path.parent.name, path.stem)):
        group, name = path.parent.name, path.stem
        if what not in (None, group):
            continue
        if group == "cell":
            yield _cell(cfg, path)
        else:
            about = first_sentence(path.read_text())
            vectors = _vectors(cfg, path) if group == "space" else None
            yield Choice(group, name, about, vectors)


def first_sentence(text: str) -> str:
    """Return the first sentence of the comment that a yaml begins with."""
    lines = [line for line in text.splitlines() if "@package" not in line]
    end = next((n for n, line in enumerate(lines) if line[:1] != "#"), len(lines))
    told = " ".join(line.lstrip("# ") for line in lines[:end])
    return re.split(r"(?<=\.) (?=[A-Z])", told)[0]


def _files() -> list[Path]:
    """Return every choice of the checkout and of configurations beside it."""
    folders = []
    for source in HydraConfig.get().runtime.config_sources:
        if source.schema == "file":
            folders.append(Path(source.path))
        elif source.schema == "pkg" and not source.path.startswith("hydra"):
            folders.append(Path(str(files(source.path))))
    found = [path for folder in folders for path in folder.glob("*/*.yaml")]
    return [*found, *(CONF / "cell").glob("*.json")]


def _vectors(cfg: DictConfig, path: Path) -> int | None:
    around = {"repeats": cfg.repeats, "width": cfg.width, "space": OmegaConf.load(path)}
    try:
        return cardinality(build_space(OmegaConf.create(around)).decisions)
    except UserError:
        return None


def _cell(cfg: DictConfig, path: Path) -> Choice:
    here = cast(DictConfig, OmegaConf.merge(cfg, {"cell": path.stem}))
    cost = trace(canonical(load_cell(here)), cfg.mode.channels, cfg.image_px)
    about = json.loads(path.read_text())["source"]
    return Choice("cell", path.stem, about, None, cost.macs, cost.params)


def _write(path: Path, found: list[Choice]) -> None:
    with path.open("w", newline="") as file:
        names = [entry.name for entry in fields(Choice)]
        writer = csv.DictWriter(file, names, lineterminator="\n")
        writer.writeheader()
        writer.writerows(map(asdict, found))
