"""`mode=overhead`: that it counts what it says; how long anything takes is no test."""

import csv
import json
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from fpnbench.cli import overhead
from fpnbench.search.trial import Proposal

Cli = Callable[..., Any]


def test_every_searcher_has_a_row_for_each_number_of_trials(
    cli: Cli, tmp_path: Path
) -> None:
    sizes = ("overhead.trials=[20,10]", "overhead.fewer_trials={tpe: [5]}")
    done = cli(*("mode=overhead", "overhead.searchers=[random,tpe]", *sizes, "out=run"))
    assert done.code == 0, done.err
    with (tmp_path / "run" / "overhead.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert [(row["searcher"], row["trials"]) for row in rows] == [
        *(("random", "10"), ("random", "20"), ("tpe", "5"))
    ]
    for row in rows:
        parts = [float(row[f"mean_{part}"]) for part in overhead.PARTS]
        assert float(row["mean"]) == pytest.approx(sum(parts))
    told = json.loads((tmp_path / "run" / "overhead.json").read_text())
    assert told["space"] == "nasfpn"
    assert told["python"]


def test_the_clock_runs_for_asking_decoding_and_telling_alone(
    conf: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    now = [0.0]

    def takes(seconds: float, result: Any) -> Callable[..., Any]:
        def call(*_: Any) -> Any:
            now[0] += seconds
            return result

        return call

    monkeypatch.setattr(overhead.time, "process_time", lambda: now[0])
    cfg = conf("mode=overhead")
    space, real = overhead.build_space(cfg), overhead.build_evaluator(cfg)
    network = space.decode((0,) * len(space.decisions))
    slow = SimpleNamespace(decisions=space.decisions, decode=takes(0.002, network))
    proposal = Proposal((0,) * len(space.decisions))
    told: list[Any] = []
    searcher = SimpleNamespace(
        start=takes(9.0, None),
        ask=takes(0.001, proposal),
        tell=lambda trial: (told.append(trial), takes(0.004, None)()),
    )
    score = real(overhead.decoded(space, real, proposal.choices)[0], 1, 0)

    class Evaluator:
        levels, epochs, seed = real.levels, 1, 0
        __call__ = takes(50.0, score)

    times = list(overhead.timed(slow, Evaluator(), searcher, 0, 3))
    assert [pytest.approx(each) for each in times] == [
        {"ask": 1.0, "decode": 2.0, "tell": 4.0}
    ] * 3
    assert [trial.status for trial in told] == ["evaluation", "repeat", "repeat"]
    assert {trial.reward for trial in told} == {score.ap}


def test_a_run_is_summed_up_by_its_last_tenth_and_its_mean() -> None:
    times = [{"ask": float(n), "decode": 1.0, "tell": 0.0} for n in range(30)]
    told = overhead.row("x", times)
    assert told["median_last_tenth"] == 29.0  # of 28, 29, 30
    assert (told["mean"], told["mean_ask"]) == (15.5, 14.5)


@pytest.mark.parametrize(
    ("key", "line"),
    [
        ("trials=5", "overhead.trials=5: it must be a list of whole numbers"),
        ("trials=[0]", "overhead: random has trials=[0], not all from 1 on"),
        ("fewer_trials={tpe: 5}", "it must be a mapping of searchers to such lists"),
        ("searchers=[nothing]", "Could not find 'searcher/nothing'"),
    ],
)
def test_sizes_that_make_no_sense_are_one_line(cli: Cli, key: str, line: str) -> None:
    done = cli("mode=overhead", f"overhead.{key}")
    assert done.code == 2
    assert line in done.err
