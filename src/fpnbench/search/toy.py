"""The toy evaluator: a seeded function of the canonical graph.

For tests, demos and tuning searchers; it knows no detection. Every op at its level, and
every connected pair of them, has a Gaussian weight drawn by hashing its name with the
toy's seed. Their sum is squashed, and part of the value is what the network saves in
MACs:

    value = (1 - share) * sigmoid(gain * sum of weights / sqrt(number of weights)) +
    share / (1 + macs / macs_half)

It reads the network alone, so equal keys have equal values and unused blocks count for
nothing.
"""

import hashlib
import math
from collections.abc import Mapping, Sequence
from statistics import NormalDist

from fpnbench.graph.canonical import digest
from fpnbench.graph.genotype import Genotype, node_levels
from fpnbench.graph.ops import Op
from fpnbench.graph.score import Checkpoint, Score
from fpnbench.graph.trace import check_fit, trace

VERSION = 1
"""Part of the benchmark's id; raised when the function changes."""
GAIN = 0.6
"""Slope of the squash; the best networks of the spaces reach about .9, not its end."""
MACS_SHARE = 0.1
"""Part of the value that is given for few MACs."""
MACS_HALF = 1e8
"""MACs at which half of that part is left."""
IMAGES_PER_EPOCH = 100
"""Images that a toy training claims to have seen an epoch, and to be scored on."""
GMACS_PER_S = 100.0
"""Speed at which the claimed work is charged: about 1 s for a small pyramid."""

Place = tuple[Op, int]
"""An op and the pyramid level it works at."""


class ToyEvaluator:
    """Scores networks by the toy function, at a made-up but deterministic cost.

    Attributes:
        benchmark: `toy-` and a digest of all that decides a score but genotype, epochs
            and seed.
        epochs: fidelity used when a proposal names none.
        seed: seed of the noise.
        levels: outputs that are read.
        shared: no, asking the store would take longer.
    """

    shared = False

    def __init__(
        self,
        channels: Mapping[int, int],
        image_px: int,
        toy_seed: int,
        noise: float,
        epochs: int,
        seed: int,
        levels: Sequence[int],
    ) -> None:
        """Define the function.

        Args:
            channels: channels of each backbone level, for the MACs.
            image_px: side of the square image, for the MACs.
            toy_seed: which function, out of the family.
            noise: standard deviation of the Gaussian noise on AP, drawn anew for every
                key, epochs and seed.
            epochs: fidelity used when a proposal names none.
            seed: seed of the noise.
            levels: outputs that are read.
        """
        self.epochs, self.seed, self.levels = epochs, seed, tuple(levels)
        self._channels = {int(level): int(channels[level]) for level in channels}
        self._image_px, self._toy_seed, self._noise = image_px, toy_seed, noise
        self._weights: dict[Place | tuple[Place, Place], float] = {}
        facts = (VERSION, GAIN, MACS_SHARE, MACS_HALF, sorted(self._channels.items()))
        text = repr((*facts, image_px, toy_seed, noise, self.levels))
        self.benchmark = f"toy-{hashlib.sha256(text.encode()).hexdigest()[:12]}"

    def check(self, genotype: Genotype) -> None:
        """Refuse a canonical genotype that `channels` or `image_px` does not fit."""
        check_fit(genotype, self._channels, self._image_px)

    def __call__(self, genotype: Genotype, epochs: int, seed: int) -> Score:
        """Score one canonical genotype.

        Raises:
            UserError: as `check`.
        """
        cost = trace(genotype, self._channels, self._image_px)
        value = self._squashed(genotype, cost.macs)
        noise = 0.0
        if self._noise:
            noise = self._noise * gauss(f"{seed} {epochs} {digest(genotype)}")
        images = IMAGES_PER_EPOCH * (epochs + 1)
        gmacs = cost.macs / 1e9 * IMAGES_PER_EPOCH * (3 * epochs + 1)
        seconds = gmacs / GMACS_PER_S
        ap = min(max(value * learned(epochs) + noise, 0.0), 1.0)
        curve = []
        for epoch in sorted({max(1, epochs // 2), epochs}):
            part = ap * learned(epoch) / learned(epochs)
            curve.append(Checkpoint(epoch, 1 - part, part, seconds * epoch / epochs))
        return Score(
            ap=ap,
            ap50=None,
            ap_s=None,
            ap_m=None,
            ap_l=None,
            loss=1 - ap,
            macs=cost.macs,
            params=cost.params,
            latency_ms=None,
            cost_s=seconds,
            images=images,
            train_gmacs=gmacs,
            curve=tuple(curve),
        )

    def value(self, genotype: Genotype, epochs: int) -> float:
        """Return the AP of a canonical genotype without noise."""
        macs = trace(genotype, self._channels, self._image_px).macs
        return self._squashed(genotype, macs) * learned(epochs)

    def _squashed(self, genotype: Genotype, macs: int) -> float:
        levels = node_levels(genotype)
        places = [
            (node.op, level) for node, level in zip(genotype.nodes, levels, strict=True)
        ]
        weights = [self._weight(place) for place in places]
        for node, place in zip(genotype.nodes, places, strict=True):
            weights += [self._weight((places[i], place)) for i in node.inputs]
        # fsum is exact, so the order of nodes cannot show in the last bit.
        mean = GAIN * math.fsum(weights) / math.sqrt(len(weights))
        squashed = 1 / (1 + math.exp(-mean))
        return (1 - MACS_SHARE) * squashed + MACS_SHARE / (1 + macs / MACS_HALF)

    def _weight(self, feature: Place | tuple[Place, Place]) -> float:
        if feature not in self._weights:
            self._weights[feature] = gauss(f"{self._toy_seed} {feature!r}")
        return self._weights[feature]


def learned(epochs: int) -> float:
    """Return the part of its final AP that a toy network has after so many epochs."""
    return 1 - 0.5**epochs


def gauss(name: str) -> float:
    """Return a standard normal number that is a function of the name alone."""
    word = int.from_bytes(hashlib.sha256(name.encode()).digest()[:6])
    return NormalDist().inv_cdf((word + 0.5) / 2**48)
