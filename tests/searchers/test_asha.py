"""Successive halving: promotions of a case worked out by hand, and what refuses."""

from collections.abc import Callable
from pathlib import Path

import pandas as pd
import pytest
from omegaconf import DictConfig

from fpnbench.cli.build import build_searcher
from fpnbench.cli.output import best_trial
from fpnbench.graph.decision import Decision
from fpnbench.graph.errors import UserError
from fpnbench.report.anytime import course
from fpnbench.report.runs import Run, evaluations, ranked
from fpnbench.search.searcher import uniform_choices
from fpnbench.search.trial import Trial, full_epochs
from searchers.asha import SuccessiveHalving

DECISIONS = tuple(Decision(f"d{i}", tuple(range(50))) for i in range(3))


class Space:
    name = "stub"
    decisions = DECISIONS


def told(number, choices, epochs, reward):
    status = "failed" if reward is None else "evaluation"
    return Trial(number, choices, str(choices), epochs, status, reward, None)


def started(*numbers):
    searcher = SuccessiveHalving(*numbers)
    searcher.start(Space(), 5, None)
    return searcher


def letter(number):
    """Proposal `number`, where it is a new network."""
    return uniform_choices(DECISIONS, 5, number)


def test_promotions_are_those_of_algorithm_2_worked_out_by_hand():
    """eta = 2, rungs of 1, 2 and 4 epochs. New networks are named by their number.

    A rung of m entries promotes the best floor(m / 2) of it, those that were not
    promoted yet, looked for from the higher rung down.
    """
    searcher = started(4, 2, 3)
    expected = [
        # (number of the network, epochs, its reward)
        (0, 1, 0.5),  # rung 0: 0
        (1, 1, 0.3),  # 0 1 -> one of two: 0
        (0, 2, 0.6),  # rung 1: 0 -> floor(1/2) = none
        (3, 1, 0.4),  # 0 3 1 -> one: 0, promoted
        (4, 1, 0.7),  # 4 0 3 1 -> two: 4 is new
        (4, 2, 0.5),  # rung 1: 0 4 -> one: 0 goes to the top
        (0, 4, 0.8),  # rung 1 has no other; rung 0: 4 0, both promoted
        (7, 1, 0.1),  # 4 0 3 1 7 -> two
        (8, 1, 0.6),  # 4 8 0 3 1 7 -> three: 8
        (8, 2, None),  # a failure: rung 1: 0 4 8 -> one: 0
        (10, 1, 0.9),  # 10 4 8 0 3 1 7 -> three: 10
        (10, 2, 0.9),  # rung 1: 10 0 4 8 -> two: 10
        (10, 4, 0.7),  # rung 1: 0 promoted
        (13, 1, 0.2),  # 10 4 8 0 3 1 13 7 -> four: all promoted
    ]
    for number, (network, epochs, reward) in enumerate(expected):
        proposal = searcher.ask()
        assert (proposal.choices, proposal.epochs) == (letter(network), epochs)
        searcher.tell(told(number, proposal.choices, epochs, reward))
    assert searcher.ask().choices == letter(14)


def test_failures_count_in_their_rung_and_are_never_promoted():
    searcher = started(2, 2, 2)
    for number in range(8):
        proposal = searcher.ask()
        assert proposal.epochs == 1
        searcher.tell(told(number, proposal.choices, 1, None))
    # The best of nine: half of them may go, only one did not fail.
    searcher.tell(told(8, searcher.ask().choices, 1, 0.1))
    assert searcher.ask() == searcher.ask().__class__(letter(8), 2)
    assert searcher.ask().epochs == 1


def test_what_is_out_is_promoted_once_and_others_go_on_meanwhile():
    searcher = started(6, 3, 2)
    first = [searcher.ask() for _ in range(6)]
    assert [each.epochs for each in first] == [2] * 6
    for number, proposal in enumerate(first):
        searcher.tell(told(number, proposal.choices, 2, number / 10))
    asked = [searcher.ask() for _ in range(3)]
    assert [(each.choices, each.epochs) for each in asked] == [
        (first[5].choices, 6),
        (first[4].choices, 6),
        (letter(8), 2),
    ]


def test_a_network_that_is_known_at_full_length_is_not_promoted_to_it():
    searcher = started(6, 3, 2)
    known = letter(0)
    searcher.tell(told(0, known, 6, 0.9))
    for number in range(6):
        searcher.tell(told(number + 1, searcher.ask().choices, 2, 0.9 - number))
    assert (searcher.ask().choices, searcher.ask().epochs) == (letter(1), 2)


