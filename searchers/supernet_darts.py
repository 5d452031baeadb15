"""Differentiable search for ops and kernels on a fixed wiring, by NNI's GumbelDARTS.

Every proposal has a wiring of its own, a uniform draw. Its ops and kernels compete in
one mixed network, whose architecture weights are learned beside the others: Dong & Yang
2019, GDAS (arXiv 1910.04465), and SNAS (arXiv 1812.09926); the strongest are proposed.

Differs: architecture weights learn from search-train, in another order, so that
search-val is not looked at; both are stepped on every pair of batches.
"""

import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

import torch
from pytorch_lightning.utilities.types import OptimizerLRSchedulerConfig
from torch import Tensor, nn
from torch.utils.data import DataLoader

from fpnbench.detect.detector import Detector
from fpnbench.detect.pyramid import Add, FeaturePyramid, build_op
from fpnbench.graph.canonical import prune
from fpnbench.graph.decision import Choices
from fpnbench.graph.errors import UserError
from fpnbench.graph.genotype import Genotype
from fpnbench.graph.ops import GlobalPool, SepConv
from fpnbench.graph.protocols import Evaluator, Space
from fpnbench.graph.trace import level_sizes, trace
from fpnbench.search.searcher import uniform_choices
from fpnbench.search.trial import Proposal, Trial
from fpnbench.train.fit import Setting, build_head, derived_seed
from fpnbench.train.module import Batch, TrainBatches, batch_loss
from fpnbench.train.proxy import ProxyTrainer
from fpnbench.train.recipe import make_optimizer, make_schedule
from fpnbench.train.shared import PathCosts, to_device
from fpnbench.train.shared_fit import TrainData
from fpnbench.train.shared_paths import read_table, total, write_table
from searchers.supernet_nni import (
    GumbelDARTS,
    LayerChoice,
    LightningModule,
    ModelSpace,
    run_strategy,
)

WIRINGS = "wirings.csv"


@dataclass(frozen=True, slots=True)
class Wiring:
    """One wiring with its best ops and kernels, and what finding them took."""

    number: int
    choices: Choices
    seconds: float
    images: int
    gmacs: float


class Mixed(ModelSpace):  # type: ignore[misc]
    """A detector in which the ops and kernels of each block are NNI's choices.

    Copies share theirs. A choice is labelled by its decision's name.

    Attributes:
        extra_macs: of the kernels beside those of `form`, an image.
    """

    def __init__(self, setting: Setting, space: Space, form: Genotype) -> None:
        super().__init__()
        pyramid = FeaturePyramid(form, setting.channels)
        rows = trace(form, setting.channels, setting.image_px).rows
        sizes, self.extra_macs = level_sizes(setting.image_px), 0
        named = _by_block(space)
        for index, node in enumerate(form.nodes):
            block = node.block[1]
            shapes = [rows[i].shape for i in node.inputs]
            if isinstance(node.op, GlobalPool):
                decision = space.decisions[named["op"][block]]
                made: list[nn.Module] = [
                    Add() if option == "sum" else pyramid.ops[index]
                    for option in decision.options
                ]
            elif isinstance(node.op, SepConv) and named["kernel"]:
                decision, op = space.decisions[named["kernel"][block]], node.op
                ops = [
                    SepConv(op.width, int(k), op.activation, op.bias)
                    for k in decision.options
                ]
                made = [build_op(each, [s[0] for s in shapes]) for each in ops]
                macs = sum(each.cost(shapes, sizes).macs for each in ops)
                self.extra_macs += macs - rows[index].macs
            else:
                continue
            labels = map(str, decision.options)
            choice = LayerChoice(
                dict(zip(labels, made, strict=True)), label=decision.name
            )
            pyramid.ops[index] = choice
        backbone = None if setting.frozen else setting.backbone()
        head = build_head(setting, pyramid.out_channels)
        self.detector = Detector(backbone, pyramid, head)


class Pairs(TrainData):
    """Batches of search-train for weights and, in another order, for architecture."""

    def val_dataloader(self) -> Any:
        """Return the batches that NNI pairs with those of `train_dataloader`."""
        assert self.trainer is not None
        epoch = -1 - self.trainer.current_epoch
        batches = TrainBatches(
            self._setting.train, self._setting.recipe, self._seed, epoch
        )
        return DataLoader(batches, batch_size=None)

    def transfer_batch_to_device(self, batch: Any, device: torch.device, _: int) -> Any:
        """Move both batches of a pair."""
        return {name: to_device(each, device) for name, each in batch.items()}


class Training(LightningModule):  # type: ignore[misc]
    """The proxy's training step on the mixed network.

    Attributes:
        images: that were trained on, for weights and for architecture.
    """

    def __init__(self, setting: Setting, steps: int) -> None:
        super().__init__()
        self.images, self._setting, self._steps = 0, setting, steps

    def training_step(self, batch: Batch, _: int) -> Tensor:
        """Return the loss of a batch."""
        self.images += len(batch[2])
        return batch_loss(self.model.detector, batch)[0]

    def configure_optimizers(self) -> OptimizerLRSchedulerConfig:
        """Return the proxy's optimiser and schedule, for the weights."""
        optimizer = make_optimizer(self.model.detector, self._setting.recipe)
        schedule = make_schedule(optimizer, self._setting.recipe, self._steps)
        scheduler = {"scheduler": schedule, "interval": "step"}
        return {"optimizer": optimizer, "lr_scheduler": scheduler}  # type: ignore[typeddict-item]

    def configure_gradient_clipping(self, optimizer: Any, *_: Any) -> None:
        """Clip as the recipe says; the Trainer may not where NNI steps by hand."""
        if self._setting.recipe.clip:
            parameters = self.model.detector.parameters()
            nn.utils.clip_grad_norm_(parameters, self._setting.recipe.clip)


