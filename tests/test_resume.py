"""SIGKILL at any moment: the same command continues, and the record is the same."""

import random
import signal
import sqlite3
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parents[1]
SEARCHERS = sorted(path.stem for path in (ROOT / "conf" / "searcher").glob("*.yaml"))
Run = Callable[..., subprocess.CompletedProcess[str]]


def command(searcher: str, trials: int) -> list[str]:
    return ["evaluator=toy", f"searcher={searcher}", f"budget.trials={trials}"]


def start(folder: Path, *args: str) -> subprocess.Popen[bytes]:
    quiet = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
    call = [sys.executable, str(ROOT / "run.py"), *args]
    return subprocess.Popen(call, cwd=folder, **quiet)


def recorded(folder: Path) -> int:
    """Count the trials in the ledger of a run that may not have begun."""
    try:
        file = sqlite3.connect(f"file:{folder}/ledger.sqlite?mode=ro", uri=True)
        with file:
            count = file.execute("select count(*) from trials").fetchone()[0]
        file.close()
    except sqlite3.OperationalError:
        return 0
    return int(count)


def kill(process: subprocess.Popen[bytes]) -> None:
    process.send_signal(signal.SIGKILL)
    process.wait()


def test_a_killed_search_continues_as_if_nothing_had_happened(
    cli: Callable[..., Any], tmp_path: Path
) -> None:
    arguments = command("ppo", 20)
    process = start(tmp_path, *arguments, "out=killed")
    while recorded(tmp_path / "killed") < 7:  # amid the second batch of PPO
        assert process.poll() is None
        time.sleep(0.01)
    kill(process)
    assert not (tmp_path / "killed" / "trials.csv").exists()
    again = cli(*arguments, "out=killed")
    assert again.code == 0, again.err
    assert "continuing after" in again.out
    assert "warning" not in again.out
    assert cli(*arguments, "out=whole").code == 0
    killed, whole = (tmp_path / name / "trials.csv" for name in ("killed", "whole"))
    assert killed.read_text() == whole.read_text()


@pytest.mark.slow
@pytest.mark.parametrize("searcher", SEARCHERS)
def test_ten_kills_at_random_moments(run: Run, tmp_path: Path, searcher: str) -> None:
    arguments = command(searcher, 60)
    began = time.monotonic()
    assert run(*arguments, "out=whole", timeout_s=600).returncode == 0
    whole_s = time.monotonic() - began
    moments = random.Random(searcher)
    for _ in range(10):
        process = start(tmp_path, *arguments, "out=killed")
        time.sleep(moments.uniform(0, whole_s / 2))
        kill(process)
    again = run(*arguments, "out=killed", timeout_s=600)
    assert again.returncode == 0, again.stderr
    assert "warning" not in again.stdout
    killed, whole = (tmp_path / name / "trials.csv" for name in ("killed", "whole"))
    assert killed.read_text() == whole.read_text()
