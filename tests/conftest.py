"""Fixtures of every suite: real configuration, command line, seeded randomness."""

import contextlib
import copy
import io
import os
import runpy
import subprocess
import sys
from collections.abc import Callable
from functools import cache, partial
from pathlib import Path
from typing import NamedTuple

# Before torch is imported: a process of pytest -n for every core is threads enough.
os.environ["OMP_NUM_THREADS"] = "1"

import numpy as np
import pytest
from hydra import compose, initialize_config_dir
from hypothesis import settings
from omegaconf import DictConfig

from fpnbench.cli.build import build_space, load_cell
from fpnbench.graph.canonical import canonical
from fpnbench.graph.genotype import Genotype
from fpnbench.graph.protocols import Space

ROOT = Path(__file__).resolve().parent.parent
RUN = ROOT / "run.py"
DATA = Path(os.environ.get("FPNBENCH_DATA", ROOT.parent / "shared" / "data")).resolve()
os.environ["FPNBENCH_DATA"] = str(DATA)  # every process's, whatever folder it is in

# Two slow cores: a deadline would measure the machine. Derandomised: the same in CI.
settings.register_profile("fpnbench", deadline=None, derandomize=True)
settings.load_profile("fpnbench")


def pytest_configure() -> None:
    """Refuse a folder of own configuration that is not there: nothing would run."""
    own = os.environ.get("FPNBENCH_CONF")
    if own and not Path(own).is_dir():
        raise pytest.UsageError(f"FPNBENCH_CONF={own} is no folder")


@cache
def composed(*overrides: str) -> DictConfig:
    """Compose the configuration: a tenth of a second; a copy takes a twentieth."""
    with initialize_config_dir(str(ROOT / "conf"), version_base=None):
        return compose("config", overrides=list(overrides))


@pytest.fixture
def conf() -> Callable[..., DictConfig]:
    """Compose the real configuration: conf("space=nasfpn", "seed=1").

    With that of FPNBENCH_CONF beside it, if that is set: see docs/own_space.md.
    """
    own = os.environ.get("FPNBENCH_CONF")
    added = [f"hydra.searchpath=[{Path(own).resolve()}]"] if own else []

    return lambda *overrides: copy.deepcopy(composed(*added, *overrides))


class Result(NamedTuple):
    code: int
    out: str
    err: str


@pytest.fixture(scope="session")
def cli_in() -> Callable[..., Result]:
    """Run `python run.py ARGS` in a folder: cli_in(FOLDER, "mode=costs", "out=run").

    In this process, which saves the three seconds in which another would import torch.
    """

    def call(folder: Path, *args: str) -> Result:
        out, err = io.StringIO(), io.StringIO()
        with (
            pytest.MonkeyPatch.context() as patch,
            contextlib.redirect_stdout(out),
            contextlib.redirect_stderr(err),
        ):
            patch.chdir(folder)
            patch.setenv("COLUMNS", "300")
            patch.setattr(sys, "argv", [str(RUN), *args])
            with pytest.raises(SystemExit) as end:
                runpy.run_path(str(RUN), run_name="__main__")
        return Result(int(end.value.code or 0), out.getvalue(), err.getvalue())

    return call


@pytest.fixture
def cli(
    cli_in: Callable[..., Result], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Callable[..., Result]:
    """Run `python run.py ARGS` in an empty folder, in this process."""
    monkeypatch.chdir(tmp_path)
    return partial(cli_in, tmp_path)


@pytest.fixture
def run(tmp_path: Path) -> Callable[..., subprocess.CompletedProcess[str]]:
    """Run `python run.py ARGS` in an empty folder, in a process of its own.

    For what only that shows: the end of a process, its files, another environment.
    """

    def run_py(*args: str, timeout_s: float = 120) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, str(RUN), *args],
            cwd=tmp_path,
            capture_output=True,
            text=True,
            timeout=timeout_s,
            check=False,
        )

    return run_py


@pytest.fixture
def tiny() -> tuple[str, ...]:
    """Overrides with which a real training on digits takes a second."""
    return (
        "image_px=64",
        "data.train_images=16",
        "data.val_images=8",
        "data.test_images=8",
        "data.objects=[1,3]",
        "data.sizes=[12,16,24]",
        "recipe.batch=4",
        "width=16",
        "detector.width=16",
    )


@pytest.fixture
def rng() -> np.random.Generator:
    """A generator that gives the same numbers in every run."""
    return np.random.default_rng(0)


@pytest.fixture
def data_folder() -> Path:
    """The folder of the real detection sets; skips the test where there is none."""
    if not DATA.is_dir():
        pytest.skip(f"no data sets in {DATA} (set FPNBENCH_DATA)")
    return DATA


@pytest.fixture
def make_space(conf: Callable[..., DictConfig]) -> Callable[..., Space]:
    """Build a space of conf/space: make_space("nasfpn", repeats=3)."""

    def make(name: str, repeats: int = 1, width: int = 64) -> Space:
        return build_space(
            conf(f"space={name}", f"repeats={repeats}", f"width={width}")
        )

    return make


@pytest.fixture
def make_cell(conf: Callable[..., DictConfig]) -> Callable[..., Genotype]:
    """Build a cell of conf/cell: make_cell("nasfpn", width=256, repeats=7)."""

    def make(name: str, repeats: int = 1, width: int = 64) -> Genotype:
        current = (f"repeats={repeats}", f"width={width}")
        return canonical(load_cell(conf(f"cell_name={name}", *current)))

    return make
