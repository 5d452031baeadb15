"""The zero-cost evaluator: scores networks before a single step of training.

It looks at the first weights of the proxy's own training, with the proxy's loss, on one
batch of search-train; the scores themselves stand in `untrained`.
"""

import hashlib
import math
import time
from collections.abc import Callable
from dataclasses import replace
from typing import Literal, cast

import torch
from torch import Tensor, nn

from fpnbench.detect.cost import detector_cost
from fpnbench.detect.detector import Detector
from fpnbench.graph.canonical import digest
from fpnbench.graph.genotype import Genotype
from fpnbench.graph.protocols import EvaluationError
from fpnbench.graph.score import Score
from fpnbench.train.fit import Setting, build_detector, derived_seed
from fpnbench.train.module import Batch, TrainBatches, batch_loss
from fpnbench.train.proxy import ProxyTrainer
from fpnbench.train.untrained import grad_norm, jacob_cov, naswot, synflow

VERSION = 1
"""Part of the benchmark's id; raised when a change may move a score."""
Name = Literal["synflow", "grad_norm", "naswot", "jacob_cov"]


class Rows(nn.Module):
    """A detector whose output is one row of all its raw predictions an image."""

    def __init__(self, detector: Detector) -> None:
        """Take the detector; its weights are shared."""
        super().__init__()
        self.detector = detector

    def forward(self, inputs: dict[int, Tensor]) -> Tensor:
        """Return class scores, box codes and centre-ness, undecoded, (B, n)."""
        found = self.detector(inputs)
        parts = (found.logits_BAK, found.deltas_BA4, found.centerness_BA)
        return torch.cat([part.flatten(1) for part in parts if part is not None], 1)


MEASURES: dict[Name, Callable[[Detector, Batch], float]] = {
    "synflow": lambda detector, batch: synflow(Rows(detector), batch[0]),
    "grad_norm": lambda detector, batch: grad_norm(
        detector, batch_loss(detector, batch)[0]
    ),
    "naswot": lambda detector, batch: naswot(Rows(detector), batch[0]),
    "jacob_cov": lambda detector, batch: jacob_cov(Rows(detector), batch[0]),
}


class ZeroCost:
    """Scores networks without training them, as the proxy would have begun to.

    `Score.estimate` holds the score, `Score.ap` nothing. The batch is drawn as the
    first of a training is, by `seed` alone, so that all networks see the same; the
    weights are those with which the network's own training begins. All is computed on
    the CPU.

    Attributes:
        benchmark: id of all that decides a score but genotype and seed.
        epochs: 0; a score has no fidelity, whatever a proposal names.
        seed: draws the batch and the weights.
        levels: outputs that the predictor reads.
        sides: see `ProxyTrainer`; the first one is read.
        shared: yes, scores are kept for other runs.
    """

    shared = True
    epochs = 0

    def __init__(self, proxy: ProxyTrainer, score: Name, batch: int, seed: int) -> None:
        """Choose a score.

        Args:
            proxy: whose networks, data and loss are looked at; it trains nothing.
            score: which one.
            batch: images, at most those of search-train.
            seed: draws the batch and the weights.
        """
        self.seed, self.levels, self.sides = seed, proxy.levels, proxy.sides
        self._proxy, self._score, self._batch = proxy, score, batch
        data, _, _ = proxy.benchmark.rpartition("-")
        facts = repr((VERSION, score, batch, proxy.benchmark))
        self.benchmark = (
            f"{data}-{score}-{hashlib.sha256(facts.encode()).hexdigest()[:12]}"
        )

    @property
    def settings(self) -> tuple[Setting, ...]:
        """See `ProxyTrainer`; the first access fills the cache."""
        return self._proxy.settings

    def check(self, genotype: Genotype) -> None:
        """Refuse a canonical genotype that backbone or `image_px` does not fit."""
        self._proxy.check(genotype)

    def __call__(self, genotype: Genotype, epochs: int, seed: int) -> Score:
        """Score one canonical genotype; `epochs` changes nothing.

        Raises:
            EvaluationError: the score is no finite number.
            UserError: as `check`.
        """
        self.check(genotype)
        setting = self.settings[0]
        began = time.perf_counter()
        recipe = replace(setting.recipe, batch=self._batch)
        batch = next(iter(TrainBatches(setting.train, recipe, seed, 0)))
        devices = list(range(torch.cuda.device_count()))
        with torch.random.fork_rng(devices=devices):
            torch.manual_seed(derived_seed(digest(genotype), seed))
            detector = build_detector(setting, genotype)
            value = MEASURES[self._score](detector, batch)
        cost = detector_cost(
            genotype,
            setting.channels,
            setting.backbone_cost,
            cast(nn.Module, detector.head),
            setting.image_px,
        )
        # A backward pass is charged as in a training; naswot goes forward only.
        images = 1 if self._score == "synflow" else len(batch[2])
        passes = 1 if self._score == "naswot" else 3
        computed = cost.macs - setting.frozen * cost.backbone.macs
        gmacs = passes * images * computed / 1e9
        if not math.isfinite(value):
            raise EvaluationError(f"{self._score} is {value}", images, gmacs)
        return Score(
            ap=None,
            ap50=None,
            ap_s=None,
            ap_m=None,
            ap_l=None,
            loss=None,
            macs=cost.macs,
            params=cost.params,
            latency_ms=None,
            cost_s=time.perf_counter() - began,
            images=images,
            train_gmacs=gmacs,
            estimate=value,
        )
