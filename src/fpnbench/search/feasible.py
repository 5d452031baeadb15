"""Which networks of a space an evaluator can score at all."""

from collections.abc import Iterable

from fpnbench.graph.canonical import canonical
from fpnbench.graph.decision import Choices, cardinality, enumerate_choices
from fpnbench.graph.errors import UserError
from fpnbench.graph.genotype import Genotype
from fpnbench.graph.protocols import Evaluator, Space
from fpnbench.search.searcher import uniform_choices

LOOKED_AT = 100
"""Networks of a large space that are looked at before it is refused."""


def what_is_read(genotype: Genotype, evaluator: Evaluator) -> Genotype:
    """Return the canonical form of what an evaluator reads of a genotype.

    Raises:
        UserError: it reads nothing of it, or cannot score it.
    """
    form = canonical(genotype.restrict(evaluator.levels))
    evaluator.check(form)
    return form


def check_space(space: Space, evaluator: Evaluator) -> None:
    """Refuse a space of which an evaluator can score no network.

    Small spaces are looked through, of others so many uniform draws. Where some
    networks fit and others do not, the others are infeasible trials.

    Raises:
        UserError: says what the first of them lacks.
    """
    decisions = space.decisions
    vectors: Iterable[Choices] = enumerate_choices(decisions)
    if cardinality(decisions) > LOOKED_AT:
        vectors = (uniform_choices(decisions, 0, n) for n in range(LOOKED_AT))
    reasons = []
    for choices in vectors:
        genotype = space.decode(choices)
        try:
            what_is_read(genotype, evaluator)
        except UserError as error:
            reasons.append(str(error))
        else:
            return
    raise UserError(f"no network of the space {space.name} fits: {reasons[0]}")
