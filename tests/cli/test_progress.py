from collections.abc import Iterator
from io import StringIO

import pytest
from rich.console import Console

from fpnbench.cli import progress
from fpnbench.cli.progress import Preparation, SearchProgress
from fpnbench.search.budget import parse_budget
from fpnbench.search.trial import Trial

LIMITS = {"trials": 100, "max_failures": 3, "max_repeats": 4}
GOOD = Trial(0, (0,), "a", 1, "evaluation", 0.25, None, seconds=1.0)
BAD = Trial(1, (1,), "b", 1, "failed", None, None, reason="loss is NaN [red]")


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[float]]:
    now = [0.0]
    monkeypatch.setattr(progress.time, "monotonic", lambda: now[0])
    yield now
    monkeypatch.undo()


def log() -> tuple[Console, StringIO]:
    text = StringIO()
    return Console(file=text, width=200), text


def test_a_log_gets_failures_at_once_and_a_line_now_and_then(
    clock: list[float],
) -> None:
    console, text = log()
    with SearchProgress(parse_budget(LIMITS), (), console) as told:
        told(GOOD)
        assert text.getvalue() == ""
        told(BAD)
        assert text.getvalue() == "trial 1 failed: loss is NaN [red]\n"
        clock[0] += progress.LOG_SECONDS + 1
        told(GOOD)
    line = text.getvalue().splitlines()[1]
    assert line.startswith("trial 3, best 0.2500, 2 unique / 0 repeated / 1 failed")
    assert "\x1b" not in text.getvalue()


def test_time_left_counts_from_what_was_recorded(clock: list[float]) -> None:
    console, text = log()
    with SearchProgress(parse_budget(LIMITS), [GOOD] * 50, console) as told:
        clock[0] += 25.0
        for _ in range(25):
            told(GOOD)
    assert text.getvalue().startswith("continuing after 50 recorded trials\n")
    # the first line comes after one new trial in 25 s; 49 are left
    assert text.getvalue().splitlines()[1].endswith("25.0 s each, 20:25 left")


def test_a_terminal_gets_one_line_that_is_removed_at_the_end() -> None:
    text = StringIO()
    console = Console(file=text, width=200, force_terminal=True)
    with SearchProgress(parse_budget(LIMITS), (), console) as told:
        told(GOOD)
        told._live.refresh()
    assert "best 0.2500" in text.getvalue()


def test_preparation_is_told_after_some_seconds(
    clock: list[float], capsys: pytest.CaptureFixture[str]
) -> None:
    tell = Preparation()
    tell("digits train", 1, 9)
    assert capsys.readouterr().out == ""
    clock[0] += progress.PREPARATION_SECONDS + 1
    tell("digits train", 2, 9)
    tell("digits train", 3, 9)
    assert capsys.readouterr().out == "preparing digits train: 2 of 9\n"
