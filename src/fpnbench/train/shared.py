"""Networks scored by shared weights: how one is cut out, normalised, scored, charged.

The training itself is NNI's (`searchers/supernet.py`). Loss, data and scoring are those
of the proxy task.
"""

import time
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import partial
from itertools import islice
from typing import Literal, cast, get_args

import torch
from torch import nn

from fpnbench.detect.cost import part_cost
from fpnbench.detect.detector import Detector
from fpnbench.detect.shared import SharedDetector, SharedPyramid, without_statistics
from fpnbench.detect.shared_bank import Kernel
from fpnbench.graph.decision import Choices
from fpnbench.graph.errors import UserError
from fpnbench.graph.genotype import Genotype
from fpnbench.graph.protocols import Space
from fpnbench.graph.sharing import Share
from fpnbench.graph.trace import level_sizes, trace
from fpnbench.train.fit import Setting, build_head
from fpnbench.train.module import Batch, ScoreBatches, TrainBatches, batch_loss
from fpnbench.train.proxy import ProxyTrainer
from fpnbench.train.scoring import coco_ap

Sampling = Literal["uniform", "fair"]


@dataclass(frozen=True, slots=True)
class SupernetSettings:
    """How a supernet is trained.

    Attributes:
        epochs: of search-train; a complete schedule of the recipe.
        share: which nodes use the same weights, see `graph.sharing`.
        sampling: a path a step, by independent uniform draws, or fair: of each decision
            every option once in a cycle, in shuffled order (after Chu et al. 2021,
            FairNAS, arXiv 1907.01845, which steps once a cycle).
        kernel: how kernels of different size share, see `detect.shared`.
    """

    epochs: int
    share: Share
    sampling: Sampling
    kernel: Kernel

    def __post_init__(self) -> None:
        """Refuse other values.

        Raises:
            UserError: names the value and what is allowed.
        """
        if isinstance(self.epochs, bool) or self.epochs < 1:
            raise UserError(f"supernet: epochs={self.epochs} must be >= 1")
        words = {"share": Share, "sampling": Sampling, "kernel": Kernel}
        for name, kind in words.items():
            if getattr(self, name) not in get_args(kind):
                allowed = ", ".join(get_args(kind))
                value = getattr(self, name)
                raise UserError(f"supernet: {name}={value} is not one of {allowed}")


@dataclass(frozen=True, slots=True)
class PathScore:
    """What shared weights say of one network.

    Attributes:
        ap: on search-val; `loss`: held-out detection loss, mean over images.
        macs: of the whole detector, as `Score.macs`.
        seconds: for norms and scoring; likewise `images` and `gmacs`, in units of 1e9.
    """

    ap: float
    loss: float
    macs: int
    seconds: float
    images: int
    gmacs: float


def build_shared(
    setting: Setting, space: Space, settings: SupernetSettings
) -> SharedDetector:
    """Build a space's detector with weights from torch's global generator.

    Raises:
        UserError: the space has no decisions, or backbone or predictor do not fit.
    """
    backbone = None if setting.frozen else setting.backbone()
    pyramid = SharedPyramid(space, setting.channels, settings.share, settings.kernel)

    head = partial(build_head, setting)
    shared = SharedDetector(backbone, pyramid, head, setting.levels)
    return shared.to(memory_format=torch.channels_last)


class PathCosts:
    """Multiply-accumulates of networks, predictors counted once a width."""

    def __init__(self, setting: Setting) -> None:
        """Count nothing yet."""
        self._setting = setting
        self._heads: dict[tuple[tuple[int, int], ...], int] = {}

    def __call__(self, form: Genotype) -> tuple[int, int]:
        """Return MACs an image of the whole detector, and what of it is computed.

        Args:
            form: the live part of a genotype, its outputs those that are read.
        """
        setting = self._setting
        pyramid = trace(form, setting.channels, setting.image_px)
        widths = {level: pyramid.rows[i].shape[0] for level, i in form.outputs}
        key = tuple(sorted(widths.items()))
        if key not in self._heads:
            sizes = level_sizes(setting.image_px)
            feats = {lv: torch.empty(1, n, *sizes(lv), device="meta") for lv, n in key}
            with torch.random.fork_rng(devices=[]):
                head = cast(nn.Module, build_head(setting, widths))
            self._heads[key] = part_cost(head, feats).macs
        trained = pyramid.macs + self._heads[key]
        backbone = setting.backbone_cost.macs
        return trained + backbone, trained + (0 if setting.frozen else backbone)


