"""The proxy task: scores every sampled genotype by COCO AP under one protocol."""

import hashlib
import json
from collections.abc import Callable, Mapping
from dataclasses import replace
from functools import cached_property, partial
from pathlib import Path
from typing import Any, Literal

import torch
from torch import Tensor

from fpnbench.detect.cost import backbone_cost
from fpnbench.detect.targets import Detections
from fpnbench.graph.errors import UserError
from fpnbench.graph.genotype import Genotype
from fpnbench.graph.protocols import EvaluationError
from fpnbench.graph.score import Score
from fpnbench.graph.trace import check_fit
from fpnbench.train.cache import CachedSet, cache_features, cache_images
from fpnbench.train.data import DataSource, DetectionSet, search_split
from fpnbench.train.fit import (
    MakeBackbone,
    MakeHead,
    Setting,
    Trained,
    build_detector,
    detect_all,
    train_and_score,
)
from fpnbench.train.folds import Sides, grouped_folds, joined, together
from fpnbench.train.recipe import Recipe
from fpnbench.train.records import Records, match

VERSION = 2
"""Of the training code: raised when a change may move a score; part of `benchmark`."""

Progress = Callable[[str, int, int], None]
"""Told what is prepared, how much of it is done, and how much there is."""
Accelerator = Literal["auto", "cpu", "gpu", "cuda", "mps"]
Keep = Callable[[Genotype, int, int, bytes], None]
"""Given genotype, epochs, seed and the packed `Records` of a score."""


