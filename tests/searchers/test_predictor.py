"""The predictor: acquisition worked out by hand, candidates, what it learns."""

from functools import partial
from itertools import product
from pathlib import Path

import numpy as np
import pytest
from omegaconf import OmegaConf
from scipy.stats import norm
from sklearn.linear_model import Ridge

from fpnbench.cli.build import build_searcher
from fpnbench.cli.checks import toy
from fpnbench.graph.decision import Decision
from fpnbench.graph.errors import UserError
from fpnbench.search.searcher import uniform_choices
from fpnbench.search.trial import Trial
from searchers.predictor import Predictor, expected_improvement, one_hot, thompson

CONF = Path(__file__).parents[2] / "conf"
SIZES = (3, 4, 1, 5, 2)
DECISIONS = tuple(Decision(f"d{i}", tuple(range(n))) for i, n in enumerate(SIZES))


class Space:
    name = "stub"
    decisions = DECISIONS


def told(number, choices, reward):
    status = "failed" if reward is None else "evaluation"
    return Trial(number, choices, "", 1, status, reward, None)


def started(regressor=Ridge, *, first=4, parents=2, random=5, acquisition="thompson"):
    searcher = Predictor(
        regressor,
        members=5,
        first=first,
        parents=parents,
        mutated=30,
        random=random,
        acquisition=acquisition,
    )
    searcher.start(Space(), 3, None)
    return searcher


def test_one_hot_of_a_case_by_hand():
    encoded = one_hot(DECISIONS, [(0, 3, 0, 1, 1), (2, 0, 0, 4, 0)])
    assert encoded.astype(int).tolist() == [
        [1, 0, 0, 0, 0, 0, 1, 1, 0, 1, 0, 0, 0, 0, 1],
        [0, 0, 1, 1, 0, 0, 0, 1, 0, 0, 0, 0, 1, 1, 0],
    ]


def test_expected_improvement_of_cases_by_hand():
    # Members 1 and 3: mean 2, deviation 1; and two members that agree.
    predicted = np.array([[1.0, 2.5, 1.0], [3.0, 2.5, 1.0]])
    # best 2: z = 0: F = 1/2, f = 1/sqrt(2 pi) = .39894. Certain: .5 more, or nothing.
    assert expected_improvement(predicted, 2.0) == pytest.approx([0.398942, 0.5, 0.0])
    # best 3: z = -1: -1 * .158655 + .241971
    assert expected_improvement(predicted, 3.0) == pytest.approx(
        [0.083316, 0.0, 0.0], abs=1e-6
    )


def test_expected_improvement_is_the_integral():
    predicted = np.random.default_rng(0).normal(size=(5, 4))
    mean, deviation = predicted.mean(axis=0), predicted.std(axis=0)
    for best in (-0.5, 0.3):
        values = [
            norm(m, s).expect(lambda x, best=best: x - best, lb=best, ub=m + 12 * s)
            for m, s in zip(mean, deviation, strict=True)
        ]
        assert expected_improvement(predicted, best) == pytest.approx(values, rel=1e-4)


def test_thompson_draws_each_candidate_from_its_own_normal():
    predicted = np.repeat([[0.0, 5.0, 1.0], [2.0, 5.0, 4.0]], 20000, axis=1)
    drawn = thompson(predicted, np.random.default_rng(0)).reshape(3, -1)
    assert drawn.mean(axis=1) == pytest.approx([1.0, 5.0, 2.5], abs=0.03)
    assert drawn.std(axis=1) == pytest.approx([1.0, 0.0, 1.5], abs=0.03)
    first = np.corrcoef(drawn[0], drawn[2])[0, 1]
    assert abs(first) < 0.02  # independent


class Spy:
    """Promises most of what is farthest from zeros, and keeps what it was taught."""

    seen: list[tuple[int, list[float]]]

    def __init__(self, seen, random_state):
        self._seen = seen

    def fit(self, encoded, values):
        self._seen.append((len(encoded), sorted(set(values.tolist()))))

    def predict(self, encoded):
        return encoded @ np.arange(encoded.shape[1])


