"""`fpnbench.load`: from Python, what the same words build on the command line."""

from functools import cached_property
from pathlib import Path

from hydra import compose, initialize_config_dir
from hydra.errors import HydraException
from omegaconf import DictConfig
from omegaconf.errors import OmegaConfBaseException

from fpnbench.cli.build import (
    CONF,
    build_evaluator,
    build_ledger,
    build_reward,
    build_searcher,
    build_space,
    read_dedup,
)
from fpnbench.cli.errors import one_line
from fpnbench.cli.folder import resolved
from fpnbench.cli.values import check_values
from fpnbench.graph.errors import UserError
from fpnbench.graph.protocols import Evaluator, Space
from fpnbench.search.budget import Budget, parse_budget
from fpnbench.search.ledger import Ledger
from fpnbench.search.loop import Task
from fpnbench.search.searcher import Searcher


class Setup:
    """The parts of a search, each built when it is first asked for.

    What reads data or weights, as the proxy does, does so only if it is used.

    Attributes:
        cfg: the composed configuration.
    """

    def __init__(self, cfg: DictConfig) -> None:
        self.cfg = cfg

    @cached_property
    def space(self) -> Space:
        """The search space."""
        return build_space(self.cfg)

    @cached_property
    def searcher(self) -> Searcher:
        """The searcher, not yet started."""
        return build_searcher(self.cfg)

    @cached_property
    def evaluator(self) -> Evaluator:
        """The evaluator."""
        return build_evaluator(self.cfg)

    @cached_property
    def task(self) -> Task:
        """Space, evaluator and reward, without a score store."""
        reward, dedup = build_reward(self.cfg), read_dedup(self.cfg)
        return Task(self.space, self.evaluator, reward, dedup)

    @cached_property
    def ledger(self) -> Ledger:
        """In memory; with `ledger=sqlite` in the folder that `out=` names."""
        return build_ledger(self.cfg, self.task, Path(self.cfg.out or "."))

    @property
    def budget(self) -> Budget:
        """Limits of the search."""
        return parse_budget(resolved(self.cfg)["budget"])


def load(*overrides: str) -> Setup:
    """Compose a configuration as `python run.py OVERRIDES` does.

    Args:
        overrides: `space=nasfpn`, `repeats=3`, ...; the ledger is in memory unless one
            of them says otherwise.

    Raises:
        UserError: an unknown choice, a misspelt key, a value that cannot be.
    """
    try:
        with initialize_config_dir(str(CONF), version_base="1.3"):
            cfg = compose("config", overrides=["ledger=memory", *overrides])
    except (HydraException, OmegaConfBaseException) as error:
        raise UserError(one_line(error)) from error
    check_values(cfg)
    return Setup(cfg)
