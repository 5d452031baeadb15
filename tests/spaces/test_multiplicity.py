"""Multiplicity against complete enumeration: every vector of small spaces."""

from collections import Counter

import pytest

from fpnbench.graph.canonical import key
from fpnbench.graph.decision import Choices, enumerate_choices
from fpnbench.graph.errors import UserError
from fpnbench.graph.protocols import CountedSpace
from spaces.mnasfpn import MnasFPN
from spaces.nasfpn import NASFPN

SHARED = {
    "levels": (4, 5),
    "backbone_levels": (4, 5),
    "intermediates": 1,
    "intermediate_levels": (4, 5),
    "repeats": 1,
}
POOLED = {"levels": (5, 6), "backbone_levels": (5,), "intermediate_levels": (5, 6)}


def nasfpn(**changes: object) -> NASFPN:
    own = {"ops": ("sum", "gp"), "projection": "per_use", "width": 8}
    return NASFPN(**{**SHARED, **own, **changes})  # type: ignore[arg-type]


def mnasfpn(**changes: object) -> MnasFPN:
    own = {"in_degree": 2, "widths": (8,), "expansions": (8,), "kernels": (3,)}
    own["ops"] = ("sum", "se") if changes.get("in_degree", 2) == 2 else ("sum",)
    return MnasFPN(**{**SHARED, **own, **changes})  # type: ignore[arg-type]


ONE = {"intermediate_levels": (4,)}
TWINS = {"intermediates": 2, "intermediate_levels": (4,)}
SMALL = {
    "nasfpn": nasfpn(),
    "nasfpn, C6 pooled": nasfpn(**POOLED),
    "nasfpn, residual, two copies": nasfpn(**ONE, residual=True, repeats=2),
    "nasfpn, twins and ties": nasfpn(**TWINS, ops=("gp",)),
    "mnasfpn": mnasfpn(),
    "mnasfpn, C and F, sums": mnasfpn(widths=(8, 16), expansions=(8, 16), ops=("sum",)),
    "mnasfpn, twins, ties, unused": mnasfpn(**TWINS, ops=("se",)),
    "no_expand, C6 pooled": mnasfpn(**POOLED, expansions=None, ops=("sum",)),
    "connsearch, D = 3": mnasfpn(in_degree=3, **ONE),
    "connsearch, D = 4": mnasfpn(in_degree=4, **ONE),
}


def assert_exact(space: CountedSpace) -> Counter[str]:
    """Compare the multiplicity of every vector with how often its key occurs."""
    vectors = list(enumerate_choices(space.decisions))
    keys = [key(space.decode(choices)) for choices in vectors]
    found = Counter(keys)
    for choices, name in zip(vectors, keys, strict=True):
        assert space.multiplicity(choices) == found[name], choices
    return found


@pytest.mark.parametrize("name", SMALL)
def test_every_vector_of_a_small_space_is_counted(name: str) -> None:
    found = assert_exact(SMALL[name])
    assert len(set(found.values())) > 2  # networks differ in how often they occur
    if name == "nasfpn":
        assert (found.total(), len(found)) == (4608, 656)


THREE = {"levels": (4, 5, 6), "intermediate_levels": (6,), "ops": ("sum",)}
# cell0 at level 6 = P4 + P6; outputs P4 = P5 + cell0, P5 = P4 + cell0, P6 = P4 + P5,
# and the same with P5 and P6 exchanged in the two cells of level 6.
READS_BELOW: Choices = (0, 1, 0, 0, 1, 2, 0, 0, 2, 0, 0, 0, 0, 0, 0)
READS_TOP: Choices = (0, 0, 0, 0, 1, 2, 0, 0, 2, 0, 0, 1, 0, 0, 0)


def test_a_pooled_input_with_one_use_is_one_of_several_equal_poolings() -> None:
    """In one copy the two vectors are one network, in two copies they are two."""
    once, twice = (nasfpn(**THREE, repeats=repeats) for repeats in (1, 2))
    vectors = (READS_BELOW, READS_TOP)
    assert len({key(once.decode(v)) for v in vectors}) == 1
    assert len({key(twice.decode(v)) for v in vectors}) == 2
    apart = sum(twice.multiplicity(v) for v in vectors)
    assert [once.multiplicity(v) for v in vectors] == [apart, apart]


@pytest.mark.slow
@pytest.mark.parametrize("op", ["sum", "gp"])
def test_every_vector_is_counted_where_the_top_input_has_no_name(op: str) -> None:
    found = assert_exact(nasfpn(**{**THREE, "ops": (op,)}))
    assert found.total() == 259_200


def test_a_vector_that_does_not_fit_is_refused() -> None:
    for space in (nasfpn(), mnasfpn()):
        with pytest.raises(UserError, match="entries"):
            space.multiplicity((0,))
