"""Zero-cost scores as functions: what a network says of itself before any training.

Each takes a network and one batch, and is meant to be the larger the better the network
would become; none can be compared with another one. The network is any module that
returns one row of numbers an image.

Shapes: B images.
"""

import copy
import math
from collections.abc import Mapping

import torch
from torch import Tensor, nn

JACOBIAN_EPSILON = 1e-5
"""k of `jacob_cov`: Mellor et al. 2020 (arXiv 2006.04647v1)."""
RELU_KINKS: dict[type[nn.Module], tuple[float, ...]] = {
    nn.ReLU: (0.0,),
    nn.ReLU6: (0.0, 6.0),
}
"""Where an activation bends: an input's code says on which side of each it lies."""
Inputs = Mapping[int, Tensor]
"""Backbone maps by level, (B, C, H, W); or {0: images}."""


def synflow(network: nn.Module, inputs: Inputs) -> float:
    """Return the log of the synaptic flow of all convolutions.

    Flow: the sum over weights of |w * dR/dw|, R being the sum of all outputs for an
    input of ones, with the absolute values of all parameters. The log keeps the order
    and a readable size; the sum is in double precision.

    Args:
        network: takes such inputs; it is copied, not changed.
        inputs: their shapes alone matter.

    Source: Tanaka et al. 2020 (arXiv 2006.05467); as a score of networks, without
        batch norm and biases: Abdelfattah et al. 2021 (arXiv 2101.08134) and its code.
    Differs: the log; ReLU6 loses its cap, which would cut a flow that only grows.
    """
    shadow = _without_norms(copy.deepcopy(network)).double()
    with torch.no_grad():
        for parameter in shadow.parameters():
            parameter.abs_()
    ones = {
        level: torch.ones(1, *x.shape[1:], dtype=torch.double)
        for level, x in inputs.items()
    }
    weights = _kernels(shadow)
    grads = torch.autograd.grad(shadow(ones).sum(), weights, allow_unused=True)
    flow = sum(
        float((weight.detach() * grad).abs().sum())
        for weight, grad in zip(weights, grads, strict=True)
        if grad is not None
    )
    return math.log(flow) if flow > 0 else -math.inf


def grad_norm(network: nn.Module, loss: Tensor) -> float:
    """Return the Euclidean norms of the loss's gradients, summed over convolutions.

    Args:
        network: what the loss was computed with.
        loss: of one batch, with its graph.

    Source: Abdelfattah et al. 2021 and its code: a norm for each layer's weights.
    """
    grads = torch.autograd.grad(loss, _kernels(network), allow_unused=True)
    return sum(float(grad.norm()) for grad in grads if grad is not None)


def naswot(network: nn.Module, inputs: Inputs) -> float:
    """Return log |det K|: how differently the images of a batch switch the ReLUs.

    K[i, j] is the number of bits in which the codes of images i and j agree. A unit has
    one bit for each kink: whether its input is above 0; of ReLU6 also whether it is
    above 6. Without any such activation K is 0 and the score minus infinity.

    Args:
        network: takes `inputs`; batch norms by the batch's own statistics.
        inputs: B images.

    Source: Mellor et al. 2021 (ICML; later versions of arXiv 2006.04647).
    Differs: ReLU6's second bit; the paper's networks have ReLU alone.
    """
    images = len(next(iter(inputs.values())))
    kernel_BB = torch.zeros(images, images, dtype=torch.double)

    def note(module: nn.Module, operands: tuple[Tensor]) -> None:
        for kink in RELU_KINKS[type(module)]:
            # Sums of one call are whole numbers far below 2**24: exact in float32.
            code = (operands[0].flatten(1) > kink).float()
            agree_BB = code @ code.T + (1 - code) @ (1 - code).T
            kernel_BB.add_(agree_BB.double())

    found = [module for module in network.modules() if type(module) in RELU_KINKS]
    # Before the call: the detectors' activations work in place.
    handles = [module.register_forward_pre_hook(note) for module in found]
    with torch.no_grad():
        network(dict(inputs))
    for handle in handles:
        handle.remove()
    return float(torch.linalg.slogdet(kernel_BB).logabsdet)


def jacob_cov(network: nn.Module, inputs: Inputs) -> float:
    """Return how little the images' Jacobians have in common.

    -sum of log(v + k) + 1 / (v + k) over the eigenvalues v of the images' correlation
    matrix, a row of data being the gradient of the sum of all outputs with respect to
    one image's inputs. The highest value, where all v are 1, is about -B.

    Args:
        network: takes `inputs`; batch norms by the batch's own statistics.
        inputs: B images; levels that the network does not read are left out.

    Returns:
        The score; NaN where an image's Jacobian is constant.

    Source: Mellor et al. 2020 (arXiv 2006.04647v1); Abdelfattah et al. 2021.
    """
    leaves = {level: x.clone().requires_grad_() for level, x in inputs.items()}
    total = network(leaves).sum()
    grads = torch.autograd.grad(total, list(leaves.values()), allow_unused=True)
    rows = [grad.flatten(1).double() for grad in grads if grad is not None]
    correlation_BB = torch.corrcoef(torch.cat(rows, 1))
    if not correlation_BB.isfinite().all():
        return math.nan
    shifted = torch.linalg.eigvalsh(correlation_BB) + JACOBIAN_EPSILON
    return -float((shifted.log() + 1 / shifted).sum())


def _kernels(network: nn.Module) -> list[Tensor]:
    """Return the weights of all convolutions and linear layers, without biases."""
    return [
        module.weight
        for module in network.modules()
        if isinstance(module, nn.Conv2d | nn.Linear)
    ]


def _without_norms(network: nn.Module) -> nn.Module:
    """Replace batch norms and ReLUs by the identity, in place.

    With positive inputs and weights a ReLU is one.
    """
    for name, child in network.named_children():
        if isinstance(child, nn.BatchNorm2d) or type(child) in RELU_KINKS:
            setattr(network, name, nn.Identity())
        else:
            _without_norms(child)
    return network