class GumbelDarts:
    """Proposes, for one random wiring after another, its strongest ops and kernels.

    With `folds`, mixed networks are trained on the first one.
    """

    val_queries = 0
    """Networks that it scored on search-val by itself: none."""

    def __init__(self, epochs: int, temperature: tuple[float, float]) -> None:
        """Take the settings.

        Args:
            epochs: of search-train, for every mixed network.
            temperature: of the softmax, at first and at last.

        Raises:
            UserError: a value out of its range.
        """
        first, last = temperature
        if epochs < 1 or not first >= last > 0:
            raise UserError(
                f"gumbel_darts: epochs={epochs} must be >= 1, temperature="
                f"{list(temperature)} must fall and stay above 0"
            )
        self._epochs, self._temperature = epochs, (float(first), float(last))

    def attach(self, evaluator: Evaluator) -> None:
        """Take the evaluator whose task the mixed networks are trained for.

        Raises:
            UserError: it trains no networks.
        """
        if not isinstance(evaluator, ProxyTrainer):
            kind = type(evaluator).__name__
            raise UserError(f"gumbel_darts needs evaluator=proxy, {kind} trains none")
        self._task = evaluator

    def foretell(self, space: Space) -> tuple[int, float]:
        """Return images and about the gmacs that come before the first proposal."""
        setting = self._task.settings[0]
        batches = TrainBatches(setting.train, setting.recipe, 0, 0)
        images = 2 * len(batches) * setting.recipe.batch * self._epochs
        form = self._form(space, uniform_choices(space.decisions, 0, 0))
        return images, 3 * images * PathCosts(setting)(form)[1] / 1e9

    def start(self, space: Space, seed: int, folder: Path | None) -> None:
        """Begin a run, or go on with what `folder` holds.

        Raises:
            UserError: the space decides neither ops nor kernels.
        """
        if not any(_by_block(space).values()):
            raise UserError(f"space {space.name} decides neither ops nor kernels")
        self._space, self._seed, self._asked = space, seed, 0
        self._path = folder and folder / WIRINGS
        self._rows = read_table(self._path, Wiring) if self._path else []

    def ask(self) -> Proposal:
        """Propose the best of the next wiring."""
        if self._asked == len(self._rows):
            self._rows.append(self._find(self._asked))
            if self._path is not None:
                self._path.parent.mkdir(parents=True, exist_ok=True)
                write_table(self._path, self._rows)
        self._asked += 1
        return Proposal(self._rows[self._asked - 1].choices)

    def tell(self, trial: Trial) -> None:
        """Learn nothing: wirings are drawn, the rest is learned in training."""

    def spent(self) -> tuple[float, int, float]:
        """Return (seconds, images, gmacs) of all mixed networks."""
        return total(self._rows)

    def _find(self, number: int) -> Wiring:
        """Train the mixed network of a wiring."""
        setting, began = self._task.settings[0], time.perf_counter()
        choices = uniform_choices(self._space.decisions, self._seed, number)
        form, seed = self._form(self._space, choices), derived_seed(repr(choices), 0)
        steps = len(TrainBatches(setting.train, setting.recipe, 0, 0)) * self._epochs
        strategy = GumbelDARTS(temperature=self._temperature)
        module = Training(setting, steps)
        with torch.random.fork_rng(devices=range(torch.cuda.device_count())):
            torch.manual_seed(seed)
            run_strategy(
                strategy,
                lambda: Mixed(setting, self._space, form),
                module,
                Pairs(setting, seed),
                fit_kwargs={},
                accelerator=setting.accelerator,
                max_epochs=self._epochs,
            )
        mixed = cast(Mixed, strategy.supernet)
        best: dict[str, str] = strategy.oneshot_module.export()
        macs = PathCosts(setting)(form)[1] + mixed.extra_macs
        found = [
            [str(option) for option in each.options].index(best[each.name])
            if each.name in best
            else choice
            for each, choice in zip(self._space.decisions, choices, strict=True)
        ]
        seconds, gmacs = time.perf_counter() - began, 3 * macs * module.images / 1e9
        return Wiring(number, tuple(found), seconds, module.images, gmacs)

    def _form(self, space: Space, choices: Choices) -> Genotype:
        """Return a wiring as it is read, with attention wherever it may be."""
        chosen = list(choices)
        for place in _by_block(space)["op"]:
            options = space.decisions[place].options
            chosen[place] = next(i for i, op in enumerate(options) if op != "sum")
        return prune(space.decode(tuple(chosen)).restrict(self._task.levels))


def _by_block(space: Space) -> dict[str, list[int]]:
    """Return which decisions are on ops and on kernels, block by block."""
    found: dict[str, list[int]] = {"op": [], "kernel": []}
    for place, decision in enumerate(space.decisions):
        what = decision.name.rpartition(".")[2]
        if what in found and len(decision.options) > 1:
            found[what].append(place)
    return found
