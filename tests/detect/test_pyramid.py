"""The pyramid against independent, straightforward computations."""

import pytest
import torch
from torch import Tensor
from torch.nn import functional

from fpnbench.detect.pyramid import FeaturePyramid, Pool, Upsample, build_op
from fpnbench.graph.builder import Builder
from fpnbench.graph.errors import UserError
from fpnbench.graph.genotype import Genotype
from fpnbench.graph.ops import (
    Conv,
    GlobalPool,
    Project,
    Resample,
    Residual,
    SepConv,
    Sum,
)


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
