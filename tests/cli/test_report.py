"""`mode=report` and `mode=draw` on runs of the toy evaluator."""

import csv
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from omegaconf import OmegaConf
from PIL import Image

Cli = Callable[..., Any]
RUN = Path(__file__).parents[2] / "run.py"
TOY = ("evaluator=toy", "budget.trials=4", "space=nasfpn")


def table(path: Path) -> list[dict[str, str]]:
    with path.open(newline="") as file:
        return list(csv.DictReader(file))


@pytest.fixture(scope="module")
def searched(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Three runs, made once."""
    folder = tmp_path_factory.mktemp("searched")
    sweep = ("searcher=random,evolution", "seed=0,1", "out=many")
    command = [sys.executable, str(RUN), "--multirun", *TOY, *sweep]
    subprocess.run(command, cwd=folder, check=True, capture_output=True)
    for made in sorted((folder / "many").glob("nasfpn-*")):
        _, searcher, *_, seed, _ = made.name.split("-")
        made.rename(made.with_name(f"{searcher}{seed[1:]}"))
    shutil.rmtree(folder / "many" / "evolution1")
    return folder / "many"


@pytest.fixture
def runs(searched: Path, tmp_path: Path) -> Path:
    """The three runs, and beside them what is none."""
    shutil.copytree(searched, tmp_path / "many")
    (tmp_path / "many" / "multirun.yaml").touch()
    (tmp_path / "many" / "empty").mkdir()
    return tmp_path / "many"


def test_report_writes_its_tables_and_figures(cli: Cli, runs: Path, tmp_path: Path):
    done = cli("mode=report", "runs='many/*'", "out=told")
    assert (done.code, done.err) == (0, "")
    assert "3 runs; skipped: 2 that are no run folders" in done.out
    folder = tmp_path / "told"
    assert {path.name for path in folder.iterdir()} == {
        *("report.md", "matrix.csv", "matrix.tex", "curves.csv", "counts.csv"),
        *("curves.png", "curves.pdf"),
    }
    cells = table(folder / "matrix.csv")
    assert [(row["space"], row["searcher"], row["seeds"]) for row in cells] == [
        ("nasfpn", "evolution", "1"),
        ("nasfpn", "random", "2"),
    ]
    best = [
        max(float(row["reward"]) for row in table(runs / name / "trials.csv"))
        for name in ("random0", "random1")
    ]
    assert float(cells[1]["reward_mean"]) == pytest.approx(sum(best) / 2)
    assert f"{max(best):.4f}" in done.out
    assert len(table(folder / "counts.csv")) == 3
    assert len(table(folder / "curves.csv")) == 2 * 4
    for name in ("matrix.csv", "matrix.tex", "report.md"):
        assert "DEMO" in (folder / name).read_text()
    for name in ("counts.csv", "curves.csv"):
        assert {"space", "searcher"} <= set(table(folder / name)[0])


def test_runs_can_be_a_list(cli: Cli, runs: Path):
    done = cli("mode=report", "runs=[many/random0,many/evolution0]")
    assert done.code == 0
    assert "2 runs; written to runs/report" in done.out


@pytest.mark.parametrize(
    ("asked", "said"),
    [
        ("runs='nowhere/*'", "among 0 paths"),
        ("runs=5", "among 0 paths"),
        ("runs=null", "is missing"),
    ],
)
def test_no_runs_is_the_users_mistake(cli: Cli, asked: str, said: str):
    done = cli("mode=report", asked)
    assert (done.code, done.err.count("\n")) == (2, 1)
    assert said in done.err


def test_an_unfinished_run_is_called_so(cli: Cli, runs: Path):
    (runs / "random0" / "summary.json").unlink()
    done = cli("mode=report", "runs='many/*'")
    assert done.code == 0
    assert "1 unfinished run(s), such as many/random0 (the command that" in done.out
    done = cli("mode=report", "runs=many/random0")
    assert (done.code, done.err.count("\n")) == (2, 1)
    assert "no finished run (with summary.json, trials.csv) among 1 paths: 1 unf" in (
        done.err
    )


def test_different_benchmarks_are_refused(cli: Cli, runs: Path):
    cli(*TOY, "searcher=random", "evaluator.toy_seed=5", "out=many/other")
    done = cli("mode=report", "runs='many/*'")
    assert (done.code, done.err.count("\n")) == (2, 1)
    assert "different benchmarks" in done.err


def test_another_setting_is_another_row(cli: Cli, runs: Path, tmp_path: Path):
    assert cli(*TOY, "searcher=random", "repeats=2", "out=many/other").code == 0
    assert cli("mode=report", "runs='many/*'", "out=told").code == 0
    settings = [row["settings"] for row in table(tmp_path / "told" / "matrix.csv")]
    assert len(settings) == 3
    assert "repeats=1" in settings[1]
    assert "repeats=2" in settings[2]


def test_a_broken_configuration_is_one_line(cli: Cli, runs: Path):
    (runs / "random0" / "config.yaml").write_text("a: [")
    done = cli("mode=report", "runs='many/*'")
    assert (done.code, done.err.count("\n")) == (2, 1)
    assert "random0/config.yaml cannot be read" in done.err


def test_draw_takes_a_published_cell_and_a_runs_result(
    cli: Cli, runs: Path, tmp_path: Path
):
    assert OmegaConf.load(runs / "random0" / "config.yaml").seed == 0
    for cell, out in (("mnasfpn", "a"), ("many/random0/best.json", "b")):
        done = cli("mode=draw", f"cell={cell}", f"out={out}")
        assert done.code == 0
        assert f"{out}/cell.svg" in done.out
        svg = (tmp_path / out / "cell.svg").read_text()
        assert svg.startswith("<svg")
        with Image.open(tmp_path / out / "cell.png") as image:
            assert image.width > 600
    assert ">random0</text>" in svg
    assert cli("mode=draw", "cell=mnasfpn").code == 0
    assert (tmp_path / "runs" / "draw-mnasfpn" / "cell.svg").is_file()
