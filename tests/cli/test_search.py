"""`mode=search` with the toy evaluator: files, continuing, ending."""

import csv
import json
import os
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from omegaconf import DictConfig, OmegaConf

from fpnbench.cli.build import load_cell
from fpnbench.graph.canonical import key
from fpnbench.search.toy import ToyEvaluator

TOY = ("evaluator=toy", "searcher=random", "space=nasfpn", "out=run")
COLUMNS = [
    *("number", "choices", "key", "status", "reward"),
    *("ap", "ap50", "ap_s", "ap_m", "ap_l", "loss", "macs", "params", "latency_ms"),
    "estimate",
    *("seconds", "images", "gmacs", "repeat_of", "reason", "epochs"),
    *("evaluator_seed", "cell"),
]
Cli = Callable[..., Any]


def rows(folder: Path) -> list[dict[str, str]]:
    with (folder / "trials.csv").open(newline="") as file:
        return list(csv.DictReader(file))


def summary(folder: Path) -> dict[str, Any]:
    return json.loads((folder / "summary.json").read_text())


def test_a_search_leaves_everything_it_promises(cli: Cli, tmp_path: Path) -> None:
    done = cli(*TOY, "budget.evaluations=6")
    assert (done.code, done.err) == (0, "")
    folder = tmp_path / "run"
    promised = (
        "summary.json trials.csv best.json best.svg best.png search.png config.yaml "
        "environment.json ledger.sqlite"
    )
    assert set(promised.split()) == {
        path.name for path in folder.iterdir() if not path.name.startswith(".")
    }
    told, table = summary(folder), rows(folder)
    assert list(table[0]) == COLUMNS
    assert [int(row["number"]) for row in table] == list(range(6))
    assert told["status"] == "done"
    assert (told["space"], told["searcher"], told["seed"]) == ("nasfpn", "random", 0)
    assert told["evaluations"] + told["repeats"] + told["failures"] == told["trials"]
    for total in ("seconds", "images", "gmacs"):
        assert told[total] == pytest.approx(sum(float(row[total]) for row in table))
    rewards = [float(row["reward"]) for row in table]
    assert told["best"]["reward"] == max(rewards)
    assert told["best"]["number"] == rewards.index(max(rewards))
    assert "best" in done.out
    assert "run" in done.out.splitlines()[-1]
    assert OmegaConf.load(folder / "config.yaml").names.space == "nasfpn"
    facts = json.loads((folder / "environment.json").read_text())
    assert facts["packages"]["optuna"]
    assert facts["cpu"]


def test_the_best_network_is_a_cell(
    cli: Cli, conf: Callable[..., DictConfig], tmp_path: Path
) -> None:
    cli(*TOY, "budget.trials=4", "space.intermediates=3")
    best = json.loads((tmp_path / "run" / "best.json").read_text())
    cfg = conf(f"cell_name={tmp_path}/run/best.json", "space=mnasfpn")
    genotype = load_cell(cfg)
    assert key(genotype) == best["key"]
    assert (
        load_cell(conf(f"cell_name={tmp_path}/run/best.json", "repeats=2")).repeats == 2
    )


def test_the_same_command_continues_and_equals_one_run(
    cli: Cli, tmp_path: Path
) -> None:
    ppo = (*TOY, "searcher=ppo")
    cli(*ppo, "out=whole", "budget.trials=14")
    cli(*ppo, "budget.trials=7")
    again = cli(*ppo, "budget.trials=14")
    assert "continuing after 7 recorded trials" in again.out
    assert rows(tmp_path / "run") == rows(tmp_path / "whole")
    both = [summary(tmp_path / name) for name in ("run", "whole")]
    assert both[0] | {"wall_s": 0} == both[1] | {"wall_s": 0}
    assert both[0]["updates"] == 2


def test_a_finished_run_prints_its_table_and_ends_with_0(
    cli: Cli, tmp_path: Path
) -> None:
    cli(*TOY, "budget.trials=5")
    before = rows(tmp_path / "run")
    again = cli(*TOY, "budget.trials=5")
    assert again.code == 0
    assert "5 evaluations" in again.out
    assert rows(tmp_path / "run") == before


def test_the_default_folder_is_a_function_of_the_configuration(
    cli: Cli, tmp_path: Path
) -> None:
    toy = TOY[:3]
    for extra in ((), ("budget.trials=4",), ("debug=true",), ("seed=1",)):
        assert cli(*toy, "budget.trials=3", *extra).code == 0
    names = sorted(path.name for path in (tmp_path / "runs").iterdir())
    stem = "nasfpn-random-digits-toy-s"
    assert [name[:-7] for name in names] == [f"{stem}0", f"{stem}1"]
    assert len(rows(tmp_path / "runs" / names[0])) == 4


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ("seed=1", "seed: 0 there, 1 now"),
        ("space=mnasfpn", "space: nasfpn there, mnasfpn now"),
        ("evaluator.noise=0.5", "evaluator.noise: 0.0 there, 0.5 now"),
    ],
)
def test_another_configuration_in_the_folder_is_refused(
    cli: Cli, tmp_path: Path, change: str, said: str
) -> None:
    cli(*TOY, "budget.trials=2")
    before = rows(tmp_path / "run")
    refused = cli(*TOY, "budget.trials=4", change)
    assert refused.code == 2
    assert said in refused.err
    assert rows(tmp_path / "run") == before
    assert cli(*TOY, "budget.trials=4").code == 0


