"""Train one network and score it: the heart of every real evaluation."""

import hashlib
import logging
import time
import warnings
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import cast

import pytorch_lightning as pl
import torch
from torch import nn

from fpnbench.detect.backbone import Backbone
from fpnbench.detect.cost import PartCost, detector_cost
from fpnbench.detect.detector import Detector
from fpnbench.detect.head import Head
from fpnbench.detect.pyramid import FeaturePyramid
from fpnbench.detect.targets import Detections
from fpnbench.graph.canonical import digest
from fpnbench.graph.errors import UserError
from fpnbench.graph.genotype import Genotype
from fpnbench.graph.protocols import EvaluationError
from fpnbench.graph.score import Checkpoint, Score
from fpnbench.train.cache import CachedSet
from fpnbench.train.module import History, ProxyModule
from fpnbench.train.recipe import Recipe
from fpnbench.train.scoring import coco_ap

MakeHead = Callable[..., Head]
"""Called with in_channels, num_classes, levels and image_px."""
MakeBackbone = Callable[[], Backbone]


@dataclass(frozen=True, slots=True, eq=False)
class Setting:
    """Everything of an evaluation but the network, its length and its seed.

    Attributes:
        train: images trained on.
        val: images scored.
        backbone: makes a trained backbone, random weights drawn by the trial's seed.
        backbone_cost: MACs and parameters of the backbone.
        channels: of each backbone level.
        frozen: whether the sets hold a frozen backbone's maps.
        head: makes the predictor.
        levels: outputs the predictor reads.
        recipe: how to train.
        image_px: side of the square input.
        accelerator: of Lightning's Trainer.
    """

    train: CachedSet
    val: CachedSet
    backbone: MakeBackbone
    backbone_cost: PartCost
    channels: Mapping[int, int]
    frozen: bool
    head: MakeHead
    levels: tuple[int, ...]
    recipe: Recipe
    image_px: int
    accelerator: str


@dataclass(frozen=True, slots=True, eq=False)
class Trained:
    """A trained network and how it did on the scored set.

    Attributes:
        detector: with its final weights.
        score: AP, cost and curve.
        detections: of every scored image, boxes in pixels of the stored image.
    """

    detector: Detector
    score: Score
    detections: list[Detections]


def train_and_score(
    setting: Setting, genotype: Genotype, epochs: int, seed: int
) -> Trained:
    """Train a canonical genotype for `epochs` and score it.

    Weights, order and flips are decided by the genotype's key and `seed` alone.

    Raises:
        EvaluationError: a loss is not finite, or anything else went wrong in training.
        UserError: backbone or predictor do not fit the pyramid.
    """
    began = time.perf_counter()
    own_seed = derived_seed(digest(genotype), seed)
    devices = list(range(torch.cuda.device_count()))
    with torch.random.fork_rng(devices=devices):
        torch.manual_seed(own_seed)
        detector = build_detector(setting, genotype)
        cost = detector_cost(
            genotype,
            setting.channels,
            setting.backbone_cost,
            cast(nn.Module, detector.head),
            setting.image_px,
        )
        computed = cost.macs - setting.frozen * cost.backbone.macs
        history = _fit(setting, detector, epochs, own_seed, computed)
    found = _in_originals(setting, history)
    ap = coco_ap(setting.val.dataset, found)
    seconds = time.perf_counter() - began
    score = Score(
        ap=ap["ap"] or 0.0,
        ap50=ap["ap50"],
        ap_s=ap["ap_s"],
        ap_m=ap["ap_m"],
        ap_l=ap["ap_l"],
        loss=history.val_loss,
        macs=cost.macs,
        params=cost.params,
        latency_ms=None,
        cost_s=seconds,
        images=history.trained + len(setting.val),
        train_gmacs=_gmacs(computed, history),
        curve=_curve(history, ap["ap"], seconds),
    )
    return Trained(detector, score, found)


def detect_all(setting: Setting, detector: Detector) -> list[Detections]:
    """Return a trained detector's detections on every scored image.

    Boxes are in pixels of the stored image.
    """
    module = ProxyModule(detector, setting.val, setting.val, setting.recipe, 1, 0)
    with quiet():
        _trainer(setting, 1).validate(module, verbose=False)
    return _in_originals(setting, module.history)


def derived_seed(key: str, seed: int) -> int:
    """Return the seed of one training, from the network's key and the evaluator's."""
    text = f"{key} {seed}"
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:7], "big")


def quiet_lightning() -> None:
    """Let Lightning speak only of errors; the search has its own progress line."""
    for name in ("pytorch_lightning", "lightning.pytorch", "lightning_fabric"):
        logging.getLogger(name).setLevel(logging.ERROR)


def build_detector(setting: Setting, genotype: Genotype) -> Detector:
    """Build a network with weights from torch's global generator.

    Raises:
        UserError: backbone or predictor do not fit the pyramid.
    """
    backbone = None if setting.frozen else setting.backbone()
    pyramid = FeaturePyramid(genotype, setting.channels)
    head = build_head(setting, pyramid.out_channels)
    detector = Detector(backbone, pyramid, head)
    return detector.to(memory_format=torch.channels_last)


def build_head(setting: Setting, channels: Mapping[int, int]) -> Head:
    """Build the predictor of a pyramid whose output levels have these channels."""
    return setting.head(
        in_channels=channels,
        num_classes=len(setting.train.dataset.categories),
        levels=tuple(level for level in setting.levels if level in channels),
        image_px=setting.image_px,
    )


def _fit(
    setting: Setting, detector: Detector, epochs: int, seed: int, macs: int
) -> History:
    """Train; an error carries what was computed, at `macs` an image, until then."""
    module = ProxyModule(
        detector, setting.train, setting.val, setting.recipe, epochs, seed
    )
    history = module.history
    try:
        with quiet():
            _trainer(setting, epochs).fit(module)
    except UserError:
        raise
    except Exception as error:
        kind = type(error).__name__
        reason = (
            str(error) if isinstance(error, EvaluationError) else f"{kind}: {error}"
        )
        images = history.trained + len(history.detections)
        raise EvaluationError(reason, images, _gmacs(macs, history)) from error
    return history


def _gmacs(macs: int, history: History) -> float:
    return macs * (3 * history.trained + len(history.detections)) / 1e9


def _in_originals(setting: Setting, history: History) -> list[Detections]:
    return [
        setting.val.to_original(history.detections[index], index)
        for index in range(len(setting.val))
    ]


@contextmanager
def quiet() -> Iterator[None]:
    """Silence Lightning's advice while a training runs."""
    quiet_lightning()
    with warnings.catch_warnings():
        # Advice about workers and logging intervals, which are our own choice here.
        warnings.filterwarnings("ignore", module="pytorch_lightning.*")
        warnings.filterwarnings("ignore", ".*does not have many workers.*")
        yield


def _trainer(setting: Setting, epochs: int) -> pl.Trainer:
    return pl.Trainer(
        accelerator=setting.accelerator,
        devices=1,
        max_epochs=epochs,
        check_val_every_n_epoch=epochs,
        num_sanity_val_steps=0,
        reload_dataloaders_every_n_epochs=1,
        gradient_clip_val=setting.recipe.clip or None,
        logger=False,
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
    )


def _curve(
    history: History, ap: float | None, seconds: float
) -> tuple[Checkpoint, ...]:
    """Return a point an epoch; AP is known at the end alone."""
    epochs = len(history.epoch_losses)
    return tuple(
        Checkpoint(
            epoch,
            loss,
            ap if epoch == epochs else None,
            seconds * epoch / epochs,
        )
        for epoch, loss in enumerate(history.epoch_losses, 1)
    )
