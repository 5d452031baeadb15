"""Random search: what evolution's first population shares with it."""

from fpnbench.graph.decision import Decision
from fpnbench.search.searcher import uniform_choices
from searchers.random_search import RandomSearch


class Space:
    name = "stub"
    decisions = tuple(Decision(f"d{i}", tuple(range(n))) for i, n in enumerate((5, 7)))


def test_proposal_n_is_the_shared_draw_of_seed_and_n():
    searcher = RandomSearch()
    searcher.start(Space(), 3, None)
    asked = [searcher.ask().choices for _ in range(20)]
    assert asked == [uniform_choices(Space.decisions, 3, n) for n in range(20)]
