"""The benchmark's id changes with all that decides a score, and with nothing else.

Every key of the configuration stands on one side; a new key that stands on neither
fails here.
"""

from collections.abc import Callable, Iterator

import pytest
import torch
from omegaconf import DictConfig, OmegaConf

from fpnbench.cli.build import build_evaluator
from fpnbench.cli.folder import flat

BASE = {
    "image_px": "64",
    "data.train_images": "16",
    "data.val_images": "8",
    "data.test_images": "8",
    "data.objects": "[1,3]",
    "data.sizes": "[12,16,24]",
}
DECIDES = {
    "data.name": "other",
    "data.seed": "1",
    "data.held_out": "0.5",
    "data.split_seed": "1",
    "data.image_px": "96",
    "data.train_images": "24",
    "data.sizes": "[12,16,20]",
    "data.objects": "[2,3]",
    "data.ranges": "[10,20,30]",
    "data.batch": "4",
    "data.lr": "0.001",
    "data.flip": "true",
    "backbone.name": "efficientnet_lite0",
    "backbone.weights": "null",
    "backbone.frozen": "false",
    "backbone.mean": "[0.4,0.5,0.5]",
    "backbone.std": "[0.4,0.5,0.5]",
    "backbone.levels": "[2,3,4,5]",
    "+backbone.model_args.drop_path_rate": "0.1",
    "detector.levels": "[3,4,5]",
    "detector.centre_radius": "1.0",
    "detector.width": "32",
    "detector.tower_depth": "2",
    "detector.init_std": "0.02",
    "detector.prior": "0.02",
    "detector.focal_alpha": "0.5",
    "detector.focal_gamma": "1.5",
    "detector.suppression.score_threshold": "0.1",
    "detector.suppression.pre_nms": "100",
    "detector.suppression.nms_iou": "0.5",
    "detector.suppression.max_detections": "50",
    "recipe.optimizer": "sgd",
    "recipe.weight_decay": "0.1",
    "recipe.schedule": "step",
    "recipe.milestones": "[0.5]",
    "recipe.gamma": "0.5",
    "recipe.warmup": "0.2",
    "recipe.clip": "1.0",
    "image_px": "96",
    "evaluator.folds": "2",
}
NEUTRAL = {
    # Part of the place of a score, beside the benchmark, or of the network's key.
    "evaluator.seed": "1",
    "data.epochs": "7",
    "repeats": "2",
    "width": "32",
    # Of finalists, which have a benchmark of their own.
    "data.final_epochs": "7",
    "data.val_images": "12",
    "data.test_images": "12",
    # Where and how fast it is computed, and what else is written.
    "recipe.workers": "1",
    "evaluator.cache": "elsewhere",
    "evaluator.accelerator": "cpu",
    "evaluator.threads": "1",
    "evaluator.records": "true",
    # Of the search.
    "seed": "1",
    "cell_name": "nasfpn",
    "runs": "x",
    "store": "null",
    "search.enqueue": "[nasfpn]",
    "out": "x",
    "debug": "true",
    "dry_run": "true",
}
CONTEXT = {
    # What data=digits_context has and data=digits has not; all of it decides.
    "data.context": "up",
    "data.small_sizes": "[12,16]",
    "data.cue_sizes": "[76,84]",
    "data.large_sizes": "[60,64]",
    "data.smalls": "[1,2]",
    "data.gap": "68",
}
SEARCH = ("space", "searcher", "reward", "ledger", "mode", "budget")
"""Groups and sections that say what is scored, not how."""
Conf = Callable[..., DictConfig]


def keys(cfg: DictConfig) -> Iterator[str]:
    """Every leaf that a user can set; an interpolation is set where it points to."""
    raw = OmegaConf.to_container(cfg, resolve=False)
    for key, value in flat(raw).items():
        group, name = key.split(".")[0], key.split(".")[-1]
        pointer = isinstance(value, str) and value.startswith("${")
        if group not in SEARCH and not pointer and not name.startswith("_"):
            yield key


def test_every_key_stands_on_one_side(conf: Conf) -> None:
    listed = [*DECIDES, *NEUTRAL]
    assert len(set(listed)) == len(listed)
    # Two more than the leaves: one points to its preset, one is below an empty node.
    extra = {"image_px", "+backbone.model_args.drop_path_rate"}
    assert {*keys(conf()), *extra} == set(listed)


def test_every_key_of_the_instruments_stands_on_one_side(conf: Conf) -> None:
    extra = {"image_px", "+backbone.model_args.drop_path_rate"}
    absent = {"data.sizes", "data.objects"}
    listed = ({*DECIDES, *NEUTRAL} - absent) | set(CONTEXT)
    assert {*keys(conf("data=digits_context")), *extra} == listed


@pytest.mark.parametrize("key", CONTEXT)
def test_the_id_changes_with_what_is_asked_of_a_pyramid(conf: Conf, key: str) -> None:
    few = ("data=digits_context", "data.train_images=8")
    base, changed = (
        build_evaluator(conf(*few, *more)).benchmark
        for more in ((), (f"{key}={CONTEXT[key]}",))
    )
    assert changed != base


@pytest.fixture(scope="module")
def known() -> dict[str, str]:
    return {}


def benchmark(conf: Conf, changed: dict[str, str]) -> str:
    torch.set_num_threads(1)
    values = {**BASE, **changed}
    return build_evaluator(conf(*(f"{k}={v}" for k, v in values.items()))).benchmark


@pytest.mark.parametrize("key", [*DECIDES, *NEUTRAL])
def test_the_id_changes_with_what_decides_a_score(
    conf: Conf, known: dict[str, str], key: str
) -> None:
    if not known:
        known["base"] = benchmark(conf, {})
    changed = benchmark(conf, {key: {**DECIDES, **NEUTRAL}[key]})
    assert (changed != known["base"]) == (key in DECIDES)
