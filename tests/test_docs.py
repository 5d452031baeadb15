"""The pages of docs/: their commands compose, their packages work from elsewhere."""

import json
import os
import re
import shlex
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from omegaconf import DictConfig, OmegaConf

ROOT = Path(__file__).resolve().parent.parent
DOCS = ROOT / "docs"
FILE = re.compile(r"^`([\w./]+)`:\n\n```\w+\n(.*?)```", re.M | re.S)
MOST_CODE = 40
PACKAGES = {"own_space": "topdown", "own_searcher": "climber"}
SUITES = {"own_space": "test_spaces.py", "own_searcher": "test_searchers.py"}
Cli = Callable[..., Any]


def shell(page: str) -> list[list[str]]:
    """Words of every command of a page."""
    blocks = re.findall(r"```sh\n(.*?)```", (DOCS / f"{page}.md").read_text(), re.S)
    lines = "".join(blocks).replace("\\\n", "").splitlines()
    return [words for line in lines if (words := shlex.split(line, comments=True))]


def commands(page: str) -> list[list[str]]:
    """Arguments of every `python run.py` of a page."""
    return [words[2:] for words in shell(page) if words[:2] == ["python", "run.py"]]


@pytest.fixture(scope="module")
def package(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Path:
    """Write the package of a page and install it into the folder `site` beside it."""
    page, folder = request.param, tmp_path_factory.mktemp(request.param)
    text = (DOCS / f"{page}.md").read_text()
    listed = re.search(r"```\n(.*?)```", text, re.S)
    assert listed
    files = {line.split()[0]: "" for line in listed[1].splitlines()}
    files |= dict(FILE.findall(text))
    for name, content in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(content)
    source, site = folder / PACKAGES[page], folder / "site"
    # No network in tests: hatchling comes from this environment.
    pip = [sys.executable, "-m", "pip", "install", "--quiet", "--no-deps", "--no-index"]
    pip += ["--no-build-isolation", "--target", str(site), str(source)]
    subprocess.run(pip, check=True, capture_output=True, text=True)
    return source


@pytest.mark.parametrize("page", PACKAGES)
def test_an_example_is_short(page: str) -> None:
    text = dict(FILE.findall((DOCS / f"{page}.md").read_text()))
    code = text[f"{PACKAGES[page]}/{PACKAGES[page]}/__init__.py"].splitlines()
    assert 10 < len([line for line in code if line.strip()]) <= MOST_CODE


@pytest.mark.parametrize(
    ("package", "page"), [(page, page) for page in PACKAGES], indirect=["package"]
)
def test_an_installed_example_keeps_the_contract(
    package: Path, page: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    site = str(package.parent / "site")
    monkeypatch.setenv("PYTHONPATH", site, prepend=os.pathsep)
    (words,) = [words for words in shell(page) if "pytest" in words]
    conf, *command = words
    assert conf == f"FPNBENCH_CONF={package.name}/{package.name}/conf"
    suite = [sys.executable, *command[1:], "-p", "no:cacheprovider"]
    assert f"tests/contracts/{SUITES[page]}" in suite
    own = os.environ | {"FPNBENCH_CONF": str(package / package.name / "conf")}
    done = subprocess.run(
        suite, cwd=ROOT, env=own, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout
    # Nothing is skipped, and the suite did not find other things of that name.
    assert done.stdout.count(".") > 5
    assert "s" not in done.stdout.split("[")[0]


@pytest.mark.parametrize("package", ["own_space"], indirect=True)
def test_a_space_from_elsewhere_is_counted_searched_and_compared(
    package: Path, cli: Cli, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.syspath_prepend(package.parent / "site")
    for words in commands("own_space"):
        done = cli(*words)
        assert (done.code, done.err) == (0, "")
    space = json.loads((tmp_path / "runs/space-topdown/space.json").read_text())
    assert space["cardinality"] == str(12 * 9 * 6)
    found = [path.name.split("-")[:2] for path in tmp_path.glob("runs/*-toy-s0-*")]
    assert sorted(found) == sorted(
        [space, searcher]
        for space in ("topdown", "nasfpn_3to6")
        for searcher in ("random", "evolution")
    )
    # Its best network is a cell, here without its configuration.
    (best,) = tmp_path.glob("runs/topdown-random-*/best.json")
    drawn = cli("mode=draw", f"cell={best}", "repeats=2", "out=drawn")
    assert (drawn.code, drawn.err) == (0, "")
    assert (tmp_path / "drawn" / "cell.png").is_file()


@pytest.mark.parametrize("package", ["own_searcher"], indirect=True)
def test_a_searcher_from_elsewhere_stands_in_the_table(
    package: Path, cli: Cli, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.syspath_prepend(package.parent / "site")
    for words in commands("own_searcher"):
        done = cli(*words)
        assert (done.code, done.err) == (0, "")
    assert "climber" in done.out
    # The first proposals are random search's, so that runs share them.
    ours, theirs = (
        (next(tmp_path.glob(f"runs/climber/*-{name}-*-s0-*")) / "trials.csv")
        .read_text()
        .splitlines()[1:11]
        for name in ("climber", "random")
    )
    assert [line.split(",")[1] for line in ours] == [
        line.split(",")[1] for line in theirs
    ]


@pytest.mark.parametrize("page", ["comparisons"])
def test_the_commands_of_a_page_compose(
    page: str, conf: Callable[..., DictConfig]
) -> None:
    found = commands(page)
    assert len(found) > 3
    for words in found:
        # A sweep is cut to its first value.
        chosen = [re.sub(r",(?![^\[]*\]).*", "", word) for word in words]
        cfg: Any = conf(*(word for word in chosen if word != "--multirun"))
        OmegaConf.to_container(cfg, resolve=True)
