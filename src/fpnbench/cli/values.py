"""Checks of values that compose well but make no sense: Hydra accepts `seed=abc`."""

from omegaconf import DictConfig, OmegaConf

from fpnbench.graph.errors import UserError

LEAST = {
    "seed": 0,
    "evaluator.seed": 0,
    "evaluator.epochs": 1,
    "image_px": 1,
    "repeats": 1,
    "width": 1,
}
"""Whole numbers that every mode shares, and the least that each may be."""


def check_values(cfg: DictConfig) -> None:
    """Refuse keys that are no whole numbers or too small.

    Raises:
        UserError: names the key, its value and what is allowed.
    """
    for key, least in LEAST.items():
        value = OmegaConf.select(cfg, key, default=least)
        if isinstance(value, bool) or not isinstance(value, int) or value < least:
            raise UserError(f"{key}={value}: it must be a whole number from {least} on")
