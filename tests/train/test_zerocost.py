"""Zero-cost scores: each against numpy on a net small enough to do by hand."""

import math
from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import get_args

import numpy as np
import pytest
import torch
from omegaconf import DictConfig, OmegaConf
from torch import nn

from fpnbench.cli.build import build_evaluator
from fpnbench.cli.folder import flat
from fpnbench.graph.canonical import canonical
from fpnbench.graph.errors import UserError
from fpnbench.graph.protocols import EvaluationError
from fpnbench.graph.score import Score
from fpnbench.search.feasible import what_is_read
from fpnbench.search.searcher import uniform_choices
from fpnbench.train.untrained import grad_norm, jacob_cov, naswot, synflow
from fpnbench.train.zerocost import Name, ZeroCost

SCORES = get_args(Name)
A = np.array([[2.0, -8.0], [1.0, 3.0]])
"""Two units that read two channels."""
B = np.array([[-5.0, 7.0]])
"""One output of the two units."""
IMAGES = np.array([[1.0, 2.0], [-1.0, 0.5], [3.0, -1.0], [0.5, 0.25]])


class Tiny(nn.Module):
    """Two 1x1 convolutions, a then b, with `between` between them."""

    def __init__(
        self, *between: nn.Module, a: np.ndarray = A, b: np.ndarray = B
    ) -> None:
        super().__init__()
        convs = []
        for weight in (a, b):
            conv = nn.Conv2d(weight.shape[1], weight.shape[0], 1, bias=False)
            kernel = torch.tensor(weight, dtype=torch.float32)[:, :, None, None]
            conv.weight = nn.Parameter(kernel)
            convs.append(conv)
        self.body = nn.Sequential(convs[0], *between, convs[1])

    def forward(self, inputs: dict[int, torch.Tensor]) -> torch.Tensor:
        return self.body(inputs[3]).flatten(1)


def batch(images: np.ndarray) -> dict[int, torch.Tensor]:
    """One pixel an image at level 3; level 4 is there and read by nobody."""
    maps = torch.tensor(images, dtype=torch.float32)[:, :, None, None]
    return {3: maps, 4: torch.zeros(len(maps), 5, 1, 1)}


def test_synflow_is_the_flow_of_absolute_weights_without_norms_and_caps() -> None:
    """With ones every path counts |a b|, once by its a and once by its b.

    R = 5 (2 + 8) + 7 (1 + 3) = 78 a pixel. Six pixels, two layers: log(2 * 6 * 78).
    """
    norm = nn.BatchNorm2d(2)
    nn.init.constant_(norm.weight, -9.0)
    for between in ((), (norm, nn.ReLU()), (norm, nn.ReLU6(True))):
        network = Tiny(*between)
        before = [value.clone() for value in network.state_dict().values()]
        found = synflow(
            network, {3: torch.zeros(4, 2, 2, 3), 4: torch.zeros(4, 1, 1, 1)}
        )
        assert found == pytest.approx(math.log(2 * 6 * 78), rel=1e-12)
        for value, old in zip(network.state_dict().values(), before, strict=True):
            assert torch.equal(value, old)


def test_synflow_of_a_deep_network_does_not_overflow() -> None:
    """100 layers of weight 1000: 1e300, beyond single precision; each holds it all."""
    convs = [nn.Conv2d(1, 1, 1, bias=False) for _ in range(100)]
    for conv in convs:
        nn.init.constant_(conv.weight, -1000.0)
    network = Tiny()
    network.body = nn.Sequential(*convs)
    found = synflow(network, {3: torch.zeros(2, 1, 1, 1)})
    assert found == pytest.approx(math.log(100) + 300 * math.log(10), rel=1e-9)


def test_grad_norm_adds_the_norms_of_the_layers() -> None:
    """Half the squared error of y = B A x, derived by hand."""
    network, target = Tiny(), np.array([1.0, 0.0, -2.0, 4.0])
    output = network(batch(IMAGES))[:, 0]
    loss = 0.5 * (output - torch.tensor(target, dtype=torch.float32)).square().sum()
    error = IMAGES @ A.T @ B[0] - target
    of_b = (error[:, None] * (IMAGES @ A.T)).sum(0)
    of_a = np.einsum("i,u,ic->uc", error, B[0], IMAGES)
    expected = np.linalg.norm(of_a) + np.linalg.norm(of_b)
    assert grad_norm(network, loss) == pytest.approx(expected, rel=1e-5)


