"""Networks that are drawn for a check, and what is known without training them."""

from dataclasses import dataclass

from fpnbench.graph.canonical import digest
from fpnbench.graph.decision import Choices
from fpnbench.graph.errors import UserError
from fpnbench.graph.genotype import Genotype
from fpnbench.graph.ops import Conv, SepConv, StridedConv
from fpnbench.graph.protocols import Evaluator, Space
from fpnbench.graph.score import Score
from fpnbench.search.feasible import what_is_read
from fpnbench.search.searcher import uniform_choices

DRAWS = 100
"""Draws for each network wanted, before a space is said to hold too few."""
KNOWN = ("macs", "params", "depth", "nodes")
"""Numbers of a network that are known without a training."""


@dataclass(frozen=True, slots=True)
class Drawn:
    """A network as random search draws it: proposal `number` of its run."""

    number: int
    choices: Choices
    key: str
    genotype: Genotype


def draw(
    space: Space, evaluator: Evaluator, seed: int, count: int, key: str
) -> list[Drawn]:
    """Return the first different networks that random search with `seed` would score.

    Args:
        space: to be drawn from.
        evaluator: what it reads tells networks apart.
        seed: of the search.
        count: how many.
        key: by which so many were asked for.

    Raises:
        UserError: so many are not found.
    """
    networks: dict[str, Drawn] = {}
    for number in range(DRAWS * count):
        choices = uniform_choices(space.decisions, seed, number)
        try:
            genotype = what_is_read(space.decode(choices), evaluator)
        except UserError:
            continue  # does not fit, as others may: infeasible in a search
        name = digest(genotype)
        networks.setdefault(name, Drawn(number, choices, name, genotype))
        if len(networks) == count:
            return list(networks.values())
    raise UserError(
        f"{key}={count}: {DRAWS * count} draws of the space {space.name} "
        f"hold {len(networks)} different networks that fit"
    )


def known(network: Drawn, score: Score) -> dict[str, int]:
    """Return what is known of a network without training it."""
    nodes = network.genotype.nodes
    values = score.macs, score.params, depth(network.genotype), len(nodes)
    return dict(zip(KNOWN, values, strict=True))


def depth(genotype: Genotype) -> int:
    """Count the convolutions on the longest way through a pyramid, without projections.

    Those stand on every way, once, and only where a map has another width.
    """
    depths: list[int] = []
    for node in genotype.nodes:
        own = isinstance(node.op, Conv | SepConv | StridedConv)
        depths.append(own + max((depths[i] for i in node.inputs), default=0))
    return max(depths[index] for _, index in genotype.outputs)
