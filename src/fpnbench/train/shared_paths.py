"""What a supernet leaves: whose folder it is, paths scored, and what that took."""

import csv
import json
import os
from collections.abc import Callable, Container, Sequence
from dataclasses import asdict, dataclass, fields, replace
from hashlib import sha256
from math import fsum
from pathlib import Path
from statistics import fmean
from typing import Any, TypeVar

import numpy as np

from fpnbench.graph.canonical import key, prune
from fpnbench.graph.decision import Choices, Decision
from fpnbench.graph.errors import UserError
from fpnbench.graph.protocols import Space
from fpnbench.train.module import TrainBatches
from fpnbench.train.proxy import ProxyTrainer
from fpnbench.train.shared import PathCosts, PathScore, Sampling, SupernetSettings

PATHS, IDENTITY = "paths.csv", "identity.json"
PROBES = 10
"""Networks whose mean stands for those of a training."""
Row = TypeVar("Row")
Spent = tuple[float, int, float]
"""(seconds, images, gmacs)."""


@dataclass(frozen=True, slots=True)
class ScoredPath:
    """One path that was looked at; a vector scored before costs nothing again."""

    number: int
    choices: Choices
    key: str
    ap: float
    loss: float
    macs: int
    seconds: float
    images: int
    gmacs: float


class PathTable:
    """The paths so far, in order, also in `paths.csv` where there is a folder.

    Attributes:
        rows: the paths.
    """

    def __init__(self, folder: Path | None) -> None:
        """Read what an earlier start has left."""
        self._path = None if folder is None else folder / PATHS
        self.rows = [] if self._path is None else read_table(self._path, ScoredPath)
        self._known = {row.choices: row for row in reversed(self.rows)}

    def add(
        self, choices: Choices, key: str, measure: Callable[[Choices], PathScore]
    ) -> ScoredPath:
        """Score one more, or tell again what is known of the same vector."""
        number = len(self.rows)
        if choices in self._known:
            row = replace(self._known[choices], number=number)
            row = replace(row, seconds=0.0, images=0, gmacs=0.0)
        else:
            row = ScoredPath(number, choices, key, **asdict(measure(choices)))
            self._known[choices] = row
        self.rows.append(row)
        if self._path is not None:
            write_table(self._path, self.rows)
        return row

    def best(self, count: int, tried: Container[str]) -> ScoredPath | None:
        """Return the best of the first `count` whose network was not tried, if any."""
        left = [row for row in self.rows[:count] if row.key not in tried]
        return max(left, key=lambda row: (row.ap, -row.loss), default=None)


def draw(
    decisions: Sequence[Decision], sampling: Sampling, seed: int, step: int
) -> Choices:
    """Return the path of a training step, a function of (seed, step) alone.

    Fair: each decision has a deck of its own, shuffled anew when it is used up.
    """
    sizes = [len(decision.options) for decision in decisions]
    if sampling == "uniform":
        return tuple(np.random.default_rng((seed, step)).integers(sizes).tolist())
    chosen = []
    for place, size in enumerate(sizes):
        cycle, turn = divmod(step, size)
        deck = np.random.default_rng((seed, place, cycle)).permutation(size)
        chosen.append(int(deck[turn]))
    return tuple(chosen)


def claim(
    folder: Path,
    evaluator: ProxyTrainer,
    space: Space,
    settings: SupernetSettings,
    seed: int,
) -> None:
    """Make a folder that of one training.

    Raises:
        UserError: it is another's; names what differs.
    """
    drawn = [draw(space.decisions, "uniform", 0, n) for n in range(3)]
    networks = [key(space.decode(choices)) for choices in drawn]
    told = repr([[(d.name, d.options) for d in space.decisions], networks])
    own = {
        "space": f"{space.name} {sha256(told.encode()).hexdigest()[:12]}",
        "benchmark": evaluator.benchmark,
        **asdict(settings),
        "seed": seed,
    }
    path = folder / IDENTITY
    there = json.loads(path.read_text()) if path.is_file() else own
    for name, value in own.items():
        if there.get(name) != value:
            raise UserError(
                f"{folder} holds a supernet of another {name} ({there.get(name)} "
                f"there, {value} now); give another out="
            )
    if not path.is_file():
        folder.mkdir(parents=True, exist_ok=True)
        part = path.with_suffix(".part")
        part.write_text(json.dumps(own, indent=2))
        os.replace(part, path)


def foretell(
    evaluator: ProxyTrainer, space: Space, epochs: int, norm_batches: int, paths: int
) -> tuple[int, float]:
    """Return the images, and about the gmacs, of a training and of scoring paths."""
    setting = evaluator.settings[0]
    batch = min(setting.recipe.batch, len(setting.train))
    trained = len(TrainBatches(setting.train, setting.recipe, 0, 0)) * batch * epochs
    scored = (norm_batches * batch + len(setting.val)) * paths
    costs, drawn = PathCosts(setting), range(PROBES)
    vectors = [draw(space.decisions, "uniform", 0, number) for number in drawn]
    forms = [prune(space.decode(v).restrict(setting.levels)) for v in vectors]
    macs = fmean(costs(form)[1] for form in forms)
    return trained + scored, macs * (3 * trained + scored) / 1e9


def total(*tables: Sequence[Any]) -> Spent:
    """Sum what rows took."""
    rows = [row for table in tables for row in table]
    seconds, gmacs = fsum(r.seconds for r in rows), fsum(r.gmacs for r in rows)
    return seconds, sum(r.images for r in rows), gmacs


def write_table(path: Path, rows: Sequence[Any]) -> None:
    """Write dataclasses of one kind, a row each, whole or not at all."""
    part = path.with_name(f"{path.name}.part")
    with part.open("w", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(field.name for field in fields(rows[0]))
        writer.writerows(map(_text, asdict(row).values()) for row in rows)
    os.replace(part, path)


def read_table(path: Path, kind: type[Row]) -> list[Row]:
    """Read what `write_table` wrote, nothing where there is no file.

    Fields are whole numbers, floats, words or choices.
    """
    if not path.is_file():
        return []
    readers: dict[Any, Callable[[str], Any]] = {int: int, float: float, str: str}
    read = [readers.get(field.type, _choices) for field in fields(kind)]  # type: ignore[arg-type]
    with path.open(newline="") as file:
        _, *lines = csv.reader(file)
    return [
        kind(*(each(word) for each, word in zip(read, line, strict=True)))
        for line in lines
    ]


def _text(value: Any) -> str:
    return " ".join(map(str, value)) if isinstance(value, tuple) else str(value)


def _choices(text: str) -> Choices:
    return tuple(map(int, text.split()))
