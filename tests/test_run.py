"""`python run.py` as a user calls it."""

import json
import resource
from collections.abc import Callable
from pathlib import Path
from subprocess import CompletedProcess
from typing import Any

Cli = Callable[..., Any]
Run = Callable[..., CompletedProcess[str]]


def test_help_is_quick(run: Run) -> None:
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    done = run("--help")
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    assert done.returncode == 0
    assert "searcher:" in done.stdout
    # processor time: wall time would measure what else the machine does
    used = (after.ru_utime + after.ru_stime) - (before.ru_utime + before.ru_stime)
    assert used < 1.0


def test_a_mistake_ends_the_process_with_2_and_one_line(run: Run) -> None:
    done = run("budgt.trials=3")
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.startswith("error: ")
    assert "budgt" in done.stderr
    assert done.stderr.count("\n") == 1


def test_a_search_runs_and_another_process_goes_on(
    run: Run, cli: Cli, tmp_path: Path
) -> None:
    arguments = ("space=mnasfpn", "searcher=ppo", "evaluator=toy", "out=run")
    first = run(*arguments, "budget.trials=6")
    assert (first.returncode, first.stderr) == (0, "")
    assert "\x1b" not in first.stdout
    assert "\r" not in first.stdout
    again = cli(*arguments, "budget.trials=8")
    assert (again.code, again.err) == (0, "")
    told = json.loads((tmp_path / "run" / "summary.json").read_text())
    assert told["trials"] == 8


def test_a_sweep_over_every_space_and_searcher(cli: Cli, tmp_path: Path) -> None:
    done = cli(
        "--multirun",
        "space=nasfpn,mnasfpn,connsearch",
        "searcher=random,evolution,ppo",
        *("evaluator=toy", "budget.trials=3", "out=sweep", "ledger=memory"),
    )
    assert (done.code, done.err) == (0, "")
    summaries = [
        json.loads(path.read_text()) for path in tmp_path.glob("sweep/*/summary.json")
    ]
    assert len({(told["space"], told["searcher"]) for told in summaries}) == 9
