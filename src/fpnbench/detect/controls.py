"""Ops that carry wrong information, or none, from level to level: controls of a proxy.

Whoever believes a proxy's order of pyramids believes that it sees fusion. A pyramid
that fuses what has nothing to do with the image must then come out below.
"""

import torch
from torch import Tensor, nn


class Roll(nn.Module):
    """Hands every image of a batch the map of another: of the one before it, in a ring.

    An image that is alone in its batch (the rest of a scored set, or batches of one)
    gets zeros: its own map would be fusion after all. Training batches are shuffled and
    full, so that neighbours are of one scene by chance alone; a scored set comes in its
    own order, where the next photo may well be of the same scene, but a network that
    could not learn to use the map has no use for it there either.
    """

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, H, W) -> (B, C, H, W)."""
        return x.roll(1, 0) if len(x) > 1 else torch.zeros_like(x)


class Gauss(nn.Module):
    """Replaces a map by Gaussian noise of the same mean and standard deviation.

    Both are single numbers of the whole batch: by image or channel they would tell what
    the scene holds. While training the noise is drawn from torch's global generator,
    which the evaluator seeds; a trained network gets the same draw for every batch, so
    that it scores the same whenever it is scored.
    """

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, H, W) -> (B, C, H, W), without a gradient."""
        x = x.detach()
        generator = None if self.training else torch.Generator().manual_seed(0)
        # Drawn on the processor: the same numbers whatever device computes.
        noise = torch.randn(x.shape, generator=generator, device="cpu").to(x)
        return noise * x.std(correction=0) + x.mean()
