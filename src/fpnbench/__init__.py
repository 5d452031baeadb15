"""Compare search spaces for feature pyramids against search algorithms."""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from fpnbench.cli.take_away import load_pyramid

__all__ = ["load_pyramid"]


def __getattr__(name: str) -> Any:
    """Import `load_pyramid` when it is asked for: it needs torch and Hydra."""
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from fpnbench.cli.take_away import load_pyramid

    return load_pyramid
