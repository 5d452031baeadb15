"""The pyramid against independent, straightforward computations."""

import pytest
import torch
from torch import Tensor
from torch.nn import functional

from fpnbench.detect.cost import part_cost
from fpnbench.detect.pyramid import FeaturePyramid, Pool, Upsample, build_op
from fpnbench.graph.builder import Builder
from fpnbench.graph.errors import UserError
from fpnbench.graph.genotype import Genotype
from fpnbench.graph.ops import (
    Conv,
    GlobalPool,
    Noise,
    Project,
    Resample,
    Residual,
    Rolled,
    SepConv,
    SepProject,
    StridedConv,
    Sum,
    WeightedSum,
)
from fpnbench.graph.trace import level_sizes, trace


@pytest.fixture
def generator() -> torch.Generator:
    return torch.Generator().manual_seed(0)


def brute_force_same_pool(x: Tensor, kernel: int, stride: int) -> Tensor:
    """Max-pool with TensorFlow's SAME padding, window by window."""
    size = x.shape[-1]
    out = -(-size // stride)
    before = max((out - 1) * stride + kernel - size, 0) // 2
    result = torch.empty(*x.shape[:2], out, out)
    for i in range(out):
        for j in range(out):
            top, left = i * stride - before, j * stride - before
            window = x[:, :, max(top, 0) : top + kernel, max(left, 0) : left + kernel]
            result[:, :, i, j] = window.amax((2, 3))
    return result


@pytest.mark.parametrize("size", [8, 13, 16])
@pytest.mark.parametrize("kernel", [0, 3])
@pytest.mark.parametrize("steps", [1, 2])
def test_pooling_pads_like_same(size, kernel, steps, generator) -> None:
    x = torch.randn(2, 3, size, size, generator=generator)
    stride = 2**steps
    out = -(-size // stride)
    pool = Pool(Resample(3, 3 + steps, kernel))
    got = pool(x, {3 + steps: (out, out)})
    torch.testing.assert_close(got, brute_force_same_pool(x, kernel or stride, stride))


def test_upsampling_repeats_and_crops(generator) -> None:
    x = torch.randn(1, 2, 4, 4, generator=generator)
    got = Upsample(Resample(5, 3))(x, {3: (13, 13)})
    expected = x.repeat_interleave(4, 2).repeat_interleave(4, 3)[:, :, :13, :13]
    torch.testing.assert_close(got, expected)


def test_global_pooling_formula(generator) -> None:
    coarse = torch.randn(2, 3, 5, 5, generator=generator)
    fine = torch.randn(2, 3, 5, 5, generator=generator)
    got = build_op(GlobalPool(), [3, 3])(coarse, fine)
    for b in range(2):
        for c in range(3):
            gate = 1 / (1 + torch.exp(-coarse[b, c].max()))
            torch.testing.assert_close(got[b, c], coarse[b, c] + fine[b, c] * gate)


def test_convolutions_activate_first_and_normalise_last(generator) -> None:
    x = torch.randn(4, 6, 7, 7, generator=generator)
    conv = build_op(Conv(5, 3, "relu", bias=True), [6])
    w, b = conv[1].weight, conv[1].bias
    plain = functional.conv2d(x.clamp(min=0), w, b, padding=1)
    expected = functional.batch_norm(plain, None, None, training=True)
    torch.testing.assert_close(conv(x), expected)

    separable = build_op(SepConv(5, 5, "relu6", bias=False), [6])
    depthwise, pointwise = separable[1].weight, separable[2].weight
    plain = functional.conv2d(x.clamp(0, 6), depthwise, padding=2, groups=6)
    plain = functional.conv2d(plain, pointwise)
    expected = functional.batch_norm(plain, None, None, training=True)
    torch.testing.assert_close(separable(x), expected)


def test_projection_and_residual_are_identity_where_shapes_say_so(generator) -> None:
    x = torch.randn(2, 6, 4, 4, generator=generator)
    assert build_op(Project(6, bias=True), [6])(x) is x
    assert build_op(Project(7, bias=True), [6])(x).shape == (2, 7, 4, 4)
    residual = build_op(Residual(), [6, 6])
    torch.testing.assert_close(residual(x, x), 2 * x)
    assert residual(x, x[:, :5]) is x


@pytest.mark.parametrize("size", [8, 13])
@pytest.mark.parametrize("separable", [False, True])
def test_strided_convolutions_pad_like_same(size, separable, generator) -> None:
    x = torch.randn(2, 3, size, size, generator=generator)
    op = StridedConv(3, 4, 5, 3, "relu", bias=True, norm=False, separable=separable)
    module = build_op(op, [3])
    out = -(-size // 2)
    total = (out - 1) * 2 + 3 - size
    before = total // 2
    padded = functional.pad(x.clamp(min=0), [before, total - before] * 2)
    conv, *pointwise = [m for m in module.body if isinstance(m, torch.nn.Conv2d)]
    groups = 3 if separable else 1
    bias = None if separable else conv.bias
    expected = functional.conv2d(padded, conv.weight, bias, stride=2, groups=groups)
    for each in pointwise:
        expected = functional.conv2d(expected, each.weight, each.bias)
    assert expected.shape == (2, 5, out, out)
    torch.testing.assert_close(module(x, {4: (out, out)}), expected)


def test_weighted_sum_normalises_positive_weights(generator) -> None:
    xs = [torch.randn(2, 3, 4, 4, generator=generator) for _ in range(3)]
    module = build_op(WeightedSum(), [3, 3, 3])
    with torch.no_grad():
        module.weights.copy_(torch.tensor([2.0, -1.0, 1.0]))
    torch.testing.assert_close(module(*xs), (2 * xs[0] + xs[2]) / 3.0001)


def test_rolled_gives_every_image_the_map_of_another(generator) -> None:
    x = torch.randn(4, 3, 5, 5, generator=generator)
    got = build_op(Rolled(), [3])(x)
    came_from = [[bool((y == image).all()) for image in x].index(True) for y in got]
    assert sorted(came_from) == [0, 1, 2, 3]
    assert all(i != j for i, j in enumerate(came_from))


def test_an_image_alone_in_its_batch_gets_nothing_instead_of_its_own_map(
    generator,
) -> None:
    x = torch.randn(1, 3, 5, 5, generator=generator)
    torch.testing.assert_close(build_op(Rolled(), [3])(x), torch.zeros(1, 3, 5, 5))


def test_noise_keeps_mean_and_deviation_and_nothing_else(generator) -> None:
    x = 2.5 + 3 * torch.randn(4, 8, 64, 64, generator=generator)
    x.requires_grad_()
    with torch.random.fork_rng():
        torch.manual_seed(1)
        first, second = build_op(Noise(), [8])(x), build_op(Noise(), [8])(x)
        torch.manual_seed(1)
        again = build_op(Noise(), [8])(x)
    # 131 072 numbers of sd 3: the standard error of mean and sd is below .01.
    assert float(first.mean()) == pytest.approx(2.5, abs=0.05)
    assert float(first.std()) == pytest.approx(3.0, abs=0.05)
    torch.testing.assert_close(first, again)
    for other in (second, x):
        together = torch.stack([first.flatten(), other.flatten().detach()])
        assert abs(float(torch.corrcoef(together)[0, 1])) < 0.02
    assert not first.requires_grad


def test_noise_tells_no_image_or_channel_apart(generator) -> None:
    """Their own means would carry what the scene holds from level to level."""
    x = torch.randn(4, 8, 64, 64, generator=generator)
    x[0] += 10
    x[:, 3] += 10
    got = build_op(Noise(), [8])(x).mean((2, 3))
    # sd of all is about 5.5, of a mean of 4096 numbers .09
    assert float((got - x.mean()).abs().max()) < 0.5


def test_noise_of_a_trained_network_is_the_same_whenever_it_is_scored(
    generator,
) -> None:
    x = torch.randn(2, 3, 5, 5, generator=generator)
    module = build_op(Noise(), [3]).eval()
    with torch.random.fork_rng():
        torch.manual_seed(1)
        state = torch.get_rng_state()
        first = module(x)
        torch.testing.assert_close(torch.get_rng_state(), state)
        torch.manual_seed(2)
        torch.testing.assert_close(module(x), first)
    assert not torch.equal(first[0], first[1])


@pytest.mark.parametrize("image_px", [64, 100])
def test_ops_of_hand_made_pyramids_cost_what_torch_counts(image_px) -> None:
    b = Builder()
    c3, c4 = b.input(3), b.input(4)
    p4 = b.add(SepProject(6, bias=True), c4)
    down = [
        b.strided(c3, StridedConv(3, 4, 6, 3, "relu", True, norm, separable))
        for norm in (False, True)
        for separable in (False, True)
    ]
    p5 = b.strided(p4, StridedConv(4, 5, 6, 3, "none", bias=False))
    p5 = b.add(Noise(), b.add(Rolled(), p5))
    genotype = b.build({4: b.add(WeightedSum(), p4, *down), 5: p5}, 1)
    channels = {3: 3, 4: 5}
    assert check_against_torch(genotype, channels, image_px)


def check_against_torch(genotype, channels, image_px) -> bool:
    traced, sizes = trace(genotype, channels, image_px), level_sizes(image_px)
    pyramid = FeaturePyramid(genotype, channels)
    feats = {lv: torch.zeros(1, c, *sizes(lv)) for lv, c in channels.items()}
    cost = part_cost(pyramid, feats)
    return (traced.macs, traced.params) == (cost.macs, cost.params)


def diamond() -> Genotype:
    """A small pyramid with every kind of resampling: P3 and P4 out of C3 and C4."""
    b = Builder()
    c3, c4 = b.input(3), b.input(4)
    p3, p4 = (b.add(Project(4, bias=True), x) for x in (c3, c4))
    merged = b.add(Sum(), p3, b.resample(p4, 3))
    out3 = b.add(Conv(4, 3, "relu", bias=True), merged)
    pooled = b.add(GlobalPool(), p4, b.resample(out3, 4))
    out4 = b.add(Residual(), b.add(SepConv(4, 3, "relu6", bias=False), pooled), p4)
    return b.build({3: out3, 4: out4}, 1)


def test_pyramid_equals_the_same_steps_by_hand(generator) -> None:
    with torch.random.fork_rng():
        torch.manual_seed(1)
        pyramid = FeaturePyramid(diamond(), {3: 3, 4: 5}).eval()
    c3 = torch.randn(2, 3, 8, 8, generator=generator)
    c4 = torch.randn(2, 5, 4, 4, generator=generator)
    modules = {i: module for i, module in enumerate(pyramid.ops)}
    kinds = [type(node.op).__name__ for node in pyramid.genotype.nodes]
    first, second = (i for i, kind in enumerate(kinds) if kind == "Project")
    p3, p4 = modules[first](c3), modules[second](c4)
    up = p4.repeat_interleave(2, 2).repeat_interleave(2, 3)
    out3 = modules[kinds.index("Conv")](p3 + up)
    down = functional.max_pool2d(out3, 2)
    pooled = p4 + down * p4.amax((2, 3), keepdim=True).sigmoid()
    out4 = modules[kinds.index("SepConv")](pooled) + p4
    outputs = pyramid({3: c3, 4: c4})
    torch.testing.assert_close(outputs[3], out3)
    torch.testing.assert_close(outputs[4], out4)


def test_backbone_without_a_level_is_refused() -> None:
    with pytest.raises(UserError, match=r"\[3, 4\].*\[4\]"):
        FeaturePyramid(diamond(), {4: 5})