@pytest.mark.parametrize("name", ["config.yaml", "environment.json", "ledger.sqlite"])
def test_a_damaged_file_of_the_run_is_named(cli: Cli, tmp_path: Path, name: str):
    assert cli(*TOY, "budget.trials=2").code == 0
    for text in ("a: [", ""):
        (tmp_path / "run" / name).write_text(text)
        if name == "ledger.sqlite" and not text:
            continue  # an empty file is an empty database
        done = cli(*TOY, "budget.trials=3")
        assert (done.code, done.err.count("\n")) == (2, 1)
        assert name in done.err


def test_a_configuration_that_failed_before_the_first_trial_may_be_corrected(
    cli: Cli, tmp_path: Path
) -> None:
    refused = cli(*TOY, "budget.trials=2", "evaluator.levels=[9]")
    assert refused.code == 2
    assert "[9]" in refused.err
    assert cli(*TOY, "budget.trials=2").code == 0


@pytest.fixture
def interrupted(monkeypatch: pytest.MonkeyPatch) -> Callable[..., Any]:
    """Run the command line with a SIGINT in the fourth evaluation."""
    score, calls = ToyEvaluator.__call__, []

    def stop(self: ToyEvaluator, *args: Any) -> Any:
        calls.append(args)
        if len(calls) == 4:
            os.kill(os.getpid(), signal.SIGINT)
        return score(self, *args)

    def call(cli: Cli, *args: str) -> Any:
        with monkeypatch.context() as patched:
            patched.setattr(ToyEvaluator, "__call__", stop)
            return cli(*args)

    return call


def test_an_interrupt_ends_with_130_and_the_command_continues(
    cli: Cli, tmp_path: Path, interrupted: Callable[..., Any]
) -> None:
    stopped = interrupted(cli, *TOY, "budget.trials=6")
    assert stopped.code == 130
    assert "to continue: python" in stopped.out
    assert len(rows(tmp_path / "run")) == 3
    assert summary(tmp_path / "run")["status"] == "interrupted"
    assert cli(*TOY, "budget.trials=6").code == 0
    assert len(rows(tmp_path / "run")) == 6


def test_an_interrupt_ends_a_sweep(
    cli: Cli, tmp_path: Path, interrupted: Callable[..., Any]
) -> None:
    arguments = ("--multirun", *TOY, "seed=0,1", "budget.trials=6")
    assert interrupted(cli, *arguments).code == 130
    assert len(list((tmp_path / "run").iterdir())) == 1


def test_failures_are_told_at_once_and_end_a_broken_run_with_1(
    cli: Cli, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(self: ToyEvaluator, *args: Any) -> Any:
        raise RuntimeError("out of memory")

    monkeypatch.setattr(ToyEvaluator, "__call__", broken)
    done = cli(*TOY, "budget.trials=20", "budget.max_failures=3")
    assert done.code == 1
    assert done.out.count("failed: RuntimeError: out of memory") == 3
    assert "3 failures in a row" in done.out
    assert summary(tmp_path / "run")["best"] is None
    assert not (tmp_path / "run" / "best.json").exists()


def test_two_processes_cannot_search_in_one_folder(cli: Cli, tmp_path: Path) -> None:
    import fcntl

    (tmp_path / "run").mkdir()
    with (tmp_path / "run" / ".lock").open("w") as other:
        fcntl.flock(other, fcntl.LOCK_EX)
        refused = cli(*TOY, "budget.trials=2")
    assert refused.code == 2
    assert refused.err == "error: another process is searching in run\n"


def test_nothing_is_kept_by_a_ledger_in_memory(cli: Cli, tmp_path: Path) -> None:
    for _ in range(2):
        done = cli(*TOY, "budget.trials=3", "ledger=memory")
        assert "continuing" not in done.out
    assert not (tmp_path / "run" / "ledger.sqlite").exists()
    assert len(rows(tmp_path / "run")) == 3


def test_a_failed_job_of_a_sweep_does_not_stop_the_others(
    cli: Cli, tmp_path: Path
) -> None:
    swept = cli(
        "--multirun", *TOY, "out=sweep", "budget.trials=2", "evaluator.levels=[9],[3,4]"
    )
    assert swept.code == 2
    assert "[9]" in swept.err
    folders = [path for path in (tmp_path / "sweep").iterdir() if rows_of(path)]
    assert len(folders) == 1


def test_a_sweep_makes_one_folder_a_job_below_out(cli: Cli, tmp_path: Path) -> None:
    assert cli("--multirun", *TOY, "seed=0,1", "budget.trials=2").code == 0
    names = sorted(path.name for path in (tmp_path / "run").iterdir())
    stem = "nasfpn-random-digits-toy-s"
    assert [name[:-7] for name in names] == [f"{stem}0", f"{stem}1"]


def rows_of(folder: Path) -> int:
    return (folder / "trials.csv").is_file() and len(rows(folder))
