"""`mode=show`: one trial of a run, and what else may be in its place."""

import csv
import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from omegaconf import DictConfig
from PIL import Image

from fpnbench.cli.build import load_cell
from fpnbench.graph.canonical import key
from fpnbench.graph.protocols import EvaluationError
from fpnbench.search.toy import ToyEvaluator

TOY = ("evaluator=toy", "searcher=random", "space=nasfpn", "repeats=2")
Cli = Callable[..., Any]


def rows(folder: Path) -> list[dict[str, str]]:
    with (folder / "trials.csv").open(newline="") as file:
        return list(csv.DictReader(file))


def show(cli: Cli, *args: str) -> Any:
    done = cli("mode=show", "out=shown", *args)
    assert (done.code, done.err) == (0, "")
    return done


@pytest.fixture
def run(cli: Cli, tmp_path: Path) -> Path:
    assert cli(*TOY, "out=run", "budget.trials=4").code == 0
    return tmp_path / "run"


def test_a_trial_is_told_drawn_and_written(cli: Cli, run: Path, tmp_path: Path) -> None:
    before = (run / "ledger.sqlite").read_bytes()
    done = show(cli, "runs=run", "trial=3")
    row = rows(run)[3]
    assert row["key"] in done.out
    assert f"{float(row['reward']):.4f}" in done.out
    told = json.loads((tmp_path / "shown" / "trial.json").read_text())
    assert " ".join(map(str, told["choices"])) == row["choices"]
    for name in ("ap", "loss", "macs", "params"):
        assert told["score"][name] == float(row[name])
    for name in ("cell.png", "curve.png"):
        with Image.open(tmp_path / "shown" / name) as picture:
            assert min(picture.size) > 300
    assert "run, trial 3" in (tmp_path / "shown" / "cell.svg").read_text()
    assert (run / "ledger.sqlite").read_bytes() == before


def test_the_best_trial_is_shown_if_none_is_named(cli: Cli, run: Path) -> None:
    best = json.loads((run / "best.json").read_text())
    done = show(cli, "runs=[run]")
    assert best["key"] in done.out


def test_what_is_written_is_a_cell_with_repeats_of_your_own(
    cli: Cli, run: Path, tmp_path: Path, conf: Callable[..., DictConfig]
) -> None:
    show(cli, "runs=run", "trial=1")
    cell = f"cell_name={tmp_path}/shown/trial.json"
    # The toy reads every level, so that the key is that of the whole network.
    assert key(load_cell(conf(cell, "repeats=2"))) == rows(run)[1]["key"]
    assert load_cell(conf(cell, "repeats=5")).repeats == 5


def test_the_blocks_of_a_known_cell_are_those_of_its_paper(cli: Cli) -> None:
    """FPN's row (c), arXiv 1612.03144: top-down with laterals, then 3x3."""
    known = ("search.enqueue=[fpn]", "evaluator.levels=[3,4,5]", "repeats=1")
    assert cli(*TOY, *known, "out=fpn", "budget.trials=1").code == 0
    done = show(cli, "runs=fpn", "trial=0")
    lines = [line.split() for line in done.out.splitlines()]
    assert ["0", "P5", "C5", "3×3", "P5"] in lines
    assert ["1", "P4", "+", "C4", "0", "3×3", "P4"] in lines
    assert ["2", "P3", "+", "C3", "1", "3×3", "P3"] in lines
    assert ["cell", "fpn"] in lines


def test_a_failure_says_why_and_has_no_curve(
    cli: Cli, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(self: ToyEvaluator, *args: Any) -> Any:
        raise EvaluationError("training loss of epoch 2 is nan")

    with monkeypatch.context() as patched:
        patched.setattr(ToyEvaluator, "__call__", broken)
        cli(*TOY, "out=run", "budget.trials=2")
    done = show(cli, "runs=run", "trial=1")
    assert "training loss of epoch 2 is nan" in done.out
    assert not (tmp_path / "shown" / "curve.png").exists()
    refused = cli("mode=show", "runs=run")
    assert refused.code == 2
    assert "run has no trial with a reward; name one: trial=0" in refused.err


def test_a_repeat_names_the_trial_that_it_repeats(cli: Cli, tmp_path: Path) -> None:
    few = (
        "space=handcrafted",
        "space.pyramids=[fpn,panet,bifpn]",
        "searcher=evolution",
    )
    assert cli(*TOY, *few, "out=run", "budget.trials=30").code == 0
    row = next(row for row in rows(tmp_path / "run") if row["repeat_of"] == "0")
    done = show(cli, "runs=run", f"trial={row['number']}")
    assert ["repeat_of", "0"] in [line.split() for line in done.out.splitlines()]


def test_a_run_that_is_not_finished_can_be_shown(cli: Cli, run: Path) -> None:
    key_of_2 = rows(run)[2]["key"]
    for name in ("summary.json", "trials.csv"):
        (run / name).unlink()
    assert key_of_2 in show(cli, "runs=run", "trial=2").out


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("runs=run", "trial=4"), "trial=4: run has no such trial (there: 0 to 3)"),
        (("runs=run", "trial=-1"), "trial=-1: run has no such trial"),
        (("runs=run", "trial=x"), "trial=x: run has no such trial"),
        (("runs=run", "trial=true"), "trial=True: run has no such trial"),
        (("trial=1",), "runs= is missing: the folder of one run"),
        (("runs=empty",), "runs=empty: no run folders among 1 paths"),
        (("runs=nowhere",), "runs=nowhere: no run folders among 0 paths"),
        (("runs=r*",), "runs=r*: 2 run folders (run, run2, ...) among 2 paths"),
        (("runs=[run,run2]",), "2 run folders (run, run2, ...)"),
    ],
)
def test_mistakes_are_one_line(
    cli: Cli, run: Path, tmp_path: Path, arguments: tuple[str, ...], said: str
) -> None:
    shutil.copytree(run, tmp_path / "run2")
    (tmp_path / "empty").mkdir()
    done = cli("mode=show", *arguments)
    assert done.code == 2
    assert done.err.startswith("error: ")
    assert said in done.err
    assert done.err.count("\n") == 1


@pytest.mark.parametrize(
    ("damage", "said"),
    [
        (lambda run: (run / "ledger.sqlite").unlink(), "there is no such file"),
        (
            lambda run: (run / "ledger.sqlite").write_text("not a database"),
            "file is not a database",
        ),
        (lambda run: edit(run, "projection: per_use", "projection: once"), "changed"),
        (lambda run: edit(run, "url: sqlite:///{folder}/ledger.sqlite", "url: null"),
         "was kept in memory and is gone"),
        (lambda run: edit(run, "study: search", "study: other"), "has no study other"),
    ],
    ids=["gone", "damaged", "space", "memory", "study"],
)  # fmt: skip
def test_a_run_that_cannot_be_read_any_more(
    cli: Cli, run: Path, damage: Callable[[Path], Any], said: str
) -> None:
    damage(run)
    there = {path.name for path in run.iterdir()}
    done = cli("mode=show", "runs=run", "trial=0")
    assert done.code == 2
    assert said in done.err
    assert done.err.count("\n") == 1
    assert {path.name for path in run.iterdir()} == there


def edit(run: Path, old: str, new: str) -> None:
    text = (run / "config.yaml").read_text()
    assert old in text
    (run / "config.yaml").write_text(text.replace(old, new))
