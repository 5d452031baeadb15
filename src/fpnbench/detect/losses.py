"""Losses shared by the detectors. Letters as in `targets`."""

import torch
from torch import Tensor
from torch.nn import functional as F

from fpnbench.detect.targets import BACKGROUND, IGNORED


def focal_loss(
    logits_BAK: Tensor, classes_BA: Tensor, *, alpha: float, gamma: float
) -> Tensor:
    """Return the sum of sigmoid focal losses divided by the number of positives.

    FL(p) = -alpha_t (1 - p_t)^gamma log p_t

    Args:
        logits_BAK: class scores before the sigmoid.
        classes_BA: class 0..K-1, -1 background, -2 ignored.
        alpha: weight of positives; negatives weigh 1 - alpha.
        gamma: how fast well-classified anchors lose weight.

    Source: Lin et al. 2017, equation 5 (arXiv 1708.02002).
    Differs: normalised by max(positives, 1), not by positives + 1 as Google does.
    """
    classes = torch.arange(logits_BAK.shape[-1], device=logits_BAK.device)
    positive_BAK = classes_BA.unsqueeze(-1) == classes
    # p_t = sigmoid(z) with z = the logit, its sign turned for negatives.
    z_BAK = torch.where(positive_BAK, logits_BAK, -logits_BAK)
    weight_BAK = torch.where(positive_BAK, alpha, 1 - alpha)
    loss_BAK = -weight_BAK * torch.sigmoid(-z_BAK).pow(gamma) * F.logsigmoid(z_BAK)
    loss_BA = loss_BAK.sum(-1) * (classes_BA != IGNORED)
    return loss_BA.sum() / count(classes_BA)


def huber_loss(
    deltas_BA4: Tensor, targets_BA4: Tensor, positive_BA: Tensor, *, delta: float
) -> Tensor:
    """Return the mean Huber loss over the four codes of positive anchors.

    Args:
        deltas_BA4: predicted codes.
        targets_BA4: wanted codes; read where positive.
        positive_BA: which anchors count, bool.
        delta: error at which the square turns into a line of slope `delta`.

    Source: Google's RetinaNet release, `losses.py` (normaliser 4 x positives).
    """
    wanted = torch.where(positive_BA.unsqueeze(-1), targets_BA4, deltas_BA4.detach())
    total = F.huber_loss(deltas_BA4, wanted, reduction="sum", delta=delta)
    return total / (4 * positive_BA.sum().clamp(min=1))


def count(classes_BA: Tensor) -> Tensor:
    """Return the number of positives, at least 1, without leaving the device."""
    return (classes_BA > BACKGROUND).sum().clamp(min=1)