def test_members_are_taught_all_that_is_known_failures_as_the_worst():
    seen = []
    searcher = started(partial(Spy, seen), random=0)
    seen.clear()  # a trial of the regressor's settings
    asked = []
    for number, reward in enumerate((3.0, None, 5.0, 4.0)):
        asked.append(searcher.ask().choices)
        assert asked[-1] == uniform_choices(DECISIONS, 3, number)
        searcher.tell(told(number, asked[-1], reward))
    assert not seen
    proposal = searcher.ask().choices
    assert len(seen) == 5
    assert {count for count, _ in seen} == {4}
    # 3 is the first reward and 5 the next: on the scale 0 and 1, 4 a half.
    assert {v for _, values in seen for v in values} == {0.0, 0.5, 1.0}
    # With no deviation the draw is the prediction: the best mutation of 5 or 4.
    value = {
        c: float((one_hot(DECISIONS, [c]) @ np.arange(15))[0])
        for c in product(*map(range, SIZES))
        if any(sum(map(int.__ne__, c, asked[i])) == 1 for i in (2, 3))
    }
    assert value[proposal] >= sorted(value.values())[-3]


def test_nothing_known_or_out_is_proposed_while_there_is_anything_else():
    searcher = started(first=2, parents=10)
    asked = [searcher.ask().choices for _ in range(2)]
    for number, choices in enumerate(asked):
        searcher.tell(told(number, choices, number))
    asked += [searcher.ask().choices for _ in range(20)]
    assert len(set(asked[2:]) - set(asked[:2])) == 20
    for number, choices in enumerate(asked[2:], 2):
        searcher.tell(told(number, choices, sum(choices)))
    more = [searcher.ask().choices for _ in range(20)]
    assert len(set(asked + more)) == 42


@pytest.mark.parametrize("acquisition", ["thompson", "improvement"])
def test_a_sum_of_choices_is_learned_in_few_trials(acquisition):
    weights = [np.random.default_rng(i).normal(size=n) for i, n in enumerate(SIZES)]
    best = sum(weight.max() for weight in weights)
    found = []
    for seed in range(5):
        searcher = started(first=8, parents=5, acquisition=acquisition)
        searcher.start(Space(), seed, None)
        values = []
        for number in range(30):  # of 120 vectors
            choices = searcher.ask().choices
            values.append(sum(w[c] for w, c in zip(weights, choices, strict=True)))
            searcher.tell(told(number, choices, values[-1]))
        found.append(max(values))
    assert found == pytest.approx([best] * 5)


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"first": 0}, "first=0, parents=10 and mutated=100 must be >= 1"),
        ({"random": -1}, "random=-1 >= 0"),
        ({"acquisition": "ucb"}, "ucb"),
    ],
)
def test_what_makes_no_algorithm_is_refused(changes, said):
    node = OmegaConf.load(CONF / "searcher" / "predictor.yaml")
    with pytest.raises(UserError, match=said):
        build_searcher(OmegaConf.create({"searcher": OmegaConf.merge(node, changes)}))


@pytest.mark.slow
@pytest.mark.parametrize("searcher", ["local", "tpe", "predictor"])
def test_networks_are_better_than_those_of_random_search_on_the_toy(searcher):
    """By the true value of the most rewarded of 150 networks, over toys and seeds."""
    gains = []
    for seed in range(1000, 1004):
        ours, random = (
            toy.best_value(toy.case("nasfpn", 0.0, name, seed, 150))
            for name in (searcher, "random")
        )
        gains.append(ours - random)
    assert np.mean(gains) > 0
    assert sum(gain > 0 for gain in gains) >= 3


def test_settings_that_the_regressor_refuses_are_refused_before_any_trial():
    with pytest.raises(UserError, match=r"searcher\.regressor: The 'alpha' parameter"):
        started(partial(Ridge, alpha=-1.0))