def shared_scores(
    evaluator: ProxyTrainer,
    space: Space,
    weights: SharedDetector,
    choices: Iterable[Choices],
    norm_batches: int,
) -> Iterator[PathScore]:
    """Score choice vectors by shared weights, one after the other.

    With folds, on the first one.

    Args:
        evaluator: whose task it is.
        space: of the vectors.
        weights: trained.
        choices: the vectors.
        norm_batches: batches of search-train by which the statistics of batch norms are
            recalculated for each network; 0: those of the scored batch itself.
    """
    setting = evaluator.settings[0]
    costs = PathCosts(setting)
    for vector in choices:
        began = time.perf_counter()
        form = weights.take(space.decode(vector))
        with torch.random.fork_rng(devices=range(torch.cuda.device_count())):
            detector = weights.extract()  # builds modules, whose weights are replaced
        detector.to(_device(setting.accelerator))
        detector.to(memory_format=torch.channels_last)
        seen = recalculate_norms(setting, detector, norm_batches)
        ap, loss = score(setting, detector)
        macs, computed = costs(form)
        images = seen + len(setting.val)
        seconds = time.perf_counter() - began
        yield PathScore(ap, loss, macs, seconds, images, computed * images / 1e9)


def recalculate_norms(setting: Setting, detector: Detector, batches: int) -> int:
    """Give a detector's batch norms the statistics of search-train; count the images.

    The plain mean over so many training batches, from nothing; with none, its norms
    will use the statistics of whatever they see.
    """
    if not batches:
        without_statistics(detector).eval()
        return 0
    for layer in detector.modules():
        if isinstance(layer, nn.BatchNorm2d):
            layer.reset_running_stats()
            layer.momentum = None
    detector.train()
    images = 0
    with torch.inference_mode():
        for batch in islice(TrainBatches(setting.train, setting.recipe, 0, 0), batches):
            inputs, _, indices = to_device(batch, _device(setting.accelerator))
            detector(inputs)
            images += len(indices)
    detector.eval()
    return images


def score(setting: Setting, detector: Detector) -> tuple[float, float]:
    """Return AP and loss of a detector in evaluation mode on search-val."""
    found, total = {}, 0.0
    with torch.inference_mode():
        for batch in ScoreBatches(setting.val, setting.recipe.batch):
            loss, predictions = batch_loss(
                detector, to_device(batch, _device(setting.accelerator))
            )
            indices = batch[2].tolist()
            total += float(loss) * len(indices)
            each = detector.head.detect(predictions)
            for index, detections in zip(indices, each, strict=True):
                kept = detections.to("cpu")
                found[index] = setting.val.to_original(kept, index)
    count = len(setting.val)
    ap = coco_ap(setting.val.dataset, [found[index] for index in range(count)])["ap"]
    return ap or 0.0, total / count


def _device(accelerator: str) -> torch.device:
    """Return where Lightning's Trainer would compute."""
    if accelerator in ("auto", "gpu", "cuda") and torch.cuda.is_available():
        return torch.device("cuda")
    mps = torch.backends.mps.is_available() and accelerator != "cpu"
    return torch.device("mps" if mps else "cpu")


def to_device(batch: Batch, device: torch.device) -> Batch:
    """Return the same batch on another device."""
    inputs, targets, indices = batch
    return {lv: x.to(device) for lv, x in inputs.items()}, targets.to(device), indices
