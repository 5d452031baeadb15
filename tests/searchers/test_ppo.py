"""PPO's arithmetic, against hand-computed cases and independent computations."""

import math
from itertools import product

import numpy as np
import pytest
import torch

from fpnbench.graph.decision import Decision
from fpnbench.graph.errors import UserError
from fpnbench.search.trial import Trial
from searchers.ppo import PPO, Controller, advantages, ppo_loss

SIZES = (3, 1, 2)


class Space:
    name = "stub"
    decisions = tuple(Decision(f"d{i}", tuple(range(n))) for i, n in enumerate(SIZES))


def ppo(**changes):
    numbers = {
        "hidden": 8,
        "batch": 4,
        "epochs": 4,
        "learning_rate": 0.01,
        "clip": 0.2,
        "entropy": 0.0,
        "baseline_decay": 0.95,
    }
    searcher = PPO(**(numbers | changes))
    searcher.start(Space(), 0, None)
    return searcher


def tell(searcher, rewards, choices=(0, 0, 0)):
    for number, reward in enumerate(rewards):
        if isinstance(choices, tuple):
            searcher.tell(Trial(number, choices, "", 1, "evaluation", reward, None))
        else:
            c = choices[number]
            searcher.tell(Trial(number, c, "", 1, "evaluation", reward, None))


def test_loss_of_two_children_with_two_decisions():
    """By hand, e = 0.2, w = 0.1: the four surrogates are

    A = +1: ratio 1.5 -> min(1.5, 1.2) = 1.2;  ratio 0.5 -> min(0.5, 0.8) = 0.5
    A = -1: ratio 1.5 -> min(-1.5, -1.2) = -1.5;  ratio 0.5 -> min(-0.5, -0.8) = -0.8
    Their mean is -0.15, that of the entropies .65: the loss is .15 - .1 * .65 = .085.
    """
    old = torch.tensor([[0.2, 0.4], [0.4, 0.6]], dtype=torch.float64).log()
    ratio = torch.tensor([[1.5, 0.5], [1.5, 0.5]], dtype=torch.float64)
    entropy = torch.tensor([[0.5, 0.6], [0.7, 0.8]], dtype=torch.float64)
    advantage = torch.tensor([1.0, -1.0], dtype=torch.float64)
    loss = ppo_loss(old + ratio.log(), old, entropy, advantage, clip=0.2, entropy=0.1)
    assert loss.item() == pytest.approx(0.085, abs=1e-12)


def test_gradient_stops_where_the_ratio_is_clipped():
    old = torch.zeros(2, 2)
    log = torch.tensor([[1.5, 0.5], [1.5, 0.5]]).log().requires_grad_()
    advantage = torch.tensor([1.0, -1.0])
    ppo_loss(log, old, torch.zeros(2, 2), advantage, clip=0.2, entropy=0.0).backward()
    # d(-mean)/dlog = -r A / 4 where it is not clipped
    expected = torch.tensor([[0.0, -0.125], [0.375, 0.0]])
    torch.testing.assert_close(log.grad, expected)


def test_advantages_by_hand():
    # deviations from 2: -1, 0, 1, 4; mean square 18 / 4
    assert advantages([1, 2, 3, 6], 2.0) == pytest.approx(
        [d / math.sqrt(4.5) for d in (-1, 0, 1, 4)]
    )
    assert advantages([0.3, 0.3, 0.3], 0.1) == [0.0, 0.0, 0.0]


def test_log_probabilities_and_entropies_of_a_distribution():
    controller = Controller(SIZES, hidden=8, seed=0)
    everything = list(product(*(range(n) for n in SIZES)))
    logs, entropies = controller(torch.tensor(everything))
    probabilities = logs.sum(1).exp()
    assert probabilities.sum().item() == pytest.approx(1, abs=1e-6)
    assert torch.all(logs[:, 1] == 0)
    # the first decision's entropy, from the marginals
    marginal = [probabilities[[c[0] == k for c in everything]].sum() for k in range(3)]
    first = -sum(p * p.log() for p in marginal)
    torch.testing.assert_close(entropies[:, 0], first.expand(6))
    assert torch.all(entropies[:, 1] == 0)
    assert torch.isfinite(logs).all()


