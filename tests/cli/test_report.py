"""`mode=report` and `mode=draw` on runs of the toy evaluator."""

import csv
import json
import re
import shutil
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from statistics import fmean, stdev
from typing import Any

import pytest
from omegaconf import OmegaConf
from PIL import Image

from fpnbench.cli import report

Cli = Callable[..., Any]
TOY = ("evaluator=toy", "budget.trials=4", "space=nasfpn")


def table(path: Path) -> list[dict[str, str]]:
    with path.open(newline="") as file:
        return list(csv.DictReader(file))


@pytest.fixture(scope="module")
def searched(cli_in: Cli, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Three runs, made once."""
    folder = tmp_path_factory.mktemp("searched")
    sweep = ("searcher=random,evolution", "seed=0,1", "out=many")
    assert cli_in(folder, "--multirun", *TOY, *sweep).code == 0
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


@pytest.fixture
def drawn() -> None:
    """Asks for the figures, which take most of a report's time."""


@pytest.fixture(autouse=True)
def undrawn(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Leave the figures out where nobody asks for them; tests/report draws many."""
    if "drawn" not in request.fixturenames:
        monkeypatch.setattr(report, "draw", lambda folder, name, figure: None)


@pytest.mark.usefixtures("drawn")
def test_report_writes_its_tables_and_figures(cli: Cli, runs: Path, tmp_path: Path):
    done = cli("mode=report", "runs='many/*'", "out=told")
    assert (done.code, done.err) == (0, "")
    assert "3 runs; skipped: 2 that are no run folders" in done.out
    folder = tmp_path / "told"
    assert {path.name for path in folder.iterdir()} == {
        *("report.md", "matrix.csv", "matrix.tex", "curves.csv", "counts.csv"),
        *("curves.png", "curves.pdf", "frontier.csv", "frontier.png", "frontier.pdf"),
        "hypervolume.csv",
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
    assert f"{sum(best) / 2:.4f} ±" in done.out
    assert done.out.count("No run has finalists") == 1
    assert {row["ap_mean"] + row["optimism"] for row in cells} == {""}
    assert [row["dedup"] for row in cells] == ["replay"] * 2
    # What random search drew, told in the row of evolution, too.
    rewards = [
        float(row["reward"])
        for name in ("random0", "random1")
        for row in table(runs / name / "trials.csv")
    ]
    for row in cells:
        assert float(row["sampling_mean"]) == pytest.approx(fmean(rewards))
        assert float(row["sampling_sd"]) == pytest.approx(stdev(rewards))
        assert float(row["search_mean"]) == pytest.approx(sum(best) / 2)
    counted = table(folder / "counts.csv")
    assert [row["trials"] for row in counted] == ["4"] * 3
    # Every network cost something else, and every run had one to begin with.
    axes = Counter(row["axis"] for row in table(folder / "curves.csv"))
    assert axes["evaluations"] == axes["images"] == 2 * 4
    assert axes["gmacs"] == axes["seconds"] > 2 * 4
    macs = [
        float(row["macs"])
        for name in ("random0", "random1", "evolution0")
        for row in table(runs / name / "trials.csv")
    ]
    for row in table(folder / "hypervolume.csv"):
        assert float(row["from_cost"]) == min(macs)
        assert float(row["to_cost"]) > max(macs)
        assert 0 < float(row["hypervolume_mean"]) < 1
    for path in folder.glob("*.csv"):
        rows = table(path)
        assert {"space", "searcher"} <= set(rows[0])
        assert {row["note"] for row in rows} == {"DEMO"}
    for name in ("matrix.tex", "report.md"):
        assert "DEMO" in (folder / name).read_text()
    told = (folder / "report.md").read_text()
    assert "This table alone does not compare spaces" in told
    assert "| nasfpn | random | 8 | 8 | 0 | 0 | 0 | 2 |" in told


def judge(run: Path, aps: list[float]) -> None:
    """Write what mode=finalists would: toy networks cannot be trained."""
    trials = sorted(table(run / "trials.csv"), key=lambda row: -float(row["reward"]))
    rows = [
        {
            **{"run": str(run), "rank": rank, "key": row["key"], "ap": ap, "seeds": 3},
            **{"ap_low": ap - 0.01, "ap_high": ap + 0.01, "benchmark": "toy-val"},
            "optimism": float(row["reward"]) - ap,
        }
        for rank, (row, ap) in enumerate(zip(trials, aps, strict=False), 1)
    ]
    with (run / "finalists.csv").open("w", newline="") as file:
        writer = csv.DictWriter(file, list(rows[0]))
        writer.writeheader()
        writer.writerows(rows)


@pytest.mark.usefixtures("drawn")
def test_finalists_are_the_result_where_they_are_there(
    cli: Cli, runs: Path, tmp_path: Path
):
    judge(runs / "random0", [0.3, 0.4])
    judge(runs / "random1", [0.2, 0.1])
    refused = cli("mode=report", "runs='many/*'", "finalists=required")
    assert (refused.code, refused.err.count("\n")) == (2, 1)
    assert "1 of 3 runs have none: many/evolution0; mode=fin" in refused.err
    assert not (tmp_path / "runs" / "report").exists()

    done = cli("mode=report", "runs='many/*'", "out=told")
    assert done.code == 0
    assert "runs with finalists: 1 have none" in done.out
    evolution, random = table(tmp_path / "told" / "matrix.csv")
    assert evolution["ap_mean"] == ""
    assert float(random["ap_mean"]) == pytest.approx(0.3)
    assert float(random["ap_all"]) == pytest.approx(0.25)
    assert "DEMO: AP of finalists" in (tmp_path / "told" / "matrix.tex").read_text()
    judge(runs / "evolution0", [0.5])
    every = cli("mode=report", "runs='many/*'", "finalists=required", "baseline=null")
    assert every.code == 0

    (runs / "random0" / "finalists.csv").write_text("")
    broken = cli("mode=report", "runs='many/*'")
    assert (broken.code, broken.err.count("\n")) == (2, 1)
    assert "random0/finalists.csv cannot be read" in broken.err


def test_a_misspelt_value_is_the_users_mistake_and_a_baseline_may_be_absent(
    cli: Cli, runs: Path
):
    done = cli("mode=report", "runs='many/*'", "finalists=maybe")
    assert (done.code, done.err.count("\n")) == (2, 1)
    assert "finalists=maybe is not one of if_there, required" in done.err
    done = cli("mode=report", "runs='many/*'", "baseline=randm")
    assert (done.code, done.err.count("\n")) == (2, 1)
    assert "baseline=randm is no searcher of these runs: evolution" in done.err
    done = cli("mode=report", "runs='many/*'", "baseline=ppo")
    assert done.code == 0
    assert "Without one row of ppo to compare with: nasfpn evo" in done.out


@pytest.fixture
def evidence(
    runs: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Callable[[dict[str, object]], None]:
    """The runs as if their networks had been trained, and what is known of them."""
    for path in runs.glob("*/summary.json"):
        told = json.loads(path.read_text())
        real = {"evaluator": "proxy", "data": "aquarium"}
        path.write_text(json.dumps(told | real))
    monkeypatch.setattr(report, "EVIDENCE", tmp_path / "evidence.json")

    def write(facts: dict[str, object]) -> None:
        known = {told["benchmark"]: {"6": facts, "60": {}}}
        (tmp_path / "evidence.json").write_text(json.dumps(known))

    return write


def test_a_benchmark_that_does_not_order_its_controls_makes_no_table(
    cli: Cli, evidence: Callable[..., None], tmp_path: Path
):
    evidence({"controls": ["panet > rolled", "bifpn > noisy"], "label": "demo"})
    done = cli("mode=report", "runs='many/*'", "out=told")
    assert (done.code, done.err.count("\n")) == (2, 1)
    assert "at 6 epochs does not order its controls (panet > rolled, bif" in done.err
    assert "controls=ignored" in done.err
    assert not (tmp_path / "told").exists()
    done = cli("mode=report", "runs='many/*'", "out=told", "controls=ignored")
    assert done.code == 0
    words = "demo; controls out of order: panet > rolled, bifpn > noisy; order not "
    assert words in done.out
    assert words in (tmp_path / "told" / "report.md").read_text()
    done = cli("mode=report", "runs='many/*'", "controls=maybe")
    assert (done.code, done.err.count("\n")) == (2, 1)
    assert "controls=maybe is not one of required, ignored" in done.err


def test_a_demo_is_made_whatever_its_controls_say(
    cli: Cli, evidence: Callable[..., None], runs: Path
):
    evidence({"controls": ["panet > rolled"], "label": "demo"})
    for path in runs.glob("*/summary.json"):
        told = json.loads(path.read_text())
        path.write_text(json.dumps(told | {"data": "digits"}))
    done = cli("mode=report", "runs='many/*'")
    assert done.code == 0
    assert "controls out of order: panet > rolled" in done.out


def test_what_is_known_of_a_benchmark_stands_above_every_table(
    cli: Cli, evidence: Callable[..., None], tmp_path: Path
):
    for facts, words in (
        (None, "controls not checked"),
        (
            {
                "controls": [],
                "orders": {"share": 0.7, "macs": 0.6},
                "label": "for method tests",
            },
            "for method tests; order not shown to transfer",
        ),
    ):
        if facts is not None:
            evidence(facts)
        done = cli("mode=report", "runs='many/*'", "out=told")
        assert done.code == 0
        assert done.out.count(words) == 1
        lines = (tmp_path / "told" / "report.md").read_text().splitlines()
        heads = [n for n, line in enumerate(lines) if line.startswith("| --- ")]
        assert len(heads) == 3  # matrix, hypervolume, trials
        assert {lines[n - 3] for n in heads} == {f"**{words}**"}
        tex = (tmp_path / "told" / "matrix.tex").read_text()
        assert f": {words}}}" in re.search(r"\\caption\{.*", tex)[0]
        for path in (tmp_path / "told").glob("*.csv"):
            assert {row["note"] for row in table(path)} == {words}


def test_other_versions_are_said_once(cli: Cli, runs: Path):
    path = runs / "random1" / "environment.json"
    told = json.loads(path.read_text())
    told["packages"]["numpy"] = "1.0"
    path.write_text(json.dumps(told))
    done = cli("mode=report", "runs='many/*'")
    assert done.out.count("Computed with different numpy 1.0 |") == 1


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


def test_a_folder_of_runs_is_named_with_the_glob_that_was_meant(cli: Cli, runs: Path):
    done = cli("mode=report", "runs=many")
    assert (done.code, done.err.count("\n")) == (2, 1)
    assert "1 that are no run folders, but runs in it: runs='many/*'" in done.err


def test_different_benchmarks_are_refused(cli: Cli, runs: Path):
    cli(*TOY, "searcher=random", "evaluator.toy_seed=5", "out=many/other")
    done = cli("mode=report", "runs='many/*'")
    assert (done.code, done.err.count("\n")) == (2, 1)
    assert "different benchmarks" in done.err


@pytest.mark.usefixtures("drawn")
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
