"""The supernet's training by NNI: the only file that imports it.

One NNI supermodule holds all decisions; `RandomOneShot` has it draw a path before every
step and runs the proxy's own training step on it. No NNI experiment is made, which
would start a server: the strategy runs in NNI's sequential engine, in this process.
"""

import logging
import warnings
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any, cast

import torch
from pytorch_lightning.utilities.types import OptimizerLRSchedulerConfig
from torch import Tensor

from fpnbench.detect.detector import Detector
from fpnbench.detect.shared import SharedDetector
from fpnbench.detect.targets import Predictions
from fpnbench.graph.decision import Decision
from fpnbench.graph.errors import UserError
from fpnbench.graph.protocols import Space
from fpnbench.train.fit import Setting, derived_seed, quiet
from fpnbench.train.module import Batch, TrainBatches, batch_loss
from fpnbench.train.proxy import ProxyTrainer
from fpnbench.train.recipe import make_optimizer, make_schedule
from fpnbench.train.shared import (
    PathCosts,
    Sampling,
    SupernetSettings,
    build_shared,
)
from fpnbench.train.shared_fit import (
    CHECKPOINT,
    EPOCHS,
    Epoch,
    Progress,
    Record,
    TrainData,
)
from fpnbench.train.shared_paths import claim, draw, read_table, write_table

try:
    with warnings.catch_warnings():  # it wonders at modules of a newer torch
        warnings.simplefilter("ignore")
        import nni
        from nni.nas.evaluator.pytorch import Lightning, LightningModule, Trainer
        from nni.nas.execution import SequentialExecutionEngine
        from nni.nas.nn.pytorch import LayerChoice, ModelSpace, MutableModule
        from nni.nas.oneshot.pytorch.supermodule.base import BaseSuperNetModule
        from nni.nas.space import RawFormatModelSpace
        from nni.nas.strategy import GumbelDARTS, RandomOneShot
except ImportError as error:
    raise UserError(
        "searcher=supernet needs NNI, which is not installed: pip install -e .[nni]"
    ) from error

__all__ = ["GumbelDARTS", "LayerChoice", "LightningModule", "ModelSpace"]
WEIGHTS = "weights.pt"


class Decisions(MutableModule):  # type: ignore[misc]
    """NNI's view of a space: all its decisions, and whatever runs a path."""

    def __init__(self, decisions: Sequence[Decision], path: "SampledPath") -> None:
        super().__init__()
        for each in decisions:
            self.add_mutable(nni.choice(each.name, list(range(len(each.options)))))
        self.path = path


class SampledPath(BaseSuperNetModule):  # type: ignore[misc]
    """The supermodule that holds all decisions: draws a path, and runs it.

    Args:
        shared: all weights.
        space: what makes a network of a draw.
        sampling: the law of the draws.
        seed: of the draws.
        costs: counts a network.

    Attributes:
        macs: of the path's forward, an image.
    """

    step: Tensor

    def __init__(
        self,
        shared: SharedDetector,
        space: Space,
        sampling: Sampling,
        seed: int,
        costs: PathCosts,
    ) -> None:
        super().__init__()
        self.shared, self.macs = shared, 0
        self.register_buffer("step", torch.zeros((), dtype=torch.long))
        self._space, self._costs = space, costs
        self._draw = partial(draw, space.decisions, sampling, seed)

    def resample(self, memo: dict[str, Any]) -> dict[str, Any]:
        """Take the path of the next step; NNI calls this before every batch."""
        choices = self._draw(int(self.step))
        self.step += 1
        form = self.shared.take(self._space.decode(choices))
        self.macs = self._costs(form)[1]
        names = [decision.name for decision in self._space.decisions]
        return dict(zip(names, choices, strict=True))

    def forward(self, inputs: dict[int, Tensor]) -> Predictions:
        """Predict by the path."""
        predictions: Predictions = self.shared(inputs)
        return predictions


class Model(ModelSpace):  # type: ignore[misc]
    """The model space that NNI turns into a supernet."""

    def __init__(self, decisions: Sequence[Decision], path: SampledPath) -> None:
        super().__init__()
        self.body = Decisions(decisions, path)


def to_supernet(module: object, *_: object) -> tuple[SampledPath, bool] | None:
    """NNI's mutation hook: all decisions become one supermodule, no other hook runs."""
    return (module.path, True) if isinstance(module, Decisions) else None


