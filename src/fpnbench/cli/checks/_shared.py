"""What checks of several trainings share: their seeds, and figures as JSON has them."""

from math import isnan
from typing import Any, cast

from omegaconf import DictConfig, OmegaConf

from fpnbench.cli.values import fits
from fpnbench.graph.errors import UserError


def read_seeds(cfg: DictConfig, check: str, least: int) -> list[int]:
    """Return the evaluator seeds of a check, its key `seeds`.

    Raises:
        UserError: they are no list of so many different whole numbers or more.
    """
    seeds = cfg[check].seeds
    if OmegaConf.is_config(seeds):
        seeds = OmegaConf.to_container(seeds)
    if not fits(seeds, list[int]) or len(set(seeds)) < max(least, len(seeds)):
        allowed = f"a list of {least} different whole numbers or more"
        raise UserError(f"{check}.seeds={seeds}: it must be {allowed}")
    return cast(list[int], seeds)


def plain(value: Any) -> Any:
    """Return nested values as JSON knows them: lists, and None for NaN."""
    if isinstance(value, dict):
        return {key: plain(each) for key, each in value.items()}
    if isinstance(value, list | tuple):
        return [plain(each) for each in value]
    return None if isinstance(value, float) and isnan(value) else value
