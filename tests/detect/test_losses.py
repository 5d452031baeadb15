"""Losses against hand-computed cases and torchvision."""

import math

import torch
from torchvision.ops import sigmoid_focal_loss

from fpnbench.detect.losses import count, focal_loss, huber_loss


def test_focal_loss_by_hand() -> None:
    """Two anchors, two classes, probabilities 0.8 / 0.5 and 0.1 / 0.5."""
    logits = torch.tensor([[[0.8, 0.5], [0.1, 0.5]]]).logit()
    loss = focal_loss(logits, torch.tensor([[0, -1]]), alpha=0.25, gamma=2.0)
    by_hand = (
        0.25 * 0.2**2 * -math.log(0.8)  # the class of the first anchor
        + 0.75 * 0.5**2 * -math.log(0.5)  # its other class
        + 0.75 * 0.1**2 * -math.log(0.9)  # background
        + 0.75 * 0.5**2 * -math.log(0.5)
    )
    assert math.isclose(loss.item(), by_hand, rel_tol=1e-5)


def test_focal_loss_and_slope_equal_torchvisions_without_ignored_anchors() -> None:
    g = torch.Generator().manual_seed(0)
    logits = (torch.randn(2, 30, 4, generator=g) * 4).requires_grad_()
    classes = torch.randint(-2, 4, (2, 30), generator=g)
    ours = focal_loss(logits, classes, alpha=0.25, gamma=1.5)
    kept = classes != -2
    wanted = torch.nn.functional.one_hot(classes.clamp(min=0), 4).float()
    wanted *= (classes >= 0).unsqueeze(-1)
    theirs = sigmoid_focal_loss(logits[kept], wanted[kept], 0.25, 1.5, reduction="sum")
    theirs = theirs / (classes >= 0).sum()
    assert torch.allclose(ours, theirs)
    slopes = [torch.autograd.grad(loss, logits)[0] for loss in (ours, theirs)]
    assert torch.allclose(*slopes, atol=1e-6)
    assert slopes[0][~kept].abs().max() == 0


def test_focal_loss_of_certain_logits_is_finite() -> None:
    logits = torch.tensor([[[200.0, -200.0]]], requires_grad=True)
    loss = focal_loss(logits, torch.tensor([[1]]), alpha=0.25, gamma=1.5)
    (slope,) = torch.autograd.grad(loss, logits)
    assert loss.isfinite()
    assert slope.isfinite().all()


def test_huber_loss_by_hand() -> None:
    """Errors 0.05 (square), 0.3 (line) and two zeros; the other anchor is negative."""
    deltas = torch.tensor([[[0.05, 0.3, 0.0, 0.0], [9.0, 9.0, 9.0, 9.0]]])
    loss = huber_loss(
        deltas, torch.zeros(1, 2, 4), torch.tensor([[True, False]]), delta=0.1
    )
    by_hand = (0.05**2 / 2 + 0.1 * (0.3 - 0.1 / 2)) / 4
    assert math.isclose(loss.item(), by_hand, rel_tol=1e-5)


def test_nothing_positive_costs_no_box_and_divides_by_one() -> None:
    classes = torch.tensor([[-1, -2]])
    deltas = torch.ones(1, 2, 4, requires_grad=True)
    loss = huber_loss(deltas, torch.full((1, 2, 4), math.nan), classes >= 0, delta=0.1)
    assert loss == 0
    assert torch.autograd.grad(loss, deltas)[0].abs().max() == 0
    assert count(classes) == 1
    assert count(torch.tensor([[3, 0, -1], [-2, 5, -1]])) == 3