MANY = np.array([[1, 1], [1, -1], [-2, 1], [0, 3], [4, 1], [-1, 5.0]])
"""Six units that tell the four images apart."""


@pytest.mark.parametrize(
    ("activation", "kinks"), [(nn.ReLU(), [0]), (nn.ReLU6(True), [0, 6])]
)
def test_naswot_counts_on_which_side_of_each_kink_a_unit_is(activation, kinks) -> None:
    """K of the paper: all bits minus the Hamming distance of two codes."""
    units = IMAGES @ MANY.T
    codes = np.concatenate([units > kink for kink in kinks], 1)
    distance = (codes[:, None] != codes[None]).sum(-1)
    sign, expected = np.linalg.slogdet(6.0 * len(kinks) - distance)
    assert sign == 1  # no two images have one code: the case tells something
    assert (units > 6).any()
    network = Tiny(activation, a=MANY, b=np.ones((1, 6)))
    assert naswot(network, batch(IMAGES)) == pytest.approx(expected, rel=1e-12)
    twice = Tiny(activation, activation, a=MANY, b=np.ones((1, 6)))
    assert naswot(twice, batch(IMAGES)) != pytest.approx(expected, rel=1e-3)


def test_naswot_without_an_activation_has_no_finite_value() -> None:
    assert naswot(Tiny(nn.Sigmoid()), batch(IMAGES)) == -math.inf


def test_jacob_cov_is_of_the_eigenvalues_of_the_images_correlations() -> None:
    """d(sum of outputs)/dx = sum of b a over the units that are on, by hand."""
    pixels = np.stack([IMAGES, IMAGES[::-1], IMAGES * [1, -1]], 2)  # image, channel, px
    b = np.array([[1.0, -2.0, 0.5, 3.0, -1.0, 2.0]])
    on = np.einsum("uc,icp->iup", MANY, pixels) > 0
    jacobian = np.einsum("u,uc,iup->icp", b[0], MANY, on).reshape(4, -1)
    eigenvalues = np.linalg.eigvals(np.corrcoef(jacobian)).real
    expected = -np.sum(np.log(eigenvalues + 1e-5) + 1 / (eigenvalues + 1e-5))
    maps = {3: torch.tensor(pixels[..., None], dtype=torch.float32)}
    network = Tiny(nn.ReLU(), a=MANY, b=b)
    assert jacob_cov(network, maps) == pytest.approx(expected, rel=1e-3)


def test_jacob_cov_of_a_constant_jacobian_is_no_number() -> None:
    same = Tiny(a=np.ones((2, 2)))
    assert math.isnan(jacob_cov(same, batch(IMAGES)))


@pytest.fixture
def zerocost(
    conf: Callable[..., DictConfig], tiny: tuple[str, ...], tmp_path
) -> Callable[..., ZeroCost]:
    def make(*overrides: str) -> ZeroCost:
        torch.set_num_threads(1)
        fixed = ("evaluator=zerocost", f"evaluator.proxy.cache={tmp_path}")
        made = build_evaluator(conf(*tiny, *fixed, *overrides))
        assert isinstance(made, ZeroCost)
        return made

    return make


@pytest.fixture
def cell(make_cell):
    return canonical(make_cell("fpn_vanilla", width=16).restrict((3, 4, 5, 6)))


def facts(score: Score) -> Score:
    """Everything but times."""
    return replace(score, cost_s=0.0)


@pytest.mark.parametrize("name", SCORES)
def test_a_score_is_a_function_of_network_and_seed(zerocost, cell, name) -> None:
    evaluate = zerocost(f"evaluator.score={name}")
    before = torch.random.get_rng_state()
    first = evaluate(cell, 0, 0)
    assert facts(evaluate(cell, 7, 0)) == facts(first)
    assert facts(zerocost(f"evaluator.score={name}")(cell, 0, 0)) == facts(first)
    assert evaluate(cell, 0, 1).estimate != first.estimate
    assert torch.equal(torch.random.get_rng_state(), before)
    assert first.ap is first.loss is None
    assert math.isfinite(first.estimate)


