"""What every ledger must do, run over every yaml of conf/ledger."""

import sqlite3
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path

import pytest
from hydra.utils import instantiate
from omegaconf import OmegaConf

from fpnbench.graph.decision import Decision
from fpnbench.graph.errors import UserError
from fpnbench.graph.score import Checkpoint, Score
from fpnbench.search.ledger import Ledger
from fpnbench.search.trial import Trial

YAMLS = sorted((Path(__file__).parents[2] / "conf" / "ledger").glob("*.yaml"))
DECISIONS = (Decision("block0.op", ("sum", "gp")), Decision("block0.level", (3, 4, 5)))
SCORE = Score(
    ap=0.1 + 0.2,
    ap50=None,
    ap_s=1 / 3,
    ap_m=0.0,
    ap_l=1e-300,
    loss=2.5,
    macs=2**61,
    params=7,
    latency_ms=None,
    cost_s=0.1,
    images=3,
    train_gmacs=1e9 / 7,
    curve=(Checkpoint(1, 0.3, None, 0.1), Checkpoint(2, 0.2, 0.1, 0.2)),
)
TRIALS = (
    Trial(0, (0, 2), "a", 6, "evaluation", 1 / 7, SCORE, 0.1, 3, 1e9 / 7),
    Trial(1, (1, 2), "b", 6, "failed", None, None, 2.0, reason="loss is NaN: 'x'"),
    Trial(2, (0, 1), "a", 6, "repeat", 1 / 7, SCORE, repeat_of=0, asks=3, stored=True),
)
FOREIGN = Trial(3, (), "c", 6, "evaluation", 0.5, SCORE, cell="fpn", evaluator_seed=4)
Open = Callable[..., Ledger]


@pytest.fixture(params=YAMLS, ids=lambda path: path.stem)
def make(request: pytest.FixtureRequest) -> Open:
    return partial(instantiate(OmegaConf.load(request.param)), benchmark="b1")


@pytest.fixture
def sqlite() -> Open:
    path = next(path for path in YAMLS if path.stem == "sqlite")
    return partial(instantiate(OmegaConf.load(path)), benchmark="b1")


def filled(make: Open, folder: Path, trials: Sequence[Trial] = TRIALS) -> Ledger:
    ledger = make(decisions=DECISIONS, folder=folder)
    for trial in trials:
        ledger.append(trial)
    return ledger


def test_trials_come_back_in_order_of_asking(make: Open, tmp_path: Path) -> None:
    told = (TRIALS[1], TRIALS[0], TRIALS[2])
    assert filled(make, tmp_path, told).trials() == TRIALS


def test_a_known_cell_of_another_space_is_kept_without_choices(
    sqlite: Open, tmp_path: Path
) -> None:
    filled(sqlite, tmp_path, (*TRIALS, FOREIGN)).close()
    again = sqlite(decisions=DECISIONS, folder=tmp_path)
    assert again.trials() == (*TRIALS, FOREIGN)
    again.close()


def test_find_gives_the_trials_of_a_network_at_a_fidelity(
    make: Open, tmp_path: Path
) -> None:
    ledger = filled(make, tmp_path)
    assert list(ledger.find("a", 6)) == [TRIALS[0], TRIALS[2]]
    assert list(ledger.find("b", 6)) == [TRIALS[1]]
    assert not ledger.find("a", 7)
    assert not ledger.find("c", 6)


def test_a_file_gives_back_exactly_what_was_written(
    sqlite: Open, tmp_path: Path
) -> None:
    filled(sqlite, tmp_path).close()
    again = sqlite(decisions=DECISIONS, folder=tmp_path)
    assert again.trials() == TRIALS
    assert list(again.find("a", 6)) == [TRIALS[0], TRIALS[2]]
    again.close()


def test_each_trial_is_durable_when_append_returns(
    sqlite: Open, tmp_path: Path
) -> None:
    ledger = sqlite(decisions=DECISIONS, folder=tmp_path)
    for number, trial in enumerate(TRIALS):
        ledger.append(trial)
        with sqlite3.connect(
            f"file:{tmp_path}/ledger.sqlite?mode=ro", uri=True
        ) as file:
            rows = file.execute("select state from trials").fetchall()
        file.close()
        assert len(rows) == number + 1
    assert [state for (state,) in rows] == ["COMPLETE", "FAIL", "COMPLETE"]
    ledger.close()


def test_parameters_stand_under_readable_names(sqlite: Open, tmp_path: Path) -> None:
    import optuna

    filled(sqlite, tmp_path).close()
    study = optuna.load_study(
        study_name="search", storage=f"sqlite:///{tmp_path}/ledger.sqlite"
    )
    assert study.trials[0].params == {"block0.op": "sum", "block0.level": 5}
    assert study.trials[0].value == TRIALS[0].reward
    study._storage._backend.engine.dispose()


def test_another_space_is_refused(sqlite: Open, tmp_path: Path) -> None:
    filled(sqlite, tmp_path).close()
    other = (*DECISIONS, Decision("block1.op", ("sum", "gp")))
    with pytest.raises(UserError, match=r"another space: it has 2 decisions .* has 3"):
        sqlite(decisions=other, folder=tmp_path)


def test_scores_of_another_benchmark_are_refused(sqlite: Open, tmp_path: Path) -> None:
    filled(sqlite, tmp_path).close()
    with pytest.raises(UserError, match="of benchmark b1, the evaluator is b2"):
        sqlite(decisions=DECISIONS, folder=tmp_path, benchmark="b2")


def test_a_ledger_without_a_trial_is_free_for_another_space(
    sqlite: Open, tmp_path: Path
) -> None:
    sqlite(decisions=DECISIONS, folder=tmp_path).close()
    other = sqlite(decisions=DECISIONS[:1], folder=tmp_path, benchmark="b2")
    other.close()
    again = sqlite(decisions=DECISIONS[:1], folder=tmp_path, benchmark="b2")
    assert again.trials() == ()
    again.close()


def test_a_file_that_is_no_ledger_is_the_users_mistake(
    sqlite: Open, tmp_path: Path
) -> None:
    (tmp_path / "ledger.sqlite").write_text("something else")
    with pytest.raises(UserError, match="cannot be used: file is not a database"):
        sqlite(decisions=DECISIONS, folder=tmp_path)


def test_a_full_disk_is_said_and_keeps_what_was_written(
    sqlite: Open, tmp_path: Path
) -> None:
    from sqlalchemy import event

    ledger = filled(sqlite, tmp_path)

    def full(connection: sqlite3.Connection, _: object) -> None:
        pages = connection.execute("pragma page_count").fetchone()[0]
        connection.execute(f"pragma max_page_count={pages}")

    engine = ledger._storage.engine
    engine.dispose()
    event.listen(engine, "connect", full)
    big = Trial(3, (0, 0), "d", 6, "failed", None, None, reason="x" * 200_000)
    with pytest.raises(UserError, match="database or disk is full"):
        ledger.append(big)
    ledger.close()
    again = sqlite(decisions=DECISIONS, folder=tmp_path)
    assert again.trials() == TRIALS
    again.close()
