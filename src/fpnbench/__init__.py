"""Compare search spaces for feature pyramids against search algorithms."""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from fpnbench.cli.setup import load
    from fpnbench.cli.take_away import load_pyramid

__all__ = ["load", "load_pyramid"]
_HOMES = {"load": "fpnbench.cli.setup", "load_pyramid": "fpnbench.cli.take_away"}


def __getattr__(name: str) -> Any:
    """Import a function when it is asked for: both need torch and Hydra."""
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(_HOMES[name]), name)