@pytest.mark.parametrize("space", ["nasfpn", "mnasfpn", "connsearch", "handcrafted"])
def test_random_networks_of_every_space_have_all_scores(
    zerocost, make_space, space
) -> None:
    made = make_space(space, width=16)
    evaluators = [zerocost(f"evaluator.score={name}") for name in SCORES]
    for evaluate in evaluators:
        found = set()
        for number in range(2):
            choices = uniform_choices(made.decisions, 0, number)
            genotype = what_is_read(made.decode(choices), evaluate)
            found.add(evaluate(genotype, 0, 0).estimate)
        assert len(found) == 2
        assert all(map(math.isfinite, found))


def test_a_score_costs_what_passes_through_pyramid_and_predictor(
    zerocost, cell
) -> None:
    scores = {n: zerocost(f"evaluator.score={n}")(cell, 0, 0) for n in SCORES}
    train = len(zerocost().sides[0][0].records)
    assert train < 32
    assert {n: s.images for n, s in scores.items()} == {
        **dict.fromkeys(SCORES, train),
        "synflow": 1,
    }
    forward = scores["naswot"].train_gmacs / train
    assert scores["grad_norm"].train_gmacs == pytest.approx(3 * train * forward)
    assert scores["jacob_cov"].train_gmacs == pytest.approx(3 * train * forward)
    assert scores["synflow"].train_gmacs == pytest.approx(3 * forward)
    whole = scores["naswot"].macs / 1e9
    assert 0 < forward < whole  # the frozen backbone is not computed


def test_a_backbone_that_trains_is_looked_at_too(zerocost, cell) -> None:
    for name in SCORES:
        evaluate = zerocost(f"evaluator.score={name}", "backbone=resnet10")
        score = evaluate(cell, 0, 0)
        assert math.isfinite(score.estimate)
        passed = score.images * (1 if name == "naswot" else 3)
        assert score.train_gmacs == pytest.approx(passed * score.macs / 1e9)


def test_a_score_that_is_no_number_fails_the_trial_and_says_its_cost(
    zerocost, make_cell
) -> None:
    """A single 1x1 convolution, and no tower: there is no ReLU."""
    evaluate = zerocost("evaluator.score=naswot", "detector.tower_depth=0")
    with pytest.raises(EvaluationError, match=r"^naswot is -inf$") as failed:
        evaluate(canonical(make_cell("c5_only", width=16).restrict((5,))), 0, 0)
    assert failed.value.images == len(evaluate.sides[0][0].records)
    assert failed.value.gmacs > 0


DECIDES = {"score": "naswot", "batch": "4", "proxy.folds": "2"}
NEUTRAL = {
    **{"seed": "1", "proxy.seed": "1", "proxy.records": "true", "proxy.threads": "1"},
    **{"proxy.cache": "elsewhere", "proxy.accelerator": "cpu", "proxy.epochs": "9"},
}


def keys(cfg: DictConfig) -> Iterator[str]:
    """Every key of the evaluator that a user can set; others point elsewhere."""
    for key, value in flat(OmegaConf.to_container(cfg.evaluator)).items():
        pointer = isinstance(value, str) and value.startswith("${")
        if not pointer and "_" not in key.split(".")[-1][:1]:
            yield key


def test_the_benchmark_is_that_of_no_training_and_names_the_score(
    zerocost, conf
) -> None:
    stated = {*keys(conf("evaluator=zerocost"))}
    # data.epochs is what the proxy's epochs point to.
    assert stated == {*DECIDES, *NEUTRAL} - {"proxy.epochs"}
    base = zerocost().benchmark
    assert base.startswith("digits-synflow-")
    for key, value in {**DECIDES, **NEUTRAL}.items():
        changed = zerocost(f"evaluator.{key}={value}").benchmark
        assert (changed != base) == (key in DECIDES), key
    assert zerocost("data.seed=1").benchmark != base
    assert zerocost("detector.prior=0.02").benchmark != base


def test_the_reward_comes_with_the_evaluator(conf) -> None:
    assert "estimate" in conf("evaluator=zerocost").reward._target_
    assert "precision" in conf("evaluator=zerocost", "reward=ap").reward._target_


@pytest.mark.parametrize(
    ("override", "told"),
    [
        ("evaluator.score=snip", "evaluator.score=snip: it must be one of synflow"),
        ("evaluator.batch=some", "evaluator.batch=some: it must be a whole number"),
    ],
)
def test_what_cannot_be_is_said_in_one_line(zerocost, override, told) -> None:
    with pytest.raises(UserError, match=told):
        zerocost(override)
