"""`fpnbench.load`: the parts of a search, built when they are asked for."""

from pathlib import Path

import pytest

import fpnbench
from fpnbench.graph.decision import cardinality
from fpnbench.graph.errors import UserError
from fpnbench.search.loop import search


def test_nothing_is_built_before_it_is_used(tmp_path: Path) -> None:
    setup = fpnbench.load("space=nasfpn", "data=coco_folder", f"data.root={tmp_path}")
    assert cardinality(setup.space.decisions) == 247_210_809_753_600_000
    assert setup.space is setup.space
    with pytest.raises(UserError, match="train2017"):
        _ = setup.evaluator


def test_a_ledger_on_disk_is_continued(tmp_path: Path) -> None:
    words = ("evaluator=toy", "searcher=random", "ledger=sqlite", f"out={tmp_path}")
    for trials in (3, 5):
        setup = fpnbench.load(*words, f"budget.trials={trials}")
        assert len(setup.ledger.trials()) == (0 if trials == 3 else 3)
        search(setup.task, setup.searcher, setup.ledger, setup.budget, seed=0)
        assert len(setup.ledger.trials()) == trials
        setup.ledger.close()


@pytest.mark.parametrize(
    ("word", "said"),
    [
        ("space=nofpn", "space/nofpn"),
        ("spcae=nasfpn", "spcae"),
        ("seed=abc", "seed=abc: it must be a whole number from 0 on"),
        ("seed", "missing EQUAL"),
    ],
)
def test_a_wrong_word_is_told_in_one_line(word: str, said: str) -> None:
    with pytest.raises(UserError) as told:
        fpnbench.load(word)
    assert said in str(told.value)
    assert "\n" not in str(told.value)
