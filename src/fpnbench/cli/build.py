"""Builders: from configuration nodes to objects, by their `_target_`.

Nothing is registered: a space or searcher from any installed package works. Mistakes in
a configuration come out as `UserError`.
"""

import json
import re
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, cast, get_args

from hydra.errors import InstantiationException
from hydra.utils import instantiate
from omegaconf import DictConfig, OmegaConf, open_dict

from fpnbench.cli.values import check_types, fits
from fpnbench.graph.decision import check_choices
from fpnbench.graph.errors import UserError
from fpnbench.graph.genotype import FORMAT, Genotype
from fpnbench.graph.protocols import Evaluator, Space
from fpnbench.search.budget import Budget
from fpnbench.search.ledger import Ledger
from fpnbench.search.loop import Dedup, Task
from fpnbench.search.reward import Reward
from fpnbench.search.searcher import Searcher, SharesEvaluator

CONF = Path(__file__).parents[3] / "conf"
"""The configuration of the checkout."""
CURRENT = ("${repeats}", "${width}")
"""Values of a space that a cell takes from the current configuration."""


def build(node: DictConfig, **arguments: Any) -> Any:
    """Instantiate one configuration node, plain lists and dicts inside.

    Raises:
        UserError: the target cannot be found or does not take such arguments, or said
            so itself.
    """
    check_types(node)
    try:
        return instantiate(node, _convert_="all", **arguments)
    except InstantiationException as error:
        raise _cause(error, node) from error


def build_space(cfg: DictConfig) -> Space:
    """Build the search space."""
    return cast(Space, build(_group(cfg, "space")))


def build_searcher(cfg: DictConfig) -> Searcher:
    """Build the searcher; `dedup` in its yaml is the loop's."""
    node = _group(cfg, "searcher").copy()
    with open_dict(node):
        node.pop("dedup", None)
    return cast(Searcher, build(node))


def attach(searcher: Searcher, task: Task, budget: Budget) -> None:
    """Hand the evaluator to a searcher that needs it, see `SharesEvaluator`.

    Raises:
        UserError: it can do nothing with it, or the budget ends before a proposal.
    """
    if not isinstance(searcher, SharesEvaluator):
        return
    searcher.attach(task.evaluator)
    if budget.images is None and budget.gmacs is None:
        return
    images, gmacs = searcher.foretell(task.space)
    for name, used in (("images", images), ("gmacs", gmacs)):
        limit = getattr(budget, name)
        if limit is not None and used >= limit:
            raise UserError(
                f"budget.{name}={limit:,g} ends before the first proposal: the "
                f"searcher's own training and scoring take about {used:,.0f}"
            )


def read_dedup(cfg: DictConfig) -> Dedup:
    """Return the searcher's policy for repeats.

    Raises:
        UserError: it is not a known one.
    """
    chosen = str(_group(cfg, "searcher").get("dedup", "replay"))
    if chosen not in get_args(Dedup):
        allowed = ", ".join(get_args(Dedup))
        raise UserError(f"searcher.dedup={chosen} is not one of {allowed}")
    return cast(Dedup, chosen)


def build_evaluator(cfg: DictConfig) -> Evaluator:
    """Build the evaluator."""
    return cast(Evaluator, build(_group(cfg, "evaluator")))


def build_source(cfg: DictConfig) -> Any:
    """Build the data source, a `fpnbench.train.data.DataSource`."""
    return build(_group(cfg, "data").source)


def build_reward(cfg: DictConfig) -> Reward:
    """Build the reward."""
    return cast(Reward, build(_group(cfg, "reward")))


def build_ledger(cfg: DictConfig, task: Task, folder: Path) -> Ledger:
    """Open the ledger of a run in its folder."""
    make = cast(Callable[..., Ledger], build(_group(cfg, "ledger")))
    return make(
        decisions=task.space.decisions,
        benchmark=task.evaluator.benchmark,
        folder=folder,
    )


