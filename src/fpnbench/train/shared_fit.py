"""What a supernet's training needs beside its Lightning module: data and a record."""

import os
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from math import isfinite
from pathlib import Path
from typing import Any

import pytorch_lightning as pl
import torch
from torch import Tensor
from torch.utils.data import DataLoader

from fpnbench.graph.protocols import EvaluationError
from fpnbench.train.fit import Setting
from fpnbench.train.module import Batch, TrainBatches
from fpnbench.train.shared import to_device
from fpnbench.train.shared_paths import write_table

CHECKPOINT, EPOCHS = "training.ckpt", "epochs.csv"
Progress = Callable[[str, int, int], None]
"""Told what is done, how much of it, and how much there is."""


@dataclass(frozen=True, slots=True)
class Epoch:
    """One epoch of a supernet: mean loss over its paths, and what it took."""

    number: int
    loss: float
    seconds: float
    images: int
    gmacs: float


class TrainData(pl.LightningDataModule):
    """The proxy's training batches, each epoch's own."""

    def __init__(self, setting: Setting, seed: int) -> None:
        """Keep what decides them."""
        super().__init__()
        self._setting, self._seed = setting, seed

    def train_dataloader(self) -> DataLoader[Batch]:
        """Return this epoch's batches (the Trainer asks anew every epoch)."""
        assert self.trainer is not None
        epoch = self.trainer.current_epoch
        recipe = self._setting.recipe
        batches = TrainBatches(self._setting.train, recipe, self._seed, epoch)
        return DataLoader(batches, batch_size=None, num_workers=recipe.workers)

    def val_dataloader(self) -> list[Any]:
        """Return nothing: NNI asks, a supernet is scored path by path."""
        return []

    def transfer_batch_to_device(
        self, batch: Batch, device: torch.device, _: int
    ) -> Batch:
        """Move a batch; targets are a value of ours, which Lightning does not know."""
        return to_device(batch, device)


class Record(pl.Callback):
    """Notes every epoch, and keeps a checkpoint from which a killed training goes on.

    Attributes:
        rows: the epochs so far.
    """

    def __init__(self, folder: Path | None, epochs: int, progress: Progress) -> None:
        """Start the clock.

        Args:
            folder: of checkpoint and table; None: keep nothing.
            epochs: how many there will be.
            progress: told of each.
        """
        self.rows: list[Epoch] = []
        self._folder, self._epochs, self._progress = folder, epochs, progress
        self._began = time.perf_counter()
        self._reset()

    def add(self, loss: Tensor, images: int, macs: int) -> None:
        """Note a step on so many images, of which each computes `macs` forwards."""
        self._losses.append(loss)
        self._images += images
        self._gmacs += 3 * macs * images / 1e9

    def on_train_epoch_end(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule
    ) -> None:
        """Keep the epoch.

        Raises:
            EvaluationError: its loss is not finite.
        """
        number, now = len(self.rows) + 1, time.perf_counter()
        loss = float(torch.stack(self._losses).mean())
        if not isfinite(loss):
            raise EvaluationError(f"the supernet's loss of epoch {number} is {loss}")
        seconds = now - self._began
        self.rows.append(Epoch(number, loss, seconds, self._images, self._gmacs))
        self._began = now
        self._reset()
        if self._folder is not None:
            part = self._folder / f"{CHECKPOINT}.part"
            trainer.save_checkpoint(part)
            os.replace(part, self._folder / CHECKPOINT)
            write_table(self._folder / EPOCHS, self.rows)
        self._progress("supernet, epoch", number, self._epochs)

    def state_dict(self) -> dict[str, Any]:
        """Return what the checkpoint holds of it."""
        return {"rows": [asdict(row) for row in self.rows]}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Go on after the epochs of a checkpoint."""
        self.rows = [Epoch(**row) for row in state_dict["rows"]]

    def _reset(self) -> None:
        self._losses: list[Tensor] = []
        self._images, self._gmacs = 0, 0.0
