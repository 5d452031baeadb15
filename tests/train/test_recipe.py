import pytest
from torch import nn

from fpnbench.graph.errors import UserError
from fpnbench.train.recipe import Recipe, make_optimizer, make_schedule

BASE = {
    "batch": 4,
    "optimizer": "sgd",
    "lr": 0.08,
    "weight_decay": 1e-4,
    "schedule": "step",
    "milestones": (0.8,),
    "gamma": 0.1,
    "warmup": 0.1,
    "clip": 0.0,
    "flip": True,
    "workers": 0,
}


def rates(recipe: Recipe, steps: int) -> list[float]:
    optimizer = make_optimizer(nn.Conv2d(1, 1, 1), recipe)
    schedule = make_schedule(optimizer, recipe, steps)
    seen = []
    for _ in range(steps):
        seen.append(optimizer.param_groups[0]["lr"])
        optimizer.step()
        schedule.step()
    return seen


def test_step_schedule_warms_up_and_drops_at_milestones() -> None:
    """10 steps, a tenth of them warm-up, x 0.1 from the 8th on (NAS-FPN's proxy)."""
    seen = rates(Recipe(**BASE), 10)
    assert seen[0] == pytest.approx(0.04)
    assert seen[1:8] == pytest.approx([0.08] * 7)
    assert seen[8:] == pytest.approx([0.008] * 2)


def test_one_cycle_peaks_at_lr_and_ends_near_zero() -> None:
    seen = rates(Recipe(**{**BASE, "schedule": "onecycle", "warmup": 0.3}), 100)
    assert max(seen) == pytest.approx(0.08)
    assert 25 <= seen.index(max(seen)) <= 31
    assert seen[-1] < 1e-4


def test_norms_and_biases_do_not_decay() -> None:
    module = nn.Sequential(nn.Conv2d(1, 2, 3), nn.BatchNorm2d(2))
    for name in ("adamw", "sgd"):
        groups = make_optimizer(
            module, Recipe(**{**BASE, "optimizer": name})
        ).param_groups
        assert groups[0]["params"] == [module[0].weight]
        assert groups[0]["weight_decay"] == 1e-4
        assert groups[1]["weight_decay"] == 0
        assert len(groups[1]["params"]) == 3


def test_frozen_parameters_are_left_out() -> None:
    module = nn.Linear(2, 2)
    module.bias.requires_grad_(False)
    groups = make_optimizer(module, Recipe(**BASE)).param_groups
    assert sum(len(group["params"]) for group in groups) == 1


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"optimizer": "lion"}, "lion"),
        ({"schedule": "poly"}, "poly"),
        ({"batch": 0}, "batch=0"),
        ({"lr": 0.0}, "lr=0.0"),
        ({"warmup": 1.0}, "warmup=1.0"),
    ],
)
def test_bad_values_are_named(change, message) -> None:
    with pytest.raises(UserError, match=message):
        Recipe(**{**BASE, **change})
