"""What checks of several trainings share: keys, networks, trainings, figures."""

from collections.abc import Iterable, Mapping, Sequence
from itertools import product
from math import isnan
from typing import Any, Literal, NamedTuple, cast

from omegaconf import DictConfig, OmegaConf
from rich.console import Console
from rich.progress import track

from fpnbench.cli.build import load_cell
from fpnbench.cli.store import measured, open_store, scored
from fpnbench.cli.values import fits, noun
from fpnbench.graph.canonical import digest
from fpnbench.graph.errors import UserError
from fpnbench.graph.genotype import Genotype
from fpnbench.graph.protocols import EvaluationError, Evaluator
from fpnbench.graph.score import Score
from fpnbench.search.feasible import what_is_read
from fpnbench.search.store import Place, ScoreStore
from fpnbench.train.proxy import ProxyTrainer
from fpnbench.train.records import Records, unpack

NO_CONTEXT = "none"
"""The context of data that know none."""
ENTRIES = {int: "whole numbers", str: "names"}
Wanted = Literal["no", "kept", "needed"]
"""Of records: none, those that the store has, or trained anew where it has none."""


PRESET = (
    *("backbone.name", "backbone.frozen", "detector._target_", "detector.levels"),
    *("detector.width", "detector.tower_depth", "recipe.batch", "recipe.optimizer"),
    *("recipe.lr", "recipe.weight_decay", "evaluator.folds"),
)
"""Keys by which people tell presets of one data set apart; the benchmark holds more."""


class Measured(NamedTuple):
    """A training's score and, where wanted and known, its records."""

    score: Score
    records: Records | None


def read_value(cfg: DictConfig, key: str, kind: Any, allowed: str = "") -> Any:
    """Return a value of the configuration, lists and mappings as Python's.

    Raises:
        UserError: it is not of this kind, see `fpnbench.cli.values.fits`; says what is
            allowed, by default the kind.
    """
    value = OmegaConf.select(cfg, key)
    if OmegaConf.is_config(value):
        value = OmegaConf.to_container(value, resolve=True)
    if not fits(value, kind):
        shown = "null" if value is None else value
        raise UserError(f"{key}={shown}: it must be {allowed or noun(kind)}")
    return value


def read_different(cfg: DictConfig, key: str, kind: type, least: int = 1) -> list[Any]:
    """Return a list of the configuration.

    Raises:
        UserError: it is none of so many different values of this kind or more.
    """
    values = read_value(cfg, key, Any)
    if not fits(values, list[kind]) or len(set(values)) < max(least, len(values)):  # type: ignore[valid-type]
        shown = "null" if values is None else values
        allowed = f"a list of {least} different {ENTRIES[kind]} or more"
        raise UserError(f"{key}={shown}: it must be {allowed}")
    return cast(list[Any], values)


def describe(cfg: DictConfig, evaluator: Evaluator) -> dict[str, Any]:
    """Return what a check is about: data, benchmark, size of images and pyramids."""
    preset = {key: read_value(cfg, key, Any) for key in PRESET}
    return {
        "data": str(cfg.data.name),
        "context": str(OmegaConf.select(cfg, "data.context", default=NO_CONTEXT)),
        "benchmark": evaluator.benchmark,
        "epochs": evaluator.epochs,
        **{name: cfg[name] for name in ("image_px", "width")},
        "preset": {key: value for key, value in preset.items() if value is not None},
    }


def read_cells(
    cfg: DictConfig, copies: Mapping[str, int], evaluator: Evaluator, console: Console
) -> dict[str, Genotype]:
    """Return what the evaluator reads of cells, by name.

    One that it cannot score, as they share no level, is named and left out.

    Args:
        cfg: the configuration; `width` is that of all cells.
        copies: of every cell of `conf/cell`, or path.
        evaluator: scores.
        console: told what is left out.

    Raises:
        UserError: there is no such cell.
    """
    networks = {}
    for name, repeats in copies.items():
        own = OmegaConf.merge(cfg, {"cell": name, "repeats": repeats})
        genotype = load_cell(cast(DictConfig, own))
        try:
            networks[name] = what_is_read(genotype, evaluator)
        except UserError as error:
            console.print(f"{name} is left out: {error}", highlight=False)
    return networks


def train_all(
    cfg: DictConfig,
    evaluator: Evaluator,
    networks: Mapping[str, Genotype],
    seeds: Iterable[int],
    console: Console,
    *,
    epochs: int | None = None,
    records: Wanted = "no",
) -> dict[str, list[Measured]]:
    """Return what every network scores by seed, from the store as far as it is there.

    A line tells each training. A network that cannot be trained is named and left out;
    the rest goes on.

    Args:
        cfg: the configuration.
        evaluator: trains and scores.
        networks: canonical, by name.
        seeds: the evaluator's.
        console: told.
        epochs: fidelity; None: the evaluator's own.
        records: whether they are wanted; `needed` takes a `ProxyTrainer`.
    """
    store = open_store(cfg, evaluator, console.print)
    epochs = evaluator.epochs if epochs is None else epochs
    found: dict[str, list[Measured]] = {name: [] for name in networks}
    jobs = list(product(networks, seeds))
    for name, seed in track(jobs, "trainings", console=console):
        if name not in found:
            continue
        try:
            got = _measure(evaluator, store, networks[name], epochs, seed, records)
        except EvaluationError as error:
            console.print(f"{name} is left out: seed {seed}: {error}", highlight=False)
            del found[name]
            continue
        found[name].append(got)
        told = f"AP {got.score.ap or 0:.4f}, {got.score.cost_s:.0f} s"
        console.print(f"{name}, seed {seed}: {told}", highlight=False)
    return found


def only_scores(found: Mapping[str, Sequence[Measured]]) -> dict[str, list[Score]]:
    """Return the scores by name, in the order of the seeds."""
    return {name: [each.score for each in own] for name, own in found.items()}


def plain(value: Any) -> Any:
    """Return nested values as JSON knows them: lists, and None for NaN."""
    if isinstance(value, dict):
        return {key: plain(each) for key, each in value.items()}
    if isinstance(value, list | tuple):
        return [plain(each) for each in value]
    return None if isinstance(value, float) and isnan(value) else value


def _measure(
    evaluator: Evaluator,
    store: ScoreStore | None,
    network: Genotype,
    epochs: int,
    seed: int,
    records: Wanted,
) -> Measured:
    if records == "needed":
        score, found, _ = measured(
            cast(ProxyTrainer, evaluator), store, network, epochs, seed
        )
        return Measured(score, found)
    score = scored(evaluator, store, network, epochs, seed)
    place = Place(digest(network), evaluator.benchmark, seed, epochs)
    kept = store.records(place) if store is not None and records == "kept" else None
    return Measured(score, unpack(kept) if kept else None)