def test_samples_follow_the_controllers_own_probabilities():
    controller = Controller(SIZES, hidden=8, seed=1)
    with torch.no_grad():
        for parameter in controller.parameters():
            parameter *= 20
    everything = list(product(*(range(n) for n in SIZES)))
    with torch.no_grad():
        exact = controller(torch.tensor(everything))[0].sum(1).exp().tolist()
    assert max(exact) > 2 * min(exact)
    rng, draws = np.random.default_rng(0), 3000
    samples = [controller.sample(rng.random(3).tolist()) for _ in range(draws)]
    for choices, probability in zip(everything, exact, strict=True):
        assert samples.count(choices) / draws == pytest.approx(probability, abs=0.03)


def test_a_choice_depends_on_the_choices_before_it():
    controller = Controller((3, 3), hidden=8, seed=1)
    logs, _ = controller(torch.tensor([[0, 2], [1, 2], [2, 2]]))
    assert len(set(logs[:, 1].tolist())) == 3


def test_extreme_draws_stay_inside():
    controller = Controller(SIZES, hidden=8, seed=0)
    assert controller.sample([0.0] * 3) == (0, 0, 0)
    assert controller.sample([1 - 2**-53] * 3) == (2, 0, 1)


def test_initial_weights_fill_the_papers_interval():
    weights = torch.cat([p.flatten() for p in Controller(SIZES, 100, 0).parameters()])
    assert weights.abs().max() <= 0.1
    assert weights.std().item() == pytest.approx(0.2 / math.sqrt(12), rel=0.02)


def test_good_choices_become_likelier():
    searcher = ppo()
    good, bad = (2, 0, 1), (0, 0, 0)
    both = torch.tensor([good, bad])
    before = searcher._controller(both)[0].sum(1)
    tell(searcher, [1.0, 0.0, 1.0, 0.0], [good, bad, good, bad])
    after = searcher._controller(both)[0].sum(1)
    assert after[0] > before[0]
    assert after[1] < before[1]


def test_it_finds_the_best_of_six():
    searcher = ppo(learning_rate=0.02)
    for number in range(400):
        choices = searcher.ask().choices
        reward = float(choices[0] + choices[2])
        searcher.tell(Trial(number, choices, "", 1, "evaluation", reward, None))
    last = [searcher.ask().choices for _ in range(20)]
    assert last.count((2, 0, 1)) >= 15
    assert searcher.updates == 100


def test_updates_are_counted_per_full_batch():
    searcher = ppo(batch=4)
    tell(searcher, [1.0, 2.0, 3.0])
    assert searcher.updates == 0
    tell(searcher, [4.0] * 6)
    assert searcher.updates == 2


def test_a_failure_counts_as_the_batchs_lowest_reward():
    choices = [(0, 0, 0), (1, 0, 0), (2, 0, 1), (0, 0, 1)]
    failed, lowest = ppo(), ppo()
    tell(failed, [0.4, None, 0.2, 0.3], choices)
    tell(lowest, [0.4, 0.2, 0.2, 0.3], choices)
    for a, b in zip(
        failed._controller.parameters(), lowest._controller.parameters(), strict=True
    ):
        assert torch.equal(a, b)


def test_a_batch_of_failures_teaches_nothing():
    searcher, fresh = ppo(), ppo()
    tell(searcher, [None] * 4)
    assert searcher.updates == 0
    for a, b in zip(
        searcher._controller.parameters(), fresh._controller.parameters(), strict=True
    ):
        assert torch.equal(a, b)


def test_baseline_starts_at_the_first_mean_and_moves_slowly():
    searcher = ppo(baseline_decay=0.95)
    tell(searcher, [1.0, 2.0, 3.0, 6.0])
    assert searcher._baseline == pytest.approx(3.0)
    tell(searcher, [5.0, 5.0, 5.0, 9.0])
    assert searcher._baseline == pytest.approx(0.95 * 3 + 0.05 * 6)


def test_entropy_bonus_flattens_the_policy():
    def entropy_after(weight):
        searcher = ppo(entropy=weight)
        with torch.no_grad():
            for parameter in searcher._controller.parameters():
                parameter *= 20
        for _ in range(10):
            tell(searcher, [1.0] * 4)
        return searcher._controller(torch.tensor([(0, 0, 0)]))[1].sum().item()

    assert entropy_after(1.0) > entropy_after(0.0) + 0.05


@pytest.mark.parametrize("name", ["hidden", "batch", "epochs"])
def test_impossible_numbers_are_refused(name):
    with pytest.raises(UserError, match=f"{name}=0"):
        ppo(**{name: 0})
