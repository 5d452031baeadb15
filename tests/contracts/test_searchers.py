"""What every searcher must do, run over every yaml in conf/searcher.

And in FPNBENCH_CONF/searcher, if that is set: see docs/own_searcher.md.
"""

import hashlib
import os
import random
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pytest
import torch
from omegaconf import OmegaConf

from fpnbench.cli.build import build_searcher
from fpnbench.graph.decision import Choices, Decision, cardinality, check_choices
from fpnbench.graph.genotype import Genotype
from fpnbench.graph.score import Score
from fpnbench.search.searcher import Searcher, uniform_choices
from fpnbench.search.trial import Proposal, Trial

CONF = Path(__file__).parents[2] / "conf"
OWN = Path(os.environ.get("FPNBENCH_CONF", CONF))
CONFIGS = sorted(
    {p for conf in (CONF, OWN) for p in (conf / "searcher").glob("*.yaml")}
)
SPACES = {
    "tiny": (2, 1),
    "fixed": (1, 1, 1),
    "ordinary": (6, *((4, 3, 1, 7, 2, 5) * 3)),
    "huge": (12,) * 100,
}
LENGTH = 130
"""Proposals of a run: more than the largest population and several PPO batches."""
LENGTHS = {"tpe": 30, "nsga2": 50, "gp": 24, "predictor": 30}
"""Of searchers that take long over a proposal; more than twice their random ones."""
SLOW = {"gp"}
"""Take a minute even so; tests/searchers asks the most important of them always."""
NEED_TASK = {"supernet", "supernet_random", "enas", "gumbel_darts"}
"""`SharesEvaluator`: they cannot start without a space that decodes and data."""
EPOCHS = 6
"""Of proposals that name none."""
SCORE = Score(
    *(0.5,) * 6,
    macs=0,
    params=1,
    latency_ms=None,
    cost_s=0.0,
    images=0,
    train_gmacs=0.0,
)
Rewarder = Callable[[int, Choices], float | None]


@dataclass
class StubSpace:
    """Decisions alone: a searcher has no business decoding."""

    sizes: Sequence[int]
    name: str = "stub"

    @property
    def decisions(self) -> tuple[Decision, ...]:
        options = [tuple(range(size)) for size in self.sizes]
        return tuple(Decision(f"d{i}", o) for i, o in enumerate(options))

    def decode(self, choices: Choices) -> Genotype:
        raise AssertionError("a searcher decoded a network")


def digits(number: int, choices: Choices) -> float:
    """A function of the choices, in sixteenths: scaling it by 2**k loses nothing."""
    word = hashlib.sha256(repr(choices).encode()).digest()[0]
    return (sum(choices) * 16 + word) / 256


def flaky(number: int, choices: Choices) -> float | None:
    """Every third trial fails; a whole batch of the largest preset fails at 40-79."""
    bad = number % 3 == 0 or 40 <= number < 80
    return None if bad else digits(number, choices)


@pytest.fixture
def length(request: pytest.FixtureRequest) -> int:
    return LENGTHS.get(request.node.callspec.params["make"].stem, LENGTH)


