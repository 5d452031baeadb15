"""`mode=regret` on a small table that is searched again here, by brute force."""

import json
from collections.abc import Callable
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from fpnbench.cli import regret
from fpnbench.graph.decision import Decision
from fpnbench.report.regret import COLUMNS
from fpnbench.search.searcher import uniform_choices
from fpnbench.search.tabular import Table
from fpnbench.search.toy import gauss

Cli = Callable[..., Any]
DECISIONS = tuple(Decision(name, (0, 1, 2, 3)) for name in "xyz")
# 64 vectors; those of equal sorted digits are one network, three equal digits none.
VECTORS = [c for c in product(range(4), repeat=3) if len(set(c)) > 1]
KEYS = {choices: "".join(map(str, sorted(choices))) for choices in VECTORS}
VALUES = {key: (int(key) * 37 % 100) / 100 for key in KEYS.values()}
SMALL = ("mode=regret", "regret.searchers=[random,evolution]", "regret.evaluations=12")
SMALL = (*SMALL, "regret.seeds=2", "regret.at=[4,12]", "regret.alike=[]", "out=run")


@pytest.fixture
def small(cli: Cli, monkeypatch: pytest.MonkeyPatch) -> Cli:
    table = Table("small", DECISIONS, KEYS, VALUES)
    monkeypatch.setattr(regret, "nas_bench_graph", lambda name: table)
    return cli


@pytest.fixture
def plain(small: Cli, monkeypatch: pytest.MonkeyPatch) -> Cli:
    """Without the figure, which takes most of the time."""
    monkeypatch.setattr(regret, "figure", lambda *args: args[-1].touch())
    return small


def brute_force(seed: int, noise: float) -> list[float]:
    """Regret of uniform draws after each of 12 networks."""
    told: dict[str, float] = {}
    found: list[float] = []
    number = 0
    while len(found) < 12:
        key = KEYS.get(uniform_choices(DECISIONS, seed, number))
        number += 1
        if key and key not in told:
            told[key] = VALUES[key] + noise * gauss(f"{seed} {key}")
            best = max(told, key=told.__getitem__)
            found.append(max(VALUES.values()) - VALUES[best])
    return found


def test_regret_of_random_search_is_that_of_a_brute_force(
    small: Cli, tmp_path: Path
) -> None:
    done = small(*SMALL, "regret.icc=[1.0,0.5]")
    assert done.code == 0, done.err
    frame = pd.read_csv(tmp_path / "run" / "regret.csv")
    assert list(frame.columns) == COLUMNS
    assert len(frame) == 2 * 2 * 2 * 12
    told = json.loads((tmp_path / "run" / "regret.json").read_text())
    # An ICC of .5: as much noise as there is between vectors.
    spread = float(np.std([VALUES[key] for key in KEYS.values()]))
    assert told["noises"] == [0.0, pytest.approx(spread, abs=1e-6)]
    for noise, seed in product(told["noises"], (0, 1)):
        chosen = frame[(frame["noise"] == noise) & (frame["seed"] == seed)]
        curves = dict(list(chosen.groupby("searcher")["regret"]))
        assert list(curves["random"]) == pytest.approx(brute_force(seed, noise))
        # Evolution's first population of 20 is that of random search.
        assert list(curves["evolution"]) == pytest.approx(list(curves["random"]))
    assert (tmp_path / "run" / "regret.png").stat().st_size > 10_000


def test_a_killed_run_goes_on_and_does_nothing_twice(
    plain: Cli, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert plain(*SMALL).code == 0
    path = tmp_path / "run" / "regret.csv"
    whole = path.read_text()
    path.write_text(whole[:-5])  # killed while the last run was written
    runs = []
    explore = regret.explore
    monkeypatch.setattr(
        regret, "explore", lambda *args: (runs.append(args[2]), explore(*args))
    )
    assert plain(*SMALL).code == 0
    assert len(runs) == 1
    assert path.read_text() == whole
    assert plain(*SMALL, "regret.seeds=3").code == 0
    assert runs[1:] == [2] * 4
    refused = plain(*SMALL, "regret.max_repeats=7")
    assert refused.code == 2
    assert "recorded here had max_repeats=200, now 7" in refused.err


def test_curves_of_others_are_judged_beside_ours(plain: Cli, tmp_path: Path) -> None:
    rows = [
        ("small", "nni_random", 0.0, seed, n, n, 9.0, 9.0)
        for seed in range(3)
        for n in range(1, 13)
    ]
    pd.DataFrame(rows, columns=COLUMNS).to_csv(tmp_path / "their.csv", index=False)
    their = ("regret.others=[their.csv]", "regret.seeds=3")
    done = plain(*SMALL, *their)
    assert done.code == 0, done.err
    told = json.loads((tmp_path / "run" / "regret.json").read_text())
    (bar,) = told["bars"]
    assert bar["name"] == "random against nni_random, no noise"
    assert bar["held"]
    assert "nni_random" in done.out
    # What is recorded may be drawn again without a run.
    again = ("regret.searchers=[]", "regret.others=[their.csv,run/regret.csv]")
    assert plain(*SMALL, *again, "out=again").code == 0
    assert json.loads((tmp_path / "again" / "regret.json").read_text())["bars"] == [bar]
    twice = plain(*SMALL, "regret.others=[their.csv,their.csv]", "out=again")
    assert twice.code == 2
    assert "a searcher stands there twice" in twice.err
    short = plain(*SMALL, *their, "regret.evaluations=13", "out=other")
    assert short.code == 2
    assert "is of small and 12 evaluations, not of small and 13" in short.err


@pytest.mark.parametrize(
    ("key", "line"),
    [
        ("icc=[0]", "regret.icc=[0]: it must be a list of different numbers above 0"),
        ("at=[13]", "regret.at=[13]: it must be a list of whole numbers from 1 to"),
        ("searchers=random", "regret.searchers=random: it must be a list of"),
        ("seeds=0", "regret.seeds=0: it must be a whole number from 1 on"),
        ("searchers=[asha]", "has no epochs, this searcher asks for them"),
        ("searchers=[nothing]", "Could not find 'searcher/nothing'"),
        ("others=[gone.csv]", "gone.csv cannot be read"),
    ],
)
def test_what_makes_no_sense_is_one_line(plain: Cli, key: str, line: str) -> None:
    done = plain(*SMALL, "regret.evaluations=2", "regret.at=[1]", f"regret.{key}")
    assert done.code == 2
    assert line in done.err
    assert done.err.count("\n") == 1
