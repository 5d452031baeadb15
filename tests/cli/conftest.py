"""The command line in this process: quicker than a subprocess, same code."""

import os
import runpy
import sys
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import pytest

RUN = Path(__file__).parents[2] / "run.py"


class Result(NamedTuple):
    code: int
    out: str
    err: str


Cli = Callable[..., Result]


@pytest.fixture
def cli(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Cli:
    """Run `python run.py ARGS` in an empty folder."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "300")
    data = os.environ.get("FPNBENCH_DATA", str(RUN.parents[1] / "shared" / "data"))
    monkeypatch.setenv("FPNBENCH_DATA", data)  # run.py would set it for all tests

    def call(*args: str) -> Result:
        monkeypatch.setattr(sys, "argv", [str(RUN), *args])
        with pytest.raises(SystemExit) as end:
            runpy.run_path(str(RUN), run_name="__main__")
        return Result(int(end.value.code or 0), *capsys.readouterr())

    return call