@pytest.mark.parametrize(
    ("numbers", "rungs"),
    [
        ((6, 3, 2), [2, 6]),
        ((6, 3, 3), [1, 2, 6]),
        ((20, 3, 2), [7, 20]),
        ((256, 4, 5), [1, 4, 16, 64, 256]),
    ],
)
def test_rungs_are_epochs_over_powers_of_eta(numbers, rungs):
    searcher = started(*numbers)
    searcher.tell(told(0, (0, 0, 0), rungs[0], 1.0))
    seen = [searcher.ask().epochs]
    for number in range(1, 2000):
        proposal = searcher.ask()
        searcher.tell(told(number, proposal.choices, proposal.epochs, number / 2000))
        seen.append(proposal.epochs)
    assert sorted(set(seen)) == rungs


@pytest.mark.parametrize(
    ("numbers", "said"),
    [
        ((None, 3, 2), "needs an evaluator that has epochs"),
        ((6, 1, 2), "eta=1 and rungs=2 must be >= 2"),
        ((6, 3, 1), "eta=3 and rungs=1 must be >= 2"),
        ((6, 3, 4), "eta=3 and rungs=4 make rungs of 1, 1, 2, 6 epochs"),
    ],
)
def test_rungs_that_are_none_are_refused(numbers, said):
    with pytest.raises(UserError, match=said):
        SuccessiveHalving(*numbers)


def test_the_highest_rung_is_the_evaluator_s(conf: Callable[..., DictConfig]):
    for extra, short in (((), 2), (("evaluator.epochs=12",), 4)):
        searcher = build_searcher(conf("searcher=asha", "evaluator=toy", *extra))
        searcher.start(Space(), 0, None)
        assert searcher.ask().epochs == short
    with pytest.raises(UserError, match="needs an evaluator that has epochs"):
        build_searcher(conf("searcher=asha", "evaluator=zerocost"))


def test_a_run_s_best_is_the_best_of_the_longest_trainings():
    """A short training may have the higher reward: it is no better network for it."""
    trials = [
        told(0, (0, 0, 0), 2, 0.9),
        told(1, (1, 0, 0), 2, 0.5),
        told(2, (0, 0, 0), 6, 0.3),
        told(3, (1, 0, 0), 6, 0.4),
        told(4, (2, 0, 0), 12, None),
    ]
    assert full_epochs(trials) == 6
    assert best_trial(trials) == trials[3]
    assert best_trial(trials[:2]) == trials[0]
    assert full_epochs(trials[4:]) == 0


def test_reports_compare_the_longest_trainings_alone():
    trials = pd.DataFrame(
        {
            "key": ["a", "b", "c", "b", "a", "c"],
            "choices": ["0", "1", "2", "1", "0", "2"],
            "epochs": [2, 2, 2, 6, 6, 2],
            "status": [*["evaluation"] * 5, "repeat"],
            "reward": [0.9, 0.7, 0.8, 0.4, 0.5, 0.8],
        }
    )
    best = ranked(trials)
    assert best["key"].tolist() == ["a", "b", "c"]
    assert best["reward"].tolist() == [0.5, 0.4, 0.8]
    assert evaluations(trials)["reward"].tolist() == [0.4, 0.5]
    # Nothing was promoted yet: all are of one length.
    assert ranked(trials.head(3))["key"].tolist() == ["a", "c", "b"]
    # A cell of another space that was scored first, at full length, has no say.
    known = pd.DataFrame([{"key": "x", "epochs": 6, "reward": 0.1}])
    known = known.assign(choices=None, status="evaluation")
    short = evaluations(pd.concat([known, trials.head(3)], ignore_index=True))
    assert short["reward"].tolist() == [0.9, 0.7, 0.8]
    costs = {axis: [1.0] * 6 for axis in ("images", "gmacs", "seconds")}
    summary = dict.fromkeys(("images", "gmacs", "seconds"), 6.0)
    gone = course(Run(Path(), summary, {}, trials.assign(**costs)))
    assert gone["reward"].isna().tolist() == [True] * 3 + [False] * 3
    assert gone["reward"].tolist()[3:] == [0.4, 0.5, 0.5]


def test_a_search_charges_every_promotion(run, tmp_path: Path):
    def searched(out, trials):
        ended = run(
            *("space=nasfpn", "searcher=asha", "evaluator=toy", f"out={out}"),
            f"budget.trials={trials}",
        )
        assert ended.returncode == 0, ended.stderr
        return (tmp_path / out / "trials.csv").read_text().splitlines()

    names, *rows = (line.split(",") for line in searched("a", 13))
    epochs = [int(row[names.index("epochs")]) for row in rows]
    status = [row[names.index("status")] for row in rows]
    images = [int(row[names.index("images")]) for row in rows]
    # Three of a rung make one promotion: after 3, 6 and 9 new networks.
    assert epochs == [2, 2, 2, 6, 2, 2, 2, 6, 2, 2, 2, 6, 2]
    assert status == ["evaluation"] * 13
    assert images == [100 * (each + 1) for each in epochs]
