"""The spaces nest: random networks of the smaller one are found in the larger one.

No-Expand where C is an option of F, in MnasFPN; MnasFPN where every block sums, in
Conn-Search. A vector is translated decision by decision; the keys must be equal.
"""

from collections.abc import Callable, Iterator

import pytest

from fpnbench.graph.canonical import key
from fpnbench.graph.decision import Choices
from fpnbench.graph.protocols import Space
from fpnbench.search.searcher import uniform_choices

DRAWS = 200


def draws(space: Space, fits: Callable[[dict[str, int]], bool]) -> Iterator[Choices]:
    """Yield the first uniform draws that fit, each as choices."""
    found = number = 0
    while found < DRAWS:
        choices = uniform_choices(space.decisions, 1, number)
        number += 1
        if fits(named(space, choices)):
            found += 1
            yield choices


def named(space: Space, choices: Choices) -> dict[str, int]:
    names = [decision.name for decision in space.decisions]
    return dict(zip(names, choices, strict=True))


def spelled(space: Space, choices: dict[str, int]) -> Choices:
    """Choices by name, in the order of another space that asks for the same names."""
    return tuple(choices[decision.name] for decision in space.decisions)


@pytest.mark.parametrize("repeats", [1, 3])
def test_networks_of_no_expand_are_in_mnasfpn(make_space, repeats: int) -> None:
    """F is C; C = 48 and 80 are no options of F."""
    inner, outer = (make_space(name, repeats) for name in ("no_expand", "mnasfpn"))
    widths = inner.decisions[0].options
    expansions = next(d.options for d in outer.decisions if d.name == "block0.F")
    assert set(widths) & set(expansions) == {16, 32, 64, 96}
    for choices in draws(inner, lambda found: widths[found["C"]] in expansions):
        found = named(inner, choices)
        same = expansions.index(widths[found["C"]])
        found |= {d.name: same for d in outer.decisions if d.name.endswith(".F")}
        translated = spelled(outer, found)
        assert key(inner.decode(choices)) == key(outer.decode(translated))


def test_networks_of_mnasfpn_that_only_sum_are_in_connsearch(make_space) -> None:
    """Sum is MnasFPN's op 0; Conn-Search's extra inputs are none, its option 0."""
    inner, outer = make_space("mnasfpn"), make_space("connsearch")
    first = {d.name: d.options[0] for d in (*inner.decisions, *outer.decisions)}
    assert (first["block0.op"], first["block0.input3"]) == ("sum", "none")
    for drawn in draws(inner, lambda found: True):
        found = named(inner, drawn)
        found |= {name: 0 for name in found if name.endswith(".op")}
        choices = spelled(inner, found)
        extras = (d.name for d in outer.decisions if d.name not in found)
        translated = spelled(outer, found | dict.fromkeys(extras, 0))
        assert key(inner.decode(choices)) == key(outer.decode(translated))