class ProxyTrainer:
    """Trains a network on search-train and scores it on search-val.

    Both are parts of the training split, read at construction, so that what is wrong
    with them is said at once; the feature cache is filled by the first evaluation.

    Attributes:
        benchmark: digest of all that decides a score but genotype, epochs and seed.
        epochs: fidelity used when a proposal names none.
        seed: the evaluator's seed.
        levels: outputs that the detector reads.
        sides: the set trained on and the set scored, of every fold (usually one).
        records: whether detections are made into `Records` and given to `keep`.
        keep: what takes them; set by whoever has a place for them.
        shared: yes, scores are kept for other runs.
    """

    shared = True
    keep: Keep

    def __init__(
        self,
        source: DataSource,
        held_out: float,
        folds: int | None,
        split_seed: int,
        backbone: MakeBackbone,
        head: MakeHead,
        levels: tuple[int, ...],
        recipe: Recipe,
        image_px: int,
        epochs: int,
        seed: int,
        cache: str,
        accelerator: Accelerator,
        threads: int | None,
        records: bool,
        progress: Progress = lambda what, done, total: None,
    ) -> None:
        """Read the data.

        Args:
            source: the data set.
            held_out: share (below 1) or number of train's images that are search-val.
            folds: score all of train, in so many parts, instead of one search-val;
                `held_out` says nothing then.
            split_seed: draws search-val, or the parts.
            backbone: makes the backbone.
            head: makes the predictor; its settings are part of the benchmark.
            levels: outputs that the predictor reads, as far as a genotype has them.
            recipe: how to train.
            image_px: side of the square input.
            epochs: fidelity used when a proposal names none.
            seed: the evaluator's seed.
            cache: folder of feature caches.
            accelerator: of Lightning's Trainer; gpu is cuda or mps.
            threads: CPU threads of torch, None for torch's own choice.
            records: whether the detections of every score are wanted, see `keep`.
            progress: told how far the cache is.

        Raises:
            UserError: data, backbone or cache folder are not as they must be, or the
                accelerator is not there.
        """
        gpus = {
            "cuda": torch.cuda.is_available(),
            "mps": torch.backends.mps.is_available(),
        }
        if not (gpus | {"gpu": any(gpus.values())}).get(accelerator, True):
            raise UserError(f"evaluator.accelerator={accelerator}: there is none here")
        if threads is not None:
            torch.set_num_threads(threads)
        self.epochs, self.seed, self.levels = epochs, seed, tuple(levels)
        self._source = source
        self._cache = Path(cache)
        self._progress = progress
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(0)  # a frozen one of random weights is always the same
            self._backbone = backbone()
        self._make_backbone, self._head, self._recipe = backbone, head, recipe
        self._image_px, self._accelerator = image_px, accelerator
        self.records, self.keep = records, _forget
        train = source.split("train")
        if folds is None:
            self._use(search_split(train, split_seed, held_out))
        else:
            self._use(*grouped_folds(train, split_seed, folds))

    def check(self, genotype: Genotype) -> None:
        """Refuse a canonical genotype that backbone or `image_px` does not fit."""
        check_fit(genotype, self._backbone.channels, self._image_px)

    def __call__(self, genotype: Genotype, epochs: int, seed: int) -> Score:
        """Train and score one canonical genotype.

        Raises:
            EvaluationError: it could not be trained; carries the cost of all folds.
            UserError: as `check`, before the cache is filled.
        """
        score, dataset, found = self._score(genotype, epochs, seed)
        if self.records:
            self.keep(genotype, epochs, seed, match(dataset, found).pack())
        return score

    def with_records(
        self, genotype: Genotype, epochs: int, seed: int
    ) -> tuple[Score, Records]:
        """Return the records beside the score, whatever `records` says."""
        score, dataset, found = self._score(genotype, epochs, seed)
        return score, match(dataset, found)

    def train(self, genotype: Genotype, epochs: int, seed: int) -> Trained:
        """Train one canonical genotype and keep its weights; the first fold alone."""
        return train_and_score(self.settings[0], genotype, epochs, seed)

    def detections(
        self, genotype: Genotype, weights: Mapping[str, Tensor]
    ) -> list[Detections]:
        """Return what a network with these weights detects on the scored set.

        Raises:
            RuntimeError: the weights are of another network or detector.
        """
        with torch.random.fork_rng():
            detector = build_detector(self.settings[0], genotype)
        detector.load_state_dict(dict(weights))
        return detect_all(self.settings[0], detector)

    def for_final(self, part: str) -> "ProxyTrainer":
        """Return the same protocol trained on all of train and scored on `part`.

        No search can reach this: it scores on search-val alone.

        Args:
            part: `val`, or `test` for a published table.
        """
        other = object.__new__(ProxyTrainer)
        other.__dict__.update(self.__dict__)
        other.__dict__.pop("settings", None)
        sides = self._source.split("train"), self._source.split(part)  # type: ignore[arg-type]
        other._use(sides)
        return other

    def _score(
        self, genotype: Genotype, epochs: int, seed: int
    ) -> tuple[Score, DetectionSet, list[Detections]]:
        """Return the score, and of all folds the scored photos and what was found."""
        self.check(genotype)
        parts: list[Trained] = []
        try:
            for setting in self.settings:
                parts.append(train_and_score(setting, genotype, epochs, seed))
        except EvaluationError as error:
            error.images += sum(part.score.images for part in parts)
            error.gmacs += sum(part.score.train_gmacs for part in parts)
            raise
        dataset, found = together([side for _, side in self.sides], parts)
        return joined(dataset, found, parts), dataset, found

    def _use(self, *sides: Sides) -> None:
        self.sides = sides
        self.benchmark = self._identify()

    @cached_property
    def settings(self) -> tuple[Setting, ...]:
        """Everything an evaluation needs, a fold each; the first fills the cache."""
        return tuple(self._setting(*map(self._cached, sides)) for sides in self.sides)

    def _setting(self, train: CachedSet, val: CachedSet) -> Setting:
        return Setting(
            train=train,
            val=val,
            backbone=self._make_backbone,
            backbone_cost=backbone_cost(self._backbone, self._image_px),
            channels=self._backbone.channels,
            frozen=self._backbone.frozen,
            head=self._head,
            levels=self.levels,
            recipe=self._recipe,
            image_px=self._image_px,
            accelerator=self._accelerator,
        )

    def _cached(self, side: DetectionSet) -> CachedSet:
        tell = partial(self._progress, side.name)
        if self._backbone.frozen:
            gpu = self._accelerator in ("auto", "gpu", "cuda")
            gpu = gpu and torch.cuda.is_available()
            self._backbone.to("cuda" if gpu else "cpu")
            return cache_features(
                side, self._backbone, self._image_px, self._cache, tell
            )
        return cache_images(side, self._image_px, self._cache, tell)

    def _identify(self) -> str:
        """Digest data, split, backbone, detector, recipe, size and code version."""
        facts = {
            "version": VERSION,
            "data": [side.digest for sides in self.sides for side in sides],
            "backbone": [self._backbone.digest, self._backbone.frozen],
            "head": _describe(self._head),
            "levels": self.levels,
            # Workers are told apart by their speed alone.
            "recipe": repr(replace(self._recipe, workers=0)),
            "image_px": self._image_px,
        }
        text = json.dumps(facts, sort_keys=True)
        return f"{self._source.name}-{hashlib.sha256(text.encode()).hexdigest()[:12]}"


def _forget(genotype: Genotype, epochs: int, seed: int, records: bytes) -> None:
    """Keep nothing."""


def _describe(head: Any) -> str:
    """Name a partially applied head and its settings."""
    settings = sorted((key, repr(value)) for key, value in head.keywords.items())
    return f"{head.func.__module__}.{head.func.__qualname__} {settings}"
