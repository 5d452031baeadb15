"""Runs that share scores: real trainings, tiny ones, through the command line."""

import csv
import gzip
import json
import sqlite3
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from fpnbench.graph.score import Score
from fpnbench.search.store import Place, ScoreStore

EXTRA = ("evaluator.epochs=1", "evaluator.threads=1", "space=nasfpn")
Tiny = tuple[str, ...]
Cli = Callable[..., Any]


def summary(folder: Path) -> dict[str, Any]:
    told: dict[str, Any] = json.loads((folder / "summary.json").read_text())
    return told


def trials(folder: Path) -> list[dict[str, str]]:
    with (folder / "trials.csv").open() as file:
        return list(csv.DictReader(file))


@pytest.fixture
def search(cli: Cli, tiny: Tiny, tmp_path: Path) -> Callable[..., Path]:
    def go(name: str, *args: str) -> Path:
        result = cli(*tiny, *EXTRA, f"out={name}", *args)
        assert result.code == 0, result.err
        return tmp_path / name

    return go


def test_a_second_run_trains_nothing_and_tells_the_same(search) -> None:
    three = ("searcher=random", "budget.trials=3")
    first = search("first", *three)
    again = search("again", *three)
    assert summary(first)["store_hits"] == 0
    assert summary(again)["store_hits"] == 3
    assert (first / "trials.csv").read_text() == (again / "trials.csv").read_text()
    for name in ("seconds", "images", "gmacs", "evaluations"):
        assert summary(again)[name] == summary(first)[name] > 0
    other = search("evolution", "searcher=evolution", "budget.trials=2")
    assert summary(other)["store_hits"] == 2
    alone = search("alone", *three, "store=null", "budget.trials=1")
    assert summary(alone)["store_hits"] == 0
    untimed = [
        {k: v for k, v in trials(f)[0].items() if k != "seconds"}
        for f in (first, alone)
    ]
    assert untimed[0] == untimed[1]


def test_known_cells_are_shared_between_spaces_and_records_are_kept(
    search, tmp_path: Path
) -> None:
    cells = ("search.enqueue=[nasfpn,fpn_vanilla]", "evaluator.records=true")
    first = search("first", "searcher=random", *cells, "budget.trials=3")
    assert [row["cell"] for row in trials(first)] == ["nasfpn", "fpn_vanilla", ""]
    assert trials(first)[0]["choices"]
    assert not trials(first)[1]["choices"]
    second = search(
        "second", "searcher=random", "space=mnasfpn", *cells, "budget.trials=2"
    )
    assert summary(second)["store_hits"] == 2
    assert summary(second)["best"] is None
    with sqlite3.connect(tmp_path / "runs" / "scores.sqlite") as file:
        rows = [
            file.execute(f"select count(*) from {t}").fetchone()[0]
            for t in ("scores", "records")
        ]
    file.close()
    assert rows == [3, 3]


def test_a_broken_store_costs_nothing_but_a_line(
    cli: Cli, tiny: Tiny, tmp_path: Path
) -> None:
    store = tmp_path / "scores.sqlite"
    store.write_text("no database")
    result = cli(
        *tiny, *EXTRA, "searcher=random", "budget.trials=1", f"store={store}", "out=x"
    )
    assert result.code == 0
    assert result.out.count("is not used: file is not a database") == 1
    assert summary(tmp_path / "x")["evaluations"] == 1


def test_a_store_of_another_format_is_refused_in_one_line(
    cli: Cli, tiny: Tiny, tmp_path: Path
) -> None:
    store = tmp_path / "scores.sqlite"
    with sqlite3.connect(store) as file:
        file.execute("create table t (x)")
        file.execute("pragma user_version = 9")
    file.close()
    result = cli(
        *tiny, *EXTRA, "searcher=random", "budget.trials=1", f"store={store}", "out=x"
    )
    assert result.code == 2
    assert "has format 9, this version reads 1" in result.err
    assert result.err.count("\n") == 1


def test_an_unknown_policy_is_refused(cli: Cli) -> None:
    result = cli("searcher.dedup=never", "evaluator=toy", "budget.trials=1")
    assert result.code == 2
    assert "searcher.dedup=never is not one of replay, retrain, resample" in result.err


def filled(path: Path) -> ScoreStore:
    store = ScoreStore(path, {"torch": "2"}, print)
    for number in range(5):
        place = Place(f"k{number % 3}", "digits-1", number // 3, 6)
        store.add(place, Score(number / 10, *[None] * 5, 1, 2, None, 3.0, 4, 0.1))
    return store


def test_scores_move_between_machines(cli: Cli, tmp_path: Path) -> None:
    rows = list(filled(tmp_path / "here.sqlite"))
    out = cli("mode=scores", "action=export", "store=here.sqlite", "file=all.csv.gz")
    assert out.code == 0, out.err
    assert "5 scores written" in out.out
    for added in (5, 0):
        back = cli(
            "mode=scores", "action=import", "store=there.sqlite", "file=all.csv.gz"
        )
        assert back.code == 0, back.err
        assert f"{added} scores added" in back.out
    assert list(ScoreStore(tmp_path / "there.sqlite", {}, print)) == rows


def test_stats_count_scores_networks_and_seeds(cli: Cli, tmp_path: Path) -> None:
    filled(tmp_path / "s.sqlite").close()
    told = cli("mode=scores", "store=s.sqlite", "out=o")
    assert told.code == 0, told.err
    table = (tmp_path / "o" / "scores.csv").read_text().splitlines()
    (row,) = csv.DictReader(table)
    assert (row["benchmark"], row["scores"], row["networks"]) == ("digits-1", "5", "3")
    assert (row["seeds"], float(row["best_ap"])) == ("2", 0.4)
    assert float(row["hours"]) == pytest.approx(15 / 3600)


@pytest.mark.parametrize(
    ("args", "told"),
    [
        (("action=drop",), "action=drop is not one of stats, export, import"),
        (("store=null",), "store=null: mode=scores needs"),
        (("store=none.sqlite",), "store=none.sqlite: there is no such file"),
        (("action=import", "file=no.csv.gz"), "no.csv.gz is no export of mode=scores"),
        (("action=import", "file=text.csv.gz"), "text.csv.gz is no export"),
        (("action=import", "file=anonymous.csv.gz"), "row 1: the benchmark is unknown"),
    ],
)
def test_mistakes_with_scores_are_one_line(
    cli: Cli, tmp_path: Path, args: tuple[str, ...], told: str
) -> None:
    (tmp_path / "text.csv.gz").write_text("no archive")
    with gzip.open(tmp_path / "anonymous.csv.gz", "wt") as file:
        file.write("key,benchmark,seed,epochs,score,environment\nk,,0,1,{},{}\n")
    result = cli("mode=scores", *args)
    assert result.code == 2
    assert told in result.err
    assert result.err.count("\n") == 1
