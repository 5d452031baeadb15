"""Bars: claims of the project with what was measured, as `mode=check` prints them."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Bar:
    """One claim.

    Attributes:
        name: what is claimed, for example `AP aquarium 256 px`.
        bar: what must hold, in words, for example `>= 0.05`.
        measured: what came out, in words.
        held: whether it held.
    """

    name: str
    bar: str
    measured: str
    held: bool
