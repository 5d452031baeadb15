"""Random search: what evolution's first population shares with it, and its law."""

from collections import Counter
from functools import cache

import pytest
from scipy.stats import chisquare

from fpnbench.graph.canonical import key
from fpnbench.graph.decision import Choices, Decision
from fpnbench.graph.errors import UserError
from fpnbench.graph.genotype import Genotype
from fpnbench.search.searcher import uniform_choices
from searchers.random_search import RandomSearch
from spaces.nasfpn import NASFPN

NETWORKS = 656  # of 4 608 choice vectors, counted by true isomorphism (tests/graph)
PROPOSALS = 10 * NETWORKS


class Space:
    name = "stub"
    decisions = tuple(Decision(f"d{i}", tuple(range(n))) for i, n in enumerate((5, 7)))

    def decode(self, choices: Choices) -> Genotype:
        raise AssertionError("random search decoded a network")


class Small:
    """2 levels, 1 + 2 cells; counts each vector once."""

    name = "small"

    def __init__(self) -> None:
        space = NASFPN(
            levels=(4, 5),
            backbone_levels=(4, 5),
            intermediates=1,
            intermediate_levels=(4, 5),
            ops=("sum", "gp"),
            projection="per_use",
            repeats=1,
            width=8,
        )
        self.decisions, self.decode = space.decisions, space.decode
        self.multiplicity = cache(space.multiplicity)


class Sparse(Space):
    """A network has so many vectors that rejection would never end."""

    def multiplicity(self, choices: Choices) -> int:
        return 2 * 10**9


def drawn(over: str, seed: int = 0, count: int = PROPOSALS) -> list[Choices]:
    searcher = RandomSearch(over)  # type: ignore[arg-type]
    searcher.start(Small(), seed, None)
    return [searcher.ask().choices for _ in range(count)]


def p_uniform(over: str) -> float:
    """How likely networks drawn uniformly would spread at least as unevenly."""
    name = cache(lambda choices: key(Small().decode(choices)))
    found = Counter(name(choices) for choices in drawn(over))
    counts = [*found.values(), *[0] * (NETWORKS - len(found))]
    return float(chisquare(counts).pvalue)


def test_proposal_n_is_the_shared_draw_of_seed_and_n():
    searcher = RandomSearch()
    searcher.start(Space(), 3, None)
    asked = [searcher.ask().choices for _ in range(20)]
    assert asked == [uniform_choices(Space.decisions, 3, n) for n in range(20)]


def test_over_networks_every_network_is_as_likely() -> None:
    assert p_uniform("networks") > 0.01


def test_over_choices_networks_of_many_vectors_are_drawn_more_often() -> None:
    assert p_uniform("choices") < 1e-9


def test_over_networks_a_proposal_is_a_function_of_seed_and_number() -> None:
    first = drawn("networks", seed=4, count=30)
    assert drawn("networks", seed=4, count=30) == first
    assert drawn("networks", seed=5, count=30) != first
    searcher = RandomSearch("networks")
    searcher.start(Small(), 4, None)
    assert all(type(choice) is int for choice in searcher.ask().choices)


@pytest.mark.parametrize(
    ("space", "message"),
    [
        (Space(), "space stub does not count the choice vectors of a network"),
        (Sparse(), "only about 5e-10 of the draws would be"),
    ],
)
def test_over_networks_refuses_spaces_where_it_cannot_work(space, message) -> None:
    with pytest.raises(UserError, match=message):
        RandomSearch("networks").start(space, 0, None)


def test_another_law_is_refused() -> None:
    with pytest.raises(UserError, match="over=genes is not one of choices, networks"):
        RandomSearch("genes")  # type: ignore[arg-type]
