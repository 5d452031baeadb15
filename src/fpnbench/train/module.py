"""The Lightning module: one training of one detector, scored once at its end."""

from collections.abc import Iterator
from dataclasses import dataclass, field

import pytorch_lightning as pl
import torch
from pytorch_lightning.utilities.types import OptimizerLRSchedulerConfig
from torch import Tensor
from torch.utils.data import DataLoader, IterableDataset

from fpnbench.detect.detector import Detector
from fpnbench.detect.targets import Detections, Predictions, Targets
from fpnbench.graph.protocols import EvaluationError
from fpnbench.train.cache import CachedSet
from fpnbench.train.recipe import Recipe, make_optimizer, make_schedule

Batch = tuple[dict[int, Tensor], Targets, Tensor]
"""Inputs by level, targets, and the images' indices in their set."""


def _turn() -> slice:
    """Return which batches are this worker's."""
    info = torch.utils.data.get_worker_info()
    return slice(None) if info is None else slice(info.id, None, info.num_workers)


class TrainBatches(IterableDataset[Batch]):
    """One epoch of shuffled, randomly mirrored batches, decided by (seed, epoch)."""

    def __init__(self, data: CachedSet, recipe: Recipe, seed: int, epoch: int) -> None:
        """Draw order and flips."""
        generator = torch.Generator().manual_seed((seed * 1_000_003 + epoch) % 2**63)
        order = torch.randperm(len(data), generator=generator)
        flips = torch.rand(len(data), generator=generator) < 0.5
        batch = min(recipe.batch, len(data))
        full = len(data) // batch * batch  # batch norm wants full batches
        self._data = data
        self._batches = torch.split(order[:full], batch)
        self._flips = torch.split((flips & recipe.flip)[:full], batch)

    def __len__(self) -> int:
        """Return the number of batches."""
        return len(self._batches)

    def __iter__(self) -> Iterator[Batch]:
        """Yield the batches; several workers take turns."""
        pairs = list(zip(self._batches, self._flips, strict=True))
        for indices, flips in pairs[_turn()]:
            yield (*self._data.batch(indices, flips), indices)


class ScoreBatches(IterableDataset[Batch]):
    """A whole set in order, unmirrored."""

    def __init__(self, data: CachedSet, batch: int) -> None:
        """Divide the set into batches."""
        self._data = data
        self._batches = torch.split(torch.arange(len(data)), batch)

    def __len__(self) -> int:
        """Return the number of batches."""
        return len(self._batches)

    def __iter__(self) -> Iterator[Batch]:
        """Yield the batches; several workers take turns."""
        for indices in self._batches[_turn()]:
            flips = torch.zeros(len(indices), dtype=torch.bool)
            yield (*self._data.batch(indices, flips), indices)


def batch_loss(detector: Detector, batch: Batch) -> tuple[Tensor, Predictions]:
    """Return the loss of a batch, the sum of the head's, and the predictions."""
    inputs, targets, _ = batch
    predictions = detector(inputs)
    losses = detector.head.loss(predictions, targets)
    return torch.stack(list(losses.values())).sum(), predictions


@dataclass(slots=True)
class History:
    """What a training leaves behind.

    Attributes:
        trained: images trained on, each as often as it was.
        epoch_losses: mean training loss of each epoch.
        detections: of every scored image, in input pixels, by index.
        val_loss: held-out detection loss, mean over images.
    """

    trained: int = 0
    epoch_losses: list[float] = field(default_factory=list)
    detections: dict[int, Detections] = field(default_factory=dict)
    val_loss: float = float("nan")


class ProxyModule(pl.LightningModule):
    """Trains a detector by a recipe and gathers its detections on the scored set."""

    def __init__(
        self,
        detector: Detector,
        train: CachedSet,
        val: CachedSet,
        recipe: Recipe,
        epochs: int,
        seed: int,
    ) -> None:
        """Prepare a training.

        Args:
            detector: what is trained.
            train: images trained on.
            val: images scored.
            recipe: how.
            epochs: how long.
            seed: decides order and flips.
        """
        super().__init__()
        self.detector = detector
        self.history = History()
        self._train_set = train
        self._val_set = val
        self._recipe = recipe
        self._epochs = epochs
        self._seed = seed
        self._losses: list[Tensor] = []
        self._val_losses: list[tuple[Tensor, int]] = []

    def train_dataloader(self) -> DataLoader[Batch]:
        """Return this epoch's batches (the Trainer asks anew every epoch)."""
        batches = TrainBatches(
            self._train_set, self._recipe, self._seed, self.current_epoch
        )
        return self._loader(batches)

    def val_dataloader(self) -> DataLoader[Batch]:
        """Return the scored set."""
        return self._loader(ScoreBatches(self._val_set, self._recipe.batch))

    def configure_optimizers(self) -> OptimizerLRSchedulerConfig:
        """Return optimiser and per-step schedule."""
        optimizer = make_optimizer(self.detector, self._recipe)
        batches = TrainBatches(self._train_set, self._recipe, self._seed, 0)
        schedule = make_schedule(optimizer, self._recipe, len(batches) * self._epochs)
        return {
            "optimizer": optimizer,
            "lr_scheduler": {"scheduler": schedule, "interval": "step"},
        }

    def training_step(self, batch: Batch, _: int) -> Tensor:
        """Return the loss of a batch."""
        loss, _predictions = batch_loss(self.detector, batch)
        self._losses.append(loss.detach())
        self.history.trained += len(batch[2])
        return loss

    def on_train_epoch_end(self) -> None:
        """Note the epoch's mean loss.

        Raises:
            EvaluationError: it is not finite.
        """
        mean = float(torch.stack(self._losses).mean())
        self._losses.clear()
        self.history.epoch_losses.append(mean)
        self._check(mean, f"training loss of epoch {self.current_epoch + 1}")

    def validation_step(self, batch: Batch, _: int) -> None:
        """Score a batch."""
        loss, predictions = batch_loss(self.detector, batch)
        indices = batch[2].tolist()
        self._val_losses.append((loss.detach(), len(indices)))
        found = self.detector.head.detect(predictions)
        for index, detections in zip(indices, found, strict=True):
            self.history.detections[index] = detections.to("cpu")

    def on_validation_epoch_end(self) -> None:
        """Note the held-out loss.

        Raises:
            EvaluationError: it is not finite.
        """
        total = sum(float(loss) * count for loss, count in self._val_losses)
        self.history.val_loss = total / sum(count for _, count in self._val_losses)
        self._check(self.history.val_loss, "held-out loss")

    def transfer_batch_to_device(
        self, batch: Batch, device: torch.device, _: int
    ) -> Batch:
        """Move a batch; targets are a value of ours, which Lightning does not know."""
        inputs, targets, indices = batch
        moved = {level: x.to(device) for level, x in inputs.items()}
        return moved, targets.to(device), indices

    def _loader(self, batches: IterableDataset[Batch]) -> DataLoader[Batch]:
        workers = self._recipe.workers
        return DataLoader(batches, batch_size=None, num_workers=workers)

    @staticmethod
    def _check(value: float, what: str) -> None:
        if not torch.isfinite(torch.tensor(value)):
            raise EvaluationError(f"{what} is {value}")
