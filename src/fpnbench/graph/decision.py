"""Decisions: all that a searcher ever sees of a search space.

A space is a list of categorical decisions, an architecture one choice (an option's
index) per decision. Every vector of the product space decodes, so no searcher needs
rejection and `|space|` is a product.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import product
from math import prod

from fpnbench.graph.errors import UserError

Choices = tuple[int, ...]
"""One option index per decision, in the order of the space's decisions."""


@dataclass(frozen=True, slots=True)
class Decision:
    """One categorical decision.

    Attributes:
        name: readable and unique within its space, for example `block3.input1`.
        options: what can be chosen, for people; choices hold indices into it.
    """

    name: str
    options: tuple[int | str, ...]

    def __post_init__(self) -> None:
        """Refuse a decision without options, or with one that stands there twice.

        Raises:
            UserError: names the decision.
        """
        if not self.options:
            raise UserError(f"{self.name} has no options: one at least is needed")
        if len(set(self.options)) < len(self.options):
            raise UserError(f"{self.name} has an option twice: {list(self.options)}")


def cardinality(decisions: Sequence[Decision]) -> int:
    """Count the choice vectors of a space, exactly."""
    return prod(len(decision.options) for decision in decisions)


def enumerate_choices(decisions: Sequence[Decision]) -> Iterator[Choices]:
    """Yield every choice vector; only for small spaces."""
    return product(*(range(len(decision.options)) for decision in decisions))


def check_choices(decisions: Sequence[Decision], choices: Sequence[int]) -> Choices:
    """Return `choices` as a tuple of ints.

    Raises:
        UserError: the length is wrong, or a choice is no index of its decision's
            options.
    """
    if len(choices) != len(decisions):
        raise UserError(
            f"choices has {len(choices)} entries, "
            f"the space has {len(decisions)} decisions"
        )
    for decision, choice in zip(decisions, choices, strict=True):
        if not 0 <= choice < len(decision.options):
            raise UserError(
                f"choice {choice} for {decision.name} "
                f"is not in 0..{len(decision.options) - 1}"
            )
    return tuple(int(choice) for choice in choices)
