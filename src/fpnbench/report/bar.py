"""Bars: claims of the project with what was measured, as `mode=check` prints them."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any


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


@dataclass(frozen=True, slots=True)
class Findings:
    """What a check returns that has measured a table besides its bars.

    Attributes:
        bars: the claims.
        about: what they are about: benchmark, epochs, data, and figures that stand for
            the whole, as JSON holds them.
        rows: the table, one mapping a row, all with the same columns.
    """

    bars: Sequence[Bar]
    about: Mapping[str, Any] = field(default_factory=dict)
    rows: Sequence[Mapping[str, Any]] = ()
