"""Local search: what the contract cannot know."""

from itertools import product

import pytest

from fpnbench.graph.decision import Decision
from fpnbench.graph.errors import UserError
from fpnbench.search.searcher import uniform_choices
from fpnbench.search.trial import Trial
from searchers.local_search import LocalSearch, neighbours

SIZES = (3, 4, 1, 3)
DECISIONS = tuple(Decision(f"d{i}", tuple(range(n))) for i, n in enumerate(SIZES))
VECTORS = list(product(*map(range, SIZES)))


class Space:
    name = "stub"
    decisions = DECISIONS


def distance(a, b):
    return sum(x != y for x, y in zip(a, b, strict=True))


def rugged(choices):
    """Every even sum is a peak or near one: many local optima, all values different."""
    return (sum(choices) % 2) * 100 + VECTORS.index(choices) * 37 % 36


PEAKS = [
    a
    for a in VECTORS
    if all(rugged(a) > rugged(b) for b in VECTORS if distance(a, b) == 1)
]


def started(starts, seed=0):
    searcher = LocalSearch(starts)
    searcher.start(Space(), seed, None)
    return searcher


def told(number, choices, reward):
    return Trial(number, choices, "", 1, "evaluation", reward, None)


def climb(searcher, length, reward=rugged):
    asked = []
    for number in range(length):
        asked.append(searcher.ask().choices)
        searcher.tell(told(number, asked[-1], reward(asked[-1])))
    return asked


def test_neighbours_are_the_vectors_at_distance_one():
    for centre in VECTORS:
        expected = {other for other in VECTORS if distance(centre, other) == 1}
        found = list(neighbours(DECISIONS, centre))
        assert set(found) == expected
        assert len(found) == len(expected)


@pytest.mark.parametrize("seed", range(10))
def test_every_climb_ends_at_a_local_optimum_whose_neighbours_are_all_known(seed):
    assert len(PEAKS) > 1  # or restarts would show nothing
    asked, ends = climb(started(1, seed), 200), []
    centre, tried = asked[0], {asked[0]}
    for number, choices in enumerate(asked[1:], 1):
        known = {each for each in VECTORS if distance(each, centre) == 1} <= tried
        if known:
            assert centre in PEAKS
            # A new climb: a uniform draw of this number, wherever it falls.
            assert choices == uniform_choices(DECISIONS, seed, number)
            ends.append(centre)
            centre, tried = choices, {choices}
            continue
        assert distance(choices, centre) == 1
        assert choices not in tried
        tried.add(choices)
        if rugged(choices) > rugged(centre):
            centre = choices
    assert len(ends) > 5
    assert set(ends) <= set(PEAKS)


def test_restarts_find_the_global_optimum():
    best = max(VECTORS, key=rugged)
    assert sum(best in climb(started(3, seed), 150) for seed in range(20)) == 20


def test_a_climb_begins_at_the_best_of_its_random_networks():
    searcher = started(5)
    drawn = climb(searcher, 5)
    assert drawn == [uniform_choices(DECISIONS, 0, n) for n in range(5)]
    assert distance(searcher.ask().choices, max(drawn, key=rugged)) == 1


def test_failures_are_no_centre():
    def reward(choices):
        return None if choices[0] != 1 else 1.0

    asked = climb(started(1), 40, reward)
    first = next(n for n, choices in enumerate(asked) if choices[0] == 1)
    assert asked[: first + 1] == [
        uniform_choices(DECISIONS, 0, n) for n in range(first + 1)
    ]
    size = sum(SIZES) - len(SIZES)
    after = asked[first + 1 : first + 1 + size]
    assert set(after) == set(neighbours(DECISIONS, asked[first]))


def test_a_late_neighbour_is_climbed_to_only_if_it_is_better_than_its_centre():
    size = sum(SIZES) - len(SIZES)
    for reward, moves in ((4.0, False), (6.0, True)):
        searcher = started(1)
        centre = searcher.ask().choices
        searcher.tell(told(0, centre, 5.0))
        around = [searcher.ask().choices for _ in range(size)]
        for number, choices in enumerate(around[:-1], 1):
            searcher.tell(told(number, choices, 0.0))
        anew = searcher.ask().choices
        assert anew == uniform_choices(DECISIONS, 0, size + 1)
        searcher.tell(told(size, around[-1], reward))
        searcher.tell(told(size + 1, anew, 1.0))
        expected = around[-1] if moves else anew
        assert distance(searcher.ask().choices, expected) == 1


def test_no_random_network_is_refused():
    with pytest.raises(UserError, match="starts=0: it must be a whole number from 1"):
        LocalSearch(0)
