"""Optuna's samplers: proposals are Optuna's own; what the contract cannot know."""

from functools import partial
from pathlib import Path

import numpy as np
import optuna
import pytest
from omegaconf import OmegaConf
from optuna.distributions import CategoricalDistribution
from optuna.samplers import GPSampler, NSGAIISampler, TPESampler
from optuna.trial import TrialState, create_trial

from fpnbench.cli.build import build_searcher
from fpnbench.graph.decision import Decision
from fpnbench.graph.errors import UserError
from fpnbench.graph.score import Score
from fpnbench.search.searcher import Scale, generator, uniform_choices
from fpnbench.search.trial import Trial
from searchers.optuna_sampler import OptunaSampler

CONF = Path(__file__).parents[2] / "conf" / "searcher"
SIZES = (3, 5, 1, 4, 2, 6)
DECISIONS = tuple(Decision(f"d{i}", tuple(range(n))) for i, n in enumerate(SIZES))
SPACE = {d.name: CategoricalDistribution(range(len(d.options))) for d in DECISIONS}
optuna.logging.set_verbosity(optuna.logging.WARNING)


class Space:
    name = "stub"
    decisions = DECISIONS


def reward(number, choices):
    """Any function of the choices; every fifth trial fails."""
    value = sum(c * w for c, w in zip(choices, (3, -2, 7, 1, 4, -1), strict=True))
    return None if number % 5 == 4 else value / 64 + (choices[0] == choices[4])


def macs(choices):
    return 1000 + 100 * choices[1] + 7 * choices[5] ** 2


def told(number, choices, value):
    score = Score(
        *(0.1,) * 6,
        macs=macs(choices),
        params=1,
        latency_ms=None,
        cost_s=0.0,
        images=0,
        train_gmacs=0.0,
    )
    status = "failed" if value is None else "evaluation"
    score = None if value is None else score
    return Trial(number, choices, "", 1, status, value, score)


def run(searcher, length, scale=1.0, seed=7):
    searcher.start(Space(), seed, None)
    asked = []
    for number in range(length):
        asked.append(searcher.ask().choices)
        value = reward(number, asked[-1])
        value = None if value is None else scale * value
        searcher.tell(told(number, asked[-1], value))
    return asked


def seed_of(number, seed=7):
    return int(generator(seed, number).integers(2**32))


@pytest.mark.parametrize(
    ("make", "length"),
    [
        (partial(TPESampler, n_startup_trials=6), 60),
        (partial(GPSampler, n_startup_trials=6), 9),
    ],
)
def test_proposals_are_those_of_optuna_on_a_study_with_the_same_trials(make, length):
    asked = run(OptunaSampler(make, 6, ["reward"]), length)
    assert asked[:6] == [uniform_choices(DECISIONS, 7, n) for n in range(6)]
    for number in range(6, length):
        study = optuna.create_study(
            direction="maximize", sampler=make(seed=seed_of(number))
        )
        for before, choices in enumerate(asked[:number]):
            value = reward(before, choices)
            if value is not None:  # a failure says nothing to Optuna
                params = dict(zip(SPACE, choices, strict=True))
                trial = create_trial(value=value, params=params, distributions=SPACE)
                study.add_trial(trial)
        assert tuple(study.ask(SPACE).params.values()) == asked[number]


def test_generations_are_those_of_optuna_s_own_loop_with_two_objectives():
    make = partial(NSGAIISampler, population_size=8)
    asked = run(OptunaSampler(make, 0, ["reward", "macs"]), 60)
    study = optuna.create_study(directions=["maximize", "minimize"])
    for number, choices in enumerate(asked):
        study.sampler = make(seed=seed_of(number))
        trial = study.ask(SPACE)
        assert tuple(trial.params.values()) == choices
        value = reward(number, choices)
        if value is None:
            study.tell(trial, state=TrialState.FAIL)
        else:
            study.tell(trial, (value, macs(choices)))
    generations = [t.system_attrs["NSGAIISampler:generation"] for t in study.trials]
    assert max(generations) > 3  # or there would be nothing to replay


def test_both_objectives_count():
    """Of equal rewards the networks with fewer MACs have the children."""
    searcher = OptunaSampler(
        partial(NSGAIISampler, population_size=8), 8, ["reward", "macs"]
    )
    searcher.start(Space(), 0, None)
    asked = []
    for number in range(120):
        asked.append(searcher.ask().choices)
        searcher.tell(told(number, asked[-1], 1.0))
    least = [macs(choices) for choices in asked[-40:]]
    assert np.mean(least) < np.mean([macs(choices) for choices in asked[:8]]) - 200
    assert min(least) == 1000


def small_gp():
    return OptunaSampler(partial(GPSampler, n_startup_trials=3), 3, ["reward"])


def test_the_scale_of_rewards_by_hand():
    scale = Scale()
    assert [scale(r) for r in (5.0, 5.0, 3.0, 6.0, 5.0)] == [0.0, 0.0, -1.0, 0.5, 0.0]
    # a third and its rounding error, which is not kept
    assert scale(5.0 + 2 / 3) == scale(5.0 + 2 / 3 + 1e-15) == 0.333333333


@pytest.mark.parametrize("scale", [2.0**-40, 2.0**30])
def test_the_gaussian_process_knows_no_unit_and_repeats_itself(scale):
    """The contract asks it too, but of this sampler only in the slow suite."""
    assert run(small_gp(), 6, scale) == run(small_gp(), 6)


def test_a_trial_without_macs_is_refused_by_name():
    searcher = OptunaSampler(NSGAIISampler, 2, ["reward", "macs"])
    searcher.start(Space(), 0, None)
    choices = searcher.ask().choices
    with pytest.raises(
        UserError, match=r"objectives=\[reward, macs\]: trial 3 has no macs"
    ):
        searcher.tell(Trial(3, choices, "", 1, "evaluation", 0.5, None))
    searcher.tell(Trial(3, choices, "", 1, "failed", None, None))


@pytest.mark.parametrize("objectives", [[], ["reward", "reward"]])
def test_objectives_are_named_once(objectives):
    with pytest.raises(UserError, match="it must name one or more, each once"):
        OptunaSampler(TPESampler, 10, objectives)


@pytest.mark.parametrize("sampler", ["QMCSampler", "RandomSampler"])
def test_any_sampler_of_optuna_s_comes_by_its_target(sampler):
    node = OmegaConf.load(CONF / "tpe.yaml")
    node.sampler = {"_target_": f"optuna.samplers.{sampler}", "_partial_": True}
    searcher = build_searcher(OmegaConf.create({"searcher": node}))
    assert len(set(run(searcher, 14))) > 7


def test_what_is_no_objective_is_named():
    node = OmegaConf.load(CONF / "nsga2.yaml")
    node.objectives = ["reward", "size"]
    with pytest.raises(UserError, match="size"):
        build_searcher(OmegaConf.create({"searcher": node}))


def test_settings_that_the_sampler_refuses_are_refused_before_any_trial():
    small = partial(NSGAIISampler, population_size=1)
    with pytest.raises(UserError, match=r"searcher\.sampler: `population_size`"):
        OptunaSampler(small, 1, ["reward"])