class Training(LightningModule):  # type: ignore[misc]
    """The proxy's training step, on the path that NNI has drawn."""

    def __init__(
        self, path: SampledPath, setting: Setting, steps: int, record: Record
    ) -> None:
        super().__init__()
        # Not a submodule of its own: NNI hands the same one over as the model.
        self._parts = (path,)
        self._setting, self._steps, self._record = setting, steps, record

    def training_step(self, batch: Batch, _: int) -> Tensor:
        """Return the loss of a batch."""
        (path,) = self._parts
        loss, _predictions = batch_loss(cast(Detector, path.shared), batch)
        self._record.add(loss.detach(), len(batch[2]), path.macs)
        return loss

    def configure_optimizers(self) -> OptimizerLRSchedulerConfig:
        """Return the proxy's optimiser and schedule."""
        (path,) = self._parts
        optimizer = make_optimizer(path.shared, self._setting.recipe)
        schedule = make_schedule(optimizer, self._setting.recipe, self._steps)
        scheduler = {"scheduler": schedule, "interval": "step"}
        return {"optimizer": optimizer, "lr_scheduler": scheduler}  # type: ignore[typeddict-item]


def train_supernet(
    evaluator: ProxyTrainer,
    space: Space,
    settings: SupernetSettings,
    seed: int,
    folder: Path | None,
    progress: Progress = lambda what, done, total: None,
) -> tuple[SharedDetector, list[Epoch]]:
    """Train all networks of a space as one, or go on with it, or find it trained.

    Initial weights, order, flips and paths are decided by `seed`. With folds, on the
    first one.

    Args:
        evaluator: whose task it is.
        space: the space.
        settings: how.
        seed: see above.
        folder: of checkpoint and weights, not used for anything else; None: keep
            nothing.
        progress: told of every epoch.

    Returns:
        The weights, and its epochs with what they took, of earlier starts, too.

    Raises:
        UserError: the space cannot be shared; or `folder` is of another training.
        EvaluationError: the loss is not finite.
    """
    if folder is not None:
        claim(folder, evaluator, space, settings, seed)
    # First the setting: filling the feature cache is nobody's training.
    setting, own_seed = evaluator.settings[0], derived_seed("supernet", seed)
    record = Record(folder, settings.epochs, progress)
    with torch.random.fork_rng(devices=range(torch.cuda.device_count())):
        torch.manual_seed(own_seed)
        shared = build_shared(setting, space, settings)
        finished = None if folder is None else folder / WEIGHTS
        if finished is not None and finished.is_file():
            shared.load_state_dict(torch.load(finished, weights_only=True))
            return shared, read_table(finished.with_name(EPOCHS), Epoch)
        path = SampledPath(
            shared, space, settings.sampling, own_seed, PathCosts(setting)
        )
        _fit(path, setting, space, settings.epochs, own_seed, record, folder)
    if finished is not None:
        # Again: a kill may have come between the last checkpoint and its row.
        write_table(finished.with_name(EPOCHS), record.rows)
        torch.save(shared.state_dict(), finished.with_suffix(".part"))
        finished.with_suffix(".part").replace(finished)
        finished.with_name(CHECKPOINT).unlink()
    return shared, record.rows


def _fit(
    path: SampledPath,
    setting: Setting,
    space: Space,
    epochs: int,
    seed: int,
    record: Record,
    folder: Path | None,
) -> None:
    """Train by NNI's strategy, from the last checkpoint if there is one."""
    steps = len(TrainBatches(setting.train, setting.recipe, seed, 0)) * epochs
    checkpoint = None if folder is None else folder / CHECKPOINT
    known = checkpoint is not None and checkpoint.is_file()
    run_strategy(
        RandomOneShot(mutation_hooks=[to_supernet]),
        lambda: Model(space.decisions, path),
        Training(path, setting, steps, record),
        TrainData(setting, seed),
        fit_kwargs={"ckpt_path": str(checkpoint)} if known else {},
        accelerator=setting.accelerator,
        max_epochs=epochs,
        gradient_clip_val=setting.recipe.clip or None,
        callbacks=[record],
    )


def run_strategy(
    strategy: Any,
    make_model: Callable[[], Any],
    module: LightningModule,
    data: TrainData,
    fit_kwargs: Mapping[str, Any],
    **trainer: Any,
) -> None:
    """Run a one-shot strategy of NNI's quietly, in this process.

    Args:
        strategy: not yet used.
        make_model: makes the model space.
        module: trains it.
        data: its batches.
        fit_kwargs: of the Trainer's `fit`.
        trainer: settings of Lightning's Trainer.
    """
    with quiet():
        logging.getLogger("nni").setLevel(logging.CRITICAL)
        fit = Trainer(
            devices=1,
            limit_val_batches=0,
            num_sanity_val_steps=0,
            reload_dataloaders_every_n_epochs=1,
            logger=False,
            enable_checkpointing=False,
            enable_progress_bar=False,
            enable_model_summary=False,
            **trainer,
        )
        evaluator = Lightning(module, fit, datamodule=data, fit_kwargs=dict(fit_kwargs))
        model = RawFormatModelSpace(make_model(), evaluator)
        strategy(model, SequentialExecutionEngine())
