"""The toy evaluator: a function of the network alone, and a fair one."""

import math
from collections.abc import Callable

import numpy as np
import pytest
from omegaconf import DictConfig

from fpnbench.cli.build import build_evaluator, build_space
from fpnbench.graph.canonical import canonical, digest
from fpnbench.graph.errors import UserError
from fpnbench.graph.genotype import Genotype, Node
from fpnbench.graph.ops import Conv, Input, Resample, Sum
from fpnbench.graph.protocols import Evaluator, Space
from fpnbench.graph.trace import trace
from fpnbench.search.searcher import uniform_choices
from fpnbench.search.toy import ToyEvaluator, gauss, learned

SPACES = ("nasfpn", "mnasfpn", "connsearch")
CHANNELS = {3: 40, 4: 112, 5: 320}
CONV = Conv(8, 3, "relu", bias=True)
SMALL = Genotype(
    (
        Node(Input(3), ()),
        Node(Input(4), ()),
        Node(Resample(4, 3), (1,)),
        Node(Sum(), (0, 2)),
        Node(CONV, (3,)),
    ),
    ((3, 4),),
)


def toy(**changes: object) -> ToyEvaluator:
    arguments = {
        "channels": CHANNELS,
        "image_px": 64,
        "toy_seed": 0,
        "noise": 0.0,
        "epochs": 6,
        "seed": 0,
        "levels": [3, 4, 5, 6, 7],
    }
    return ToyEvaluator(**(arguments | changes))  # type: ignore[arg-type]


@pytest.fixture
def space(conf: Callable[..., DictConfig]) -> Callable[[str], Space]:
    return lambda name: build_space(conf(f"space={name}", "evaluator=toy"))


def test_value_of_a_small_pyramid_by_hand():
    level = {0: 3, 1: 4, 2: 3, 3: 3, 4: 3}
    places = [(SMALL.nodes[i].op, level[i]) for i in range(5)]
    pairs = [(0, 3), (1, 2), (2, 3), (3, 4)]
    weights = [gauss(f"0 {place!r}") for place in places]
    weights += [gauss(f"0 {(places[a], places[b])!r}") for a, b in pairs]
    squashed = 1 / (1 + math.exp(-0.6 * sum(weights) / 3))
    macs = trace(SMALL, CHANNELS, 64).macs
    expected = 0.9 * squashed + 0.1 / (1 + macs / 1e8)
    assert toy().value(SMALL, 1) == pytest.approx(expected * 0.5, abs=1e-12)


def test_equal_networks_have_equal_scores():
    """Other order of nodes and operands, an unused node, other provenance."""
    shuffled = Genotype(
        (
            Node(Input(4), (), (3, 1)),
            Node(Resample(4, 3), (0,)),
            Node(Input(3), ()),
            Node(Conv(99, 7, "none", bias=False), (2,)),
            Node(Sum(), (2, 1)),
            Node(CONV, (4,), (0, 2)),
        ),
        ((3, 5),),
        repeats=2,
    )
    noisy = toy(noise=0.1)
    first, second = (noisy(canonical(g), 6, 0) for g in (SMALL, shuffled))
    assert first == second


def test_another_network_function_or_connection_is_another_value():
    swapped = Genotype(
        (*SMALL.nodes[:4], Node(Conv(8, 5, "relu", bias=True), (3,))), SMALL.outputs
    )
    values = {toy().value(SMALL, 6), toy().value(swapped, 6)}
    values |= {toy(toy_seed=1).value(SMALL, 6), toy().value(SMALL, 5)}
    assert len(values) == 4


def test_fewer_macs_are_worth_more():
    values = [toy(image_px=px).value(SMALL, 6) for px in (32, 512, 4096)]
    assert values == sorted(values, reverse=True)
    assert len(set(values)) == 3


def test_noise_is_gaussian_and_a_function_of_network_epochs_and_seed():
    noisy, form = toy(noise=0.02), canonical(SMALL)
    scores = np.array([noisy(form, 6, seed).ap for seed in range(500)])
    errors = (scores - noisy.value(form, 6)) / 0.02
    assert abs(errors.mean()) < 0.15
    assert errors.std() == pytest.approx(1, abs=0.1)
    assert noisy(form, 6, 3) == noisy(form, 6, 3)
    assert toy()(form, 6, 3).ap == toy().value(form, 6)
    again = noisy(form, 5, 0).ap - noisy.value(form, 5)
    assert again != pytest.approx(noisy(form, 6, 0).ap - noisy.value(form, 6))


def test_cost_is_that_of_the_claimed_training():
    score = toy()(canonical(SMALL), 4, 0)
    assert score.images == 500
    assert score.train_gmacs == pytest.approx(score.macs * (3 * 400 + 100) / 1e9)
    assert score.cost_s == pytest.approx(score.train_gmacs / 100)
    assert [point.epoch for point in score.curve] == [2, 4]
    last = score.curve[-1]
    assert (last.ap, last.loss, last.cost_s) == (score.ap, score.loss, score.cost_s)
    assert score.curve[0].ap == pytest.approx(score.ap * learned(2) / learned(4))


def test_benchmark_names_all_that_decides_but_epochs_and_seed():
    base = toy().benchmark
    assert toy(epochs=3, seed=9).benchmark == base
    others = {
        toy(toy_seed=1).benchmark,
        toy(noise=0.1).benchmark,
        toy(image_px=128).benchmark,
        toy(levels=[3]).benchmark,
        toy(channels=CHANNELS | {3: 41}).benchmark,
    }
    assert len(others | {base}) == 6


def test_a_backbone_level_that_is_missing_is_the_users_mistake():
    with pytest.raises(UserError, match=r"takes backbone levels \[3, 4\]"):
        toy(channels={3: 40})(SMALL, 6, 0)


def test_yaml_builds_it(conf: Callable[..., DictConfig]):
    evaluator = build_evaluator(conf("evaluator=toy", "evaluator.noise=0.05"))
    again: Evaluator = toy(
        channels={2: 24, 3: 40, 4: 112, 5: 320}, image_px=conf().image_px, noise=0.05
    )
    assert evaluator.benchmark == again.benchmark
    assert evaluator(SMALL, 6, 0) == again(SMALL, 6, 0)


@pytest.mark.parametrize("name", SPACES)
def test_no_decision_explains_a_fifth_of_the_variance(
    space: Callable[[str], Space], name: str
):
    pyramids = space(name)
    count = 800
    choices = [uniform_choices(pyramids.decisions, 5, i) for i in range(count)]
    forms = [canonical(pyramids.decode(c)) for c in choices]
    evaluator = toy(image_px=256)
    values = np.array([evaluator.value(form, 6) for form in forms])
    assert values.std() > 0.05
    assert len({digest(form) for form in forms}) > 0.95 * count
    table = np.array(choices)
    for place, decision in enumerate(pyramids.decisions):
        means = np.zeros(count)
        for option in range(len(decision.options)):
            drawn = table[:, place] == option
            means[drawn] = values[drawn].mean()
        assert means.var() / values.var() < 0.2, decision.name