def load_cell(cfg: DictConfig, space_args: Mapping[str, Any] | None = None) -> Genotype:
    """Read the genotype of `cell=NAME|PATH`, with the current repeats and width.

    Args:
        cfg: the configuration.
        space_args: values of the cell's space that shall differ from the file's.

    Raises:
        UserError: no such cell, or the file holds none.
    """
    path = cell_path(cfg.cell)
    name, arguments, choices = _read_cell(path)
    try:
        space = _cell_space(cfg, name, {**arguments, **(space_args or {})})
        return space.decode(check_choices(space.decisions, choices))
    except UserError as error:
        raise UserError(f"{path}: {error}") from error


def cell_path(cell: str | None) -> Path:
    """Return the file of a cell.

    Raises:
        UserError: nothing was given, or there is no such name or file.
    """
    names = sorted(path.stem for path in (CONF / "cell").glob("*.json"))
    allowed = f"a path of a best.json or one of {', '.join(names)}"
    if cell is None:
        raise UserError(f"cell= is missing: {allowed}")
    cell = str(cell)  # a name of digits is a number to Hydra
    if cell in names:
        return CONF / "cell" / f"{cell}.json"
    if not Path(cell).is_file():
        raise UserError(f"cell={cell}: there is no such cell; {allowed}")
    return Path(cell)


def space_args(cfg: DictConfig) -> dict[str, Any]:
    """Return what rebuilds this space with other repeats and width."""
    raw = cast(dict[str, Any], OmegaConf.to_container(cfg.space, resolve=False))
    values = cast(dict[str, Any], OmegaConf.to_container(cfg.space, resolve=True))
    return {
        name: raw[name] if raw[name] in CURRENT else value
        for name, value in values.items()
    }


def _read_cell(path: Path) -> tuple[str, dict[str, Any], list[int]]:
    """Return space, its arguments and the choices of a cell file."""
    try:
        data = json.loads(path.read_text())
        stored = data["format"]
        if stored == FORMAT:
            name, choices = str(data["space"]), data["choices"]
            arguments = data.get("space_args", {})
    except (OSError, ValueError, KeyError, TypeError) as error:
        reason = f"{type(error).__name__}: {error}"
        raise UserError(f"{path} cannot be read as a cell: {reason}") from error
    if stored != FORMAT:
        raise UserError(f"{path} has format {stored!r}, this version reads {FORMAT}")
    if not fits(choices, list[int]):
        raise UserError(f"{path}: choices must be a list of whole numbers")
    if not isinstance(arguments, dict):
        told = json.dumps(arguments)
        raise UserError(f"{path}: space_args={told}: it must be a mapping of names")
    return name, arguments, choices


def _cell_space(cfg: DictConfig, name: str, arguments: dict[str, Any]) -> Space:
    """Build the space of a cell with the current repeats and width."""
    file = CONF / "space" / f"{name}.yaml"
    base = OmegaConf.load(file) if file.is_file() else OmegaConf.create({})
    if "_target_" not in [*base, *arguments]:
        names = sorted(path.stem for path in file.parent.glob("*.yaml"))
        raise UserError(f"space {name} is not one of {', '.join(names)}")
    around = OmegaConf.create({"repeats": cfg.repeats, "width": cfg.width})
    around.space = OmegaConf.merge(base, arguments)
    return cast(Space, build(around.space))


def _group(cfg: DictConfig, name: str) -> DictConfig:
    if cfg.get(name) is None:
        raise UserError(f"{name}= is missing: this mode needs one")
    return cast(DictConfig, cfg[name])


def _cause(error: InstantiationException, node: DictConfig) -> Exception:
    """Find what went wrong inside: a mistake of the user's, or anything else."""
    cause: BaseException = error
    while not isinstance(cause, UserError) and cause.__cause__ is not None:
        cause = cause.__cause__
    target = node.get("_target_")
    refused = re.search(
        r"unexpected keyword|missing \d+ required|takes no arg", str(cause)
    )
    if isinstance(cause, ImportError):
        return UserError(f"{target} cannot be imported: {cause}")
    if isinstance(cause, TypeError) and refused:
        return UserError(f"{target} does not fit its configuration: {cause}")
    return cause if isinstance(cause, Exception) else error
