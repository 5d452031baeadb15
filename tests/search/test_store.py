"""The score store: rows never change, many write at once, trouble costs nothing."""

import signal
import sqlite3
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import pytest

from fpnbench.graph.errors import UserError
from fpnbench.graph.score import Checkpoint, Score
from fpnbench.search.store import FORMAT, Place, ScoreStore, StoredScore

PLACE = Place("a1", "digits-0", 0, 6)
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
    curve=(Checkpoint(1, 0.3, None, 0.1),),
)
HERE = {"torch": "2", "threads": 1}
WRITER = """
from dataclasses import replace
from pathlib import Path
from test_store import HERE, PLACE, SCORE, no
from fpnbench.search.store import ScoreStore
store = ScoreStore(Path({path!r}), HERE, no)
for number in range({start}, {stop}):
    store.add(replace(PLACE, seed=number), SCORE)
    store.add_records(replace(PLACE, seed=number), b"x" * 1000)
    print(number, flush=True)
"""


def no(message: str) -> None:
    raise AssertionError(message)


def writer(path: Path, start: int, stop: int) -> subprocess.Popen[str]:
    code = WRITER.format(path=str(path), start=start, stop=stop)
    # From the tests' folder, so that it can import this file.
    return subprocess.Popen(
        [sys.executable, "-c", code],
        stdout=subprocess.PIPE,
        text=True,
        cwd=Path(__file__).parent,
    )


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "new" / "scores.sqlite"


def test_a_score_comes_back_exactly_from_a_closed_file(path: Path) -> None:
    store = ScoreStore(path, HERE, no)
    assert store.find(PLACE) is None
    store.add(PLACE, SCORE)
    store.add_records(PLACE, b"boxes")
    store.close()
    again = ScoreStore(path, HERE, no)
    assert again.find(PLACE) == SCORE
    assert again.records(PLACE) == b"boxes"
    assert list(again) == [StoredScore(PLACE, SCORE, HERE)]


@pytest.mark.parametrize(
    "other",
    [
        Place("a2", "digits-0", 0, 6),
        Place("a1", "digits-1", 0, 6),
        Place("a1", "digits-0", 1, 6),
        Place("a1", "digits-0", 0, 7),
    ],
)
def test_another_place_is_another_score(path: Path, other: Place) -> None:
    store = ScoreStore(path, HERE, no)
    store.add(PLACE, SCORE)
    assert store.find(other) is None
    assert store.records(PLACE) is None


def test_the_first_score_stays(path: Path) -> None:
    store = ScoreStore(path, HERE, no)
    store.add(PLACE, SCORE)
    store.add(PLACE, replace(SCORE, ap=0.9))
    assert store.find(PLACE) == SCORE
    store.add_records(PLACE, b"first")
    store.add_records(PLACE, b"second")
    assert store.records(PLACE) == b"first"


def test_processes_write_at_once_from_the_first_moment(path: Path) -> None:
    processes = [writer(path, 20 * n, 20 * n + 20) for n in range(3)]
    assert all(process.communicate()[0] for process in processes)
    assert [process.returncode for process in processes] == [0, 0, 0]
    found = [row.place.seed for row in ScoreStore(path, HERE, no)]
    assert found == list(range(60))


def test_sigkill_while_writing_loses_nothing_that_was_added(path: Path) -> None:
    process = writer(path, 0, 100_000)
    with process:
        assert process.stdout is not None
        lines = [process.stdout.readline() for _ in range(30)]
        process.send_signal(signal.SIGKILL)
        lines += process.stdout.readlines()
    said = [int(line) for line in lines if line.endswith("\n")]
    store = ScoreStore(path, HERE, no)
    kept = [row.place.seed for row in store]
    assert kept[: len(said)] == said
    assert len(kept) <= len(said) + 1
    assert all(store.records(Place("a1", "digits-0", n, 6)) for n in said)
    store.add(PLACE, SCORE)


def test_another_format_is_the_users_mistake(path: Path) -> None:
    ScoreStore(path, HERE, no).close()
    with sqlite3.connect(path) as file:
        file.execute("pragma user_version = 99")
    with pytest.raises(UserError, match=f"has format 99, this version reads {FORMAT}"):
        ScoreStore(path, HERE, no)


def test_another_database_is_not_taken_for_an_empty_store(path: Path) -> None:
    path.parent.mkdir()
    with sqlite3.connect(path) as file:
        file.execute("create table alien (x)")
    with pytest.raises(UserError, match="has format 0"):
        ScoreStore(path, HERE, no)


@pytest.mark.parametrize("content", [b"no database at all, but text", None])
def test_a_broken_file_is_told_once_and_left_alone(
    path: Path, content: bytes | None
) -> None:
    if content is None:
        store = ScoreStore(path, HERE, no)
        for number in range(50):
            store.add(Place("k", "b", number, 1), SCORE)
        store.close()
        content = path.read_bytes()[: 3 * 4096]
    else:
        path.parent.mkdir()
    path.write_bytes(content)
    told: list[str] = []
    store = ScoreStore(path, HERE, told.append)
    for number in range(50):
        assert store.find(Place("k", "b", number, 1)) in (None, SCORE)
        store.add(Place("k", "b", number, 2), SCORE)
    assert len(told) == 1
    assert str(path) in told[0]


def test_a_full_disk_is_told_once_and_reading_goes_on(path: Path) -> None:
    told: list[str] = []
    store = ScoreStore(path, HERE, told.append)
    store.add(PLACE, SCORE)
    assert store._file is not None
    pages = store._file.execute("pragma page_count").fetchone()[0]
    store._file.execute(f"pragma max_page_count = {pages}")
    for number in range(3):
        store.add_records(Place("k", "b", number, 1), b"y" * 100_000)
    assert len(told) == 1
    assert "not written any more: database or disk is full" in told[0]
    assert store.find(PLACE) == SCORE


def test_a_store_that_others_hold_is_told_and_reading_goes_on(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("fpnbench.search.store.WAIT_S", 0.1)
    told: list[str] = []
    store = ScoreStore(path, HERE, told.append)
    holder = sqlite3.connect(path, isolation_level=None)
    holder.execute("begin immediate")
    began = time.monotonic()
    store.add(PLACE, SCORE)
    assert time.monotonic() - began < 5
    assert "locked" in told[0]
    assert store.find(PLACE) is None
    holder.execute("rollback")


def test_scores_of_another_environment_are_told_once(path: Path) -> None:
    store = ScoreStore(path, {"torch": "1", "threads": 1}, no)
    for number in range(3):
        store.add(replace(PLACE, seed=number), SCORE)
    told: list[str] = []
    elsewhere = ScoreStore(path, HERE, told.append)
    for number in range(3):
        assert elsewhere.find(replace(PLACE, seed=number)) == SCORE
    assert len(told) == 1
    assert "torch 1 there, 2 here" in told[0]
    assert "threads" not in told[0]
