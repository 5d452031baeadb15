"""What a run shares with others: the score store, and cells that are scored first."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any, cast

from omegaconf import DictConfig, OmegaConf

from fpnbench.cli.build import cell_path, load_cell
from fpnbench.cli.environment import environment
from fpnbench.cli.folder import flat
from fpnbench.graph.canonical import canonical, digest
from fpnbench.graph.decision import check_choices
from fpnbench.graph.errors import UserError
from fpnbench.graph.genotype import Genotype
from fpnbench.graph.protocols import Evaluator, Space
from fpnbench.graph.score import Score
from fpnbench.search.loop import Known
from fpnbench.search.store import Place, ScoreStore
from fpnbench.train.proxy import ProxyTrainer
from fpnbench.train.records import Records, unpack


def open_store(
    cfg: DictConfig, evaluator: Evaluator, warn: Callable[[str], None]
) -> ScoreStore | None:
    """Open `store=` for the scores, and records, of this evaluator.

    None where none is wanted, or where scores cost so little that nobody shares them.
    """
    if cfg.store is None or not evaluator.shared:
        return None
    store = ScoreStore(Path(cfg.store), own_environment(), warn)
    if isinstance(evaluator, ProxyTrainer):
        benchmark = evaluator.benchmark

        def keep(genotype: Genotype, epochs: int, seed: int, records: bytes) -> None:
            store.add_records(Place(digest(genotype), benchmark, seed, epochs), records)

        evaluator.keep = keep
    return store


def measured(
    evaluator: ProxyTrainer,
    store: ScoreStore | None,
    genotype: Genotype,
    epochs: int,
    seed: int,
) -> tuple[Score, Records, bool]:
    """Return score and records of a network, from the store if both are there.

    Args:
        evaluator: trains and scores.
        store: where they are kept; None: nowhere.
        genotype: canonical.
        epochs: fidelity.
        seed: the evaluator's.

    Returns:
        Score, records, and whether they came from the store.
    """
    place = Place(digest(genotype), evaluator.benchmark, seed, epochs)
    if store is not None:
        known, found = store.find(place), store.records(place)
        if known is not None and found is not None:
            return known, unpack(found), True
    score, records = evaluator.with_records(genotype, epochs, seed)
    if store is not None:
        store.add(place, score)
        store.add_records(place, records.pack())
    return score, records, False


def scored(
    evaluator: Evaluator,
    store: ScoreStore | None,
    genotype: Genotype,
    epochs: int,
    seed: int,
) -> Score:
    """Return the score of a canonical network, from the store if it is there.

    Raises:
        EvaluationError: it could not be scored.
    """
    place = Place(digest(genotype), evaluator.benchmark, seed, epochs)
    if store is None:
        return evaluator(genotype, epochs, seed)
    if (known := store.find(place)) is None:
        known = evaluator(genotype, epochs, seed)
        store.add(place, known)
    return known


def own_environment() -> dict[str, Any]:
    """Return what may move a score by rounding: versions, processor, threads."""
    values = flat(environment())
    return {name: values[name] for name in values if not name.startswith("git_")}


def known_cells(cfg: DictConfig, space: Space, levels: tuple[int, ...]) -> list[Known]:
    """Read the cells of `search.enqueue`, with their choices where they are the run's.

    Raises:
        UserError: a cell that cannot be read.
    """
    found = []
    for name in cfg.search.enqueue:
        genotype = load_cell(cast(DictConfig, OmegaConf.merge(cfg, {"cell": name})))
        choices = tuple(json.loads(cell_path(name).read_text())["choices"])
        try:
            ours = space.decode(check_choices(space.decisions, choices))
            same = _key(ours, levels) == _key(genotype, levels)
        except UserError:
            same = False
        found.append(Known(str(name), genotype, choices if same else ()))
    return found


def _key(genotype: Genotype, levels: tuple[int, ...]) -> str:
    return digest(canonical(genotype.restrict(levels)))
