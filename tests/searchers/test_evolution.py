"""Aging evolution: what the contract cannot know."""

from collections import Counter

import numpy as np
import pytest

from fpnbench.graph.decision import Decision
from fpnbench.graph.errors import UserError
from fpnbench.search.searcher import uniform_choices
from fpnbench.search.trial import Trial
from searchers.evolution import RegularizedEvolution, mutate

SIZES = (3, 1, 4, 2)
DECISIONS = tuple(Decision(f"d{i}", tuple(range(n))) for i, n in enumerate(SIZES))


class Space:
    name = "stub"
    decisions = DECISIONS


def told(number, choices, reward):
    return Trial(number, choices, "", 1, "evaluation", reward, None)


def started(population, sample):
    searcher = RegularizedEvolution(population, sample)
    searcher.start(Space(), 0, None)
    return searcher


def distance(a, b):
    return sum(x != y for x, y in zip(a, b, strict=True))


def test_mutation_changes_one_free_decision_uniformly():
    rng, parent = np.random.default_rng(0), (2, 0, 1, 0)
    children = Counter(mutate(DECISIONS, parent, rng) for _ in range(6000))
    # 3 free decisions with 2, 3 and 1 other options
    expected = {(c, 0, 1, 0): 1 / 6 for c in (0, 1)}
    expected |= {(2, 0, c, 0): 1 / 9 for c in (0, 2, 3)} | {(2, 0, 1, 1): 1 / 3}
    assert children.keys() == expected.keys()
    for child, share in expected.items():
        assert children[child] / 6000 == pytest.approx(share, abs=0.02)


def test_first_population_is_that_of_random_search():
    searcher = started(population=5, sample=2)
    for number in range(5):
        choices = searcher.ask().choices
        assert choices == uniform_choices(DECISIONS, 0, number)
        searcher.tell(told(number, choices, 1.0))


def test_parent_is_the_best_of_a_tournament_of_everybody():
    searcher = started(population=4, sample=200)
    members = [(0, 0, 2, 1), (0, 0, 0, 0), (2, 0, 3, 0), (1, 0, 1, 1)]
    for number, (choices, reward) in enumerate(
        zip(members, (None, 0.1, 0.2, 0.9), strict=True)
    ):
        searcher.ask()
        searcher.tell(told(number, choices, reward))
    for _ in range(20):
        assert distance(searcher.ask().choices, members[3]) == 1


def test_the_oldest_leaves_even_if_it_is_the_best():
    searcher = started(population=3, sample=100)
    best, later = (0, 0, 0, 0), (2, 0, 3, 1)
    searcher.tell(told(0, best, 9.0))
    for number in range(1, 4):
        searcher.tell(told(number, later, 1.0))
    for _ in range(3):
        searcher.ask()
    assert all(distance(searcher.ask().choices, later) == 1 for _ in range(10))


def test_a_failure_never_wins_against_a_reward():
    searcher = started(population=2, sample=100)
    worst = (1, 0, 1, 1)
    searcher.tell(told(0, (0, 0, 0, 0), None))
    searcher.tell(told(1, worst, -1e300))
    for _ in range(2):
        searcher.ask()
    assert all(distance(searcher.ask().choices, worst) == 1 for _ in range(10))


def test_sample_one_draws_every_member():
    searcher = started(population=2, sample=1)
    members = [(0, 0, 0, 0), (2, 0, 3, 1)]
    for number, choices in enumerate(members):
        searcher.ask()
        searcher.tell(told(number, choices, float(number)))
    near = [distance(searcher.ask().choices, members[0]) == 1 for _ in range(200)]
    assert 60 < sum(near) < 140


@pytest.mark.parametrize(("population", "sample"), [(0, 5), (20, 0)])
def test_impossible_numbers_are_refused(population, sample):
    with pytest.raises(UserError, match=f"population={population} and sample={sample}"):
        RegularizedEvolution(population, sample)
