"""`dry_run=true`: what it foretells comes true, and it leaves nothing but a score."""

import json
import re
import sqlite3
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from fpnbench.cli.dry_run import first_limit
from fpnbench.search.budget import Budget
from fpnbench.search.toy import ToyEvaluator
from fpnbench.search.trial import Trial

TOY = ("evaluator=toy", "space=nasfpn", "out=run")
TINY = (
    *("image_px=64", "data.train_images=16", "data.val_images=8"),
    *("data.test_images=8", "data.objects=[1,3]", "data.sizes=[12,16,24]"),
    *("recipe.batch=4", "width=16", "detector.width=16", "evaluator.epochs=1"),
    *("evaluator.threads=1", "space=nasfpn", "searcher=random", "out=run"),
)
Cli = Callable[..., Any]


def summary(folder: Path) -> dict[str, Any]:
    told: dict[str, Any] = json.loads((folder / "summary.json").read_text())
    return told


def told(text: str, pattern: str) -> float:
    """Return the number that a pattern finds in what was printed."""
    found = re.search(pattern, " ".join(text.split()))
    assert found, text
    return float(found[1].replace(",", ""))


def test_the_end_of_the_budget_comes_where_it_was_foretold(
    cli: Cli, tmp_path: Path
) -> None:
    # A toy training claims 700 images whatever the network.
    run = (*TOY, "searcher=ppo", "budget.images=8000", "budget.trials=40")
    done = cli(*run, "dry_run=true")
    assert (done.code, done.err) == (0, "")
    assert list(tmp_path.iterdir()) == []
    assert "27 decisions, 247,210,809,753,600,000 vectors" in done.out
    assert cli(*run).code == 0
    real = summary(tmp_path / "run")
    assert real["benchmark"] in done.out
    assert told(done.out, r"after (\d+) evaluations: .* 8,000 images") == 12
    assert told(done.out, r"(\d+) updates of 5 trials") == real["updates"] == 2
    # Trials 13 and 14 would be evaluations, too, but for the images.
    assert (real["status"], real["evaluations"]) == ("done", 12)


@pytest.mark.parametrize(
    ("limits", "limit", "count"),
    [
        ({"seconds": 10.0}, "10 seconds", 4),  # 3 x 3 s are not enough
        ({"seconds": 9.0}, "9 seconds", 3),
        ({"gmacs": 1.0, "seconds": 100.0}, "1 gmacs", 2),
        ({"trials": 5, "evaluations": 4, "images": 1000}, "4 evaluations", 4),
        ({"trials": 50}, "all choice vectors are known", 24),
    ],
)
def test_the_tightest_limit_ends_a_run(
    limits: dict[str, Any], limit: str, count: int
) -> None:
    none = dict.fromkeys(("trials", "evaluations", "images", "gmacs", "seconds"))
    budget = Budget(**{**none, **limits}, max_failures=10, max_repeats=200)
    trial = Trial(0, (0,), "k", 6, "evaluation", 0.5, None, 3.0, 10, 0.5)
    found = first_limit(budget, trial, 24)
    assert (found[0].removeprefix("the budget of "), found[1]) == (limit, count)


def test_a_limit_that_a_trial_does_not_use_is_never_reached() -> None:
    budget = Budget(None, None, None, None, 10.0, 10, 200)
    free = Trial(0, (0,), "k", 6, "evaluation", 0.5, None)
    assert first_limit(budget, free, 24) == ("all choice vectors are known", 24)


def rows(store: Path) -> int:
    file = sqlite3.connect(store)
    (count,) = file.execute("select count(*) from scores").fetchone()
    file.close()
    return int(count)


def test_the_measured_score_is_kept_for_the_search(cli: Cli, tmp_path: Path) -> None:
    dry = [cli(*TINY, "budget.trials=3", "dry_run=true") for _ in range(2)]
    assert [each.code for each in dry] == [0, 0]
    assert "random draw 0, now in the store" in dry[0].out
    assert "random draw 1, now in the store" in dry[1].out
    assert "boxes owned" in dry[0].out  # the assignment audit
    assert not (tmp_path / "run").exists()
    assert rows(tmp_path / "runs" / "scores.sqlite") == 2
    arrays = sum(p.stat().st_size for p in tmp_path.rglob("*.npy"))
    # A file begins with 128 bytes that say what is in it.
    assert told(dry[0].out, r"cache ([\d.]+) MB") == pytest.approx(
        arrays / 1e6, abs=0.06
    )
    assert cli(*TINY, "budget.trials=3").code == 0
    assert summary(tmp_path / "run")["store_hits"] == 2


def test_a_network_of_the_store_is_told_as_such(cli: Cli, tmp_path: Path) -> None:
    one = ("space=handcrafted", "space.pyramids=[fpn]", "budget.trials=9")
    first = cli(*TINY, *one, "dry_run=true")
    again = cli(*TINY, *one, "dry_run=true")
    assert "after 1 evaluations: all choice vectors are known" in first.out
    assert "found in the store" in again.out
    seconds = r"one trial ([\d.]+) s"
    assert told(again.out, seconds) == told(first.out, seconds)


def test_a_run_goes_on_after_a_dry_one(cli: Cli, tmp_path: Path) -> None:
    random = (*TOY, "searcher=random")
    assert cli(*random, "budget.trials=2").code == 0
    before = {path: path.read_bytes() for path in (tmp_path / "run").iterdir()}
    assert cli(*random, "budget.trials=4", "dry_run=true").code == 0
    after = {path: path.read_bytes() for path in (tmp_path / "run").iterdir()}
    assert after == before
    assert cli(*random, "budget.trials=4").code == 0
    assert summary(tmp_path / "run")["trials"] == 4


def test_a_ledger_of_all_runs_is_left_alone(cli: Cli, tmp_path: Path) -> None:
    shared = "ledger.url=sqlite:///all.sqlite"
    assert cli(*TOY, shared, "budget.trials=2", "dry_run=true").code == 0
    assert not (tmp_path / "all.sqlite").exists()


def test_an_evaluation_that_fails_is_told_with_its_reason(
    cli: Cli, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(self: ToyEvaluator, *args: Any) -> Any:
        raise RuntimeError("out of memory")

    monkeypatch.setattr(ToyEvaluator, "__call__", broken)
    done = cli(*TOY, "dry_run=true")
    assert done.code == 1
    assert "FAILED: RuntimeError: out of memory" in done.out
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("argument", "said"),
    [
        ("dry_run=maybe", "dry_run=maybe: it must be true or false"),
        ("mode=space", "dry_run=true is for searches"),
        ("budget.trials=0", "budget.trials=0"),
        ("search.enqueue=[nofpn]", "cell=nofpn"),
    ],
)
def test_mistakes_are_one_line(cli: Cli, argument: str, said: str) -> None:
    done = cli(*TOY, "dry_run=true", argument)
    assert done.code == 2
    assert said in done.err
    assert done.err.count("\n") == 1
