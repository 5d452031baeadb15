"""A small `mode=check what=toy`, on other seeds than the reported ones."""

from collections.abc import Callable
from pathlib import Path

import pytest
from hydra import initialize_config_dir
from omegaconf import DictConfig, OmegaConf

from fpnbench.cli.checks import toy
from fpnbench.cli.values import check_values
from fpnbench.graph.canonical import canonical
from fpnbench.graph.errors import UserError
from fpnbench.report.statistics import sign_test
from fpnbench.search.searcher import uniform_choices

CONF = Path(__file__).parents[2] / "conf"
SEEDS = range(1000, 1006)
TRIALS = 150


def values(searcher: str, noise: float) -> list[float]:
    with initialize_config_dir(str(CONF), version_base=None):
        cases = [toy.case("nasfpn", noise, searcher, seed, TRIALS) for seed in SEEDS]
    return [toy.best_value(case) for case in cases]


@pytest.mark.parametrize("noise", toy.NOISES)
def test_evolution_and_ppo_find_better_networks_than_random_search(noise: float):
    random = values("random", noise)
    for searcher in ("evolution", "ppo"):
        pairs = zip(values(searcher, noise), random, strict=True)
        gains = [a - b for a, b in pairs]
        assert sum(gains) > 0, searcher
        # A finding, not an oversight: after 150 noisy trials PPO has won only 3 of
        # these 6 pairs (+.028 [-.014, +.079]); the claim is made of 500 trials.
        if noise == 0:
            signs = sign_test(gains)
            assert signs.wins > signs.losses, searcher


def test_a_run_is_judged_by_the_true_value_of_its_most_rewarded_network():
    with initialize_config_dir(str(CONF), version_base=None):
        case = toy.case("nasfpn", 0.3, "random", 1000, 12)
    forms = [
        canonical(case.space.decode(uniform_choices(case.space.decisions, 1000, n)))
        for n in range(12)
    ]
    told = [case.evaluator(form, 6, 1000).ap for form in forms]
    true = [case.evaluator.value(form, 6) for form in forms]
    winner = told.index(max(told))
    assert true[winner] < max(true)  # or this case would show nothing
    assert toy.best_value(case) == true[winner]


def test_bars_hold_exactly_where_the_interval_is_above_zero():
    held = toy.bar("nasfpn", 0.0, "ppo", [0.6, 0.7, 0.8], [0.5, 0.5, 0.5])
    assert held.held
    assert held.measured.startswith("+0.2000 [+0.1000, +0.3000] (0.7000 against 0.5000")
    assert not toy.bar("nasfpn", 0.0, "ppo", [0.6, 0.4], [0.5, 0.5]).held


def test_check_runs_every_case(monkeypatch: pytest.MonkeyPatch):
    def run_here(cases):
        return map(toy.best_value, cases)

    monkeypatch.setattr(toy, "values_of", run_here)
    cfg: DictConfig = OmegaConf.create(
        {"toy": {"trials": 4, "seeds": 2, "first_seed": 0}}
    )
    with initialize_config_dir(str(CONF), version_base=None):
        bars = toy.run(cfg)
    assert len(bars) == len(toy.SPACES) * len(toy.NOISES) * len(toy.SEARCHERS)
    assert len({bar.name for bar in bars}) == len(bars)
    # fewer trials than the first population: evolution is random search
    evolution = [bar for bar in bars if "evolution" in bar.name]
    assert all("0 wins, 0 losses" in bar.measured for bar in evolution)


def test_a_check_of_nothing_is_the_users_mistake(conf: Callable[..., DictConfig]):
    with pytest.raises(UserError, match=r"toy.seeds=0: it must be a whole number from"):
        check_values(conf("mode=check", "what=toy", "toy.seeds=0"))