@pytest.fixture(autouse=True)
def _one_thread() -> Iterator[None]:
    """On busy cores two threads make the controller's tiny steps 15 times slower."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


@pytest.fixture(
    params=[
        pytest.param(p, marks=[pytest.mark.slow] * (p.stem in SLOW), id=p.stem)
        for p in CONFIGS
    ]
)
def make(request: pytest.FixtureRequest) -> Callable[..., Searcher]:
    node = OmegaConf.load(request.param)
    around = {"searcher": node, "evaluator": {"epochs": EPOCHS}}
    if request.param.stem in NEED_TASK:
        pytest.skip("trains weights for a task: tests/searchers/test_supernet.py")

    def started(space: str = "ordinary", seed: int = 0) -> Searcher:
        searcher = build_searcher(OmegaConf.create(around))
        searcher.start(StubSpace(SPACES[space]), seed, None)
        return searcher

    return started


def trial(number: int, proposal: Proposal, reward: float | None) -> Trial:
    """What the loop tells; a network whose digest is even counts as known already."""
    choices, epochs = proposal.choices, proposal.epochs or EPOCHS
    key = hashlib.sha256(repr(choices).encode()).hexdigest()
    status = "evaluation" if int(key, 16) % 2 else "repeat"
    if reward is None:
        status = "infeasible" if number % 2 else "failed"
    score = None if reward is None else replace(SCORE, macs=1 + sum(choices))
    return Trial(number, choices, key[:16], epochs, status, reward, score)  # type: ignore[arg-type]


def run(
    searcher: Searcher, reward: Rewarder, length: int, ahead: int = 1
) -> list[Trial]:
    """Ask `ahead` proposals, then tell the oldest before every further ask."""
    waiting, told = [], []
    for number in range(length):
        waiting.append((number, searcher.ask()))
        if len(waiting) == ahead:
            first, proposal = waiting.pop(0)
            told.append(trial(first, proposal, reward(first, proposal.choices)))
            searcher.tell(told[-1])
    return told


def choices_of(trials: Sequence[Trial]) -> list[Choices]:
    return [told.choices for told in trials]


def test_yaml_are_found() -> None:
    assert {"random", "evolution", "ppo", "ppo_paper"} <= {p.stem for p in CONFIGS}


def test_same_seed_same_proposals_and_others_differ(
    make: Callable[..., Searcher], length: int
) -> None:
    original = choices_of(run(make(seed=3), digits, length))
    assert choices_of(run(make(seed=3), digits, length)) == original
    other = choices_of(run(make(seed=4), digits, length))
    assert sum(a == b for a, b in zip(original, other, strict=True)) < 5


@pytest.mark.parametrize("space", SPACES)
def test_proposals_are_valid(
    make: Callable[..., Searcher], space: str, length: int
) -> None:
    length = min(length, 30) if space == "huge" else length
    decisions = StubSpace(SPACES[space]).decisions
    seen = choices_of(run(make(space), flaky, length))
    assert all(check_choices(decisions, choices) == choices for choices in seen)
    assert all(type(choice) is int for choices in seen for choice in choices)
    assert len(set(seen)) >= min(cardinality(decisions), 20)


@pytest.mark.parametrize("ahead", [1, 4, 30])
def test_several_asks_may_precede_a_tell(
    make: Callable[..., Searcher], ahead: int, length: int
) -> None:
    ahead = min(ahead, length // 3)
    first = run(make(), flaky, length, ahead)
    assert len(first) == length - ahead + 1
    assert run(make(), flaky, length, ahead) == first
    assert len(set(choices_of(first))) > length / 4


def test_a_start_forgets_the_run_before(
    make: Callable[..., Searcher], length: int
) -> None:
    searcher = make(seed=0)
    fresh = choices_of(run(searcher, digits, length // 2))
    searcher.start(StubSpace(SPACES["ordinary"]), 0, None)
    assert choices_of(run(searcher, digits, length // 2)) == fresh


def test_failures_alone_do_not_stop_it(
    make: Callable[..., Searcher], length: int
) -> None:
    assert len(run(make(), lambda number, choices: None, length)) == length


@pytest.mark.parametrize("reward", [digits, flaky])
@pytest.mark.parametrize("scale", [2.0**-30, 2.0**20])
def test_the_unit_of_the_reward_changes_nothing(
    make: Callable[..., Searcher], reward: Rewarder, scale: float, length: int
) -> None:
    def scaled(number: int, choices: Choices) -> float | None:
        value = reward(number, choices)
        return None if value is None else scale * value

    original = choices_of(run(make(), reward, length))
    assert choices_of(run(make(), scaled, length)) == original


def test_any_line_with_positive_slope_changes_nothing_but_rounding(
    make: Callable[..., Searcher], length: int
) -> None:
    def line(number: int, choices: Choices) -> float:
        return 3.7 * digits(number, choices) - 11.3

    ours, theirs = (choices_of(run(make(), r, length)) for r in (line, digits))
    same = [a == b for a, b in zip(ours, theirs, strict=True)]
    # PPO may part at one proposal whose draw lies within 1e-6 of a threshold.
    assert all(same[: length * 3 // 4])


def test_equal_rewards_differ_by_rounding_only(
    make: Callable[..., Searcher], length: int
) -> None:
    """A constant has no scale: its rounding errors must not be blown up to rewards."""

    def constant(value: float) -> list[Choices]:
        return choices_of(run(make(), lambda number, choices: value, length))

    assert constant(0.1) == constant(0.0) == constant(1e9 + 0.1)


@pytest.mark.parametrize("share", [0, 0.01, 0.15, 0.44, 0.8])
def test_replay_equals_the_original(
    make: Callable[..., Searcher], share: float, length: int
) -> None:
    original, killed = run(make(), flaky, length), int(share * length)
    searcher, replayed = make(), []
    for recorded in original[:killed]:
        replayed.append(searcher.ask().choices)
        searcher.tell(recorded)
    for number in range(killed, length):
        proposal = searcher.ask()
        replayed.append(proposal.choices)
        searcher.tell(trial(number, proposal, flaky(number, proposal.choices)))
    assert replayed == choices_of(original)


def test_tell_uses_the_trials_own_choices(
    make: Callable[..., Searcher], length: int
) -> None:
    """A replay on a machine whose floats differ tells other choices than were asked."""
    decisions = StubSpace(SPACES["ordinary"]).decisions

    def taught(teacher: int) -> list[Choices]:
        searcher, asked = make(), []
        for number in range(length):
            asked.append(searcher.ask())
            choices = uniform_choices(decisions, teacher, number)
            told = replace(asked[-1], choices=choices)
            searcher.tell(trial(number, told, number % 7))
        return [proposal.choices for proposal in asked]

    learns = "random_search" not in type(make()).__module__
    assert (taught(77) != taught(78)) == learns


def test_no_global_generator_is_read_or_moved(
    make: Callable[..., Searcher], length: int
) -> None:
    before = random.getstate(), np.random.get_state()[1].tolist(), torch.get_rng_state()  # noqa: NPY002
    first = choices_of(run(make(), digits, length // 2))
    assert random.getstate() == before[0]
    assert np.random.get_state()[1].tolist() == before[1]  # noqa: NPY002
    assert torch.equal(torch.get_rng_state(), before[2])
    with torch.random.fork_rng():
        torch.manual_seed(12345)
        assert choices_of(run(make(), digits, length // 2)) == first


def test_nothing_is_spent_outside_of_trials(
    make: Callable[..., Searcher], length: int
) -> None:
    searcher = make()
    run(searcher, digits, length // 4)
    assert searcher.spent() == (0.0, 0, 0.0)
