import random
from collections import Counter, defaultdict

import networkx as nx
import numpy as np
import pytest
from networkx.algorithms.isomorphism import DiGraphMatcher

from fpnbench.graph.canonical import canonical, digest, key
from fpnbench.graph.decision import cardinality, enumerate_choices
from fpnbench.graph.genotype import Genotype, Node
from fpnbench.graph.ops import COMMUTATIVE, Conv, Input, Sum
from spaces.mnasfpn import MnasFPN
from spaces.nasfpn import NASFPN

# 2 levels, 1 intermediate and 2 output cells, ordered pairs.
SMALL = NASFPN(
    levels=(4, 5),
    backbone_levels=(4, 5),
    intermediates=1,
    intermediate_levels=(4, 5),
    ops=("sum", "gp"),
    projection="per_use",
    repeats=1,
    width=8,
)
SMALL_MNASFPN = MnasFPN(
    levels=(4, 5),
    backbone_levels=(4, 5),
    intermediates=1,
    intermediate_levels=(4, 5),
    in_degree=2,
    widths=(8,),
    expansions=(8,),
    ops=("sum",),
    kernels=(3,),
    repeats=1,
)


def as_graph(genotype: Genotype) -> nx.DiGraph:
    """The part that outputs reach, with every fact that makes a network another one."""
    graph = nx.DiGraph()
    outputs = {index: level for level, index in genotype.outputs}
    for index, node in enumerate(genotype.nodes):
        graph.add_node(index, label=(repr(node.op), outputs.get(index)))
        ordered = not isinstance(node.op, COMMUTATIVE)
        for position, source in enumerate(node.inputs):
            graph.add_edge(source, index, position=position if ordered else None)
    alive = set(outputs)
    for index in outputs:
        alive |= nx.ancestors(graph, index)
    return graph.subgraph(alive)


def isomorphic(a: nx.DiGraph, b: nx.DiGraph) -> bool:
    return DiGraphMatcher(
        a,
        b,
        node_match=lambda x, y: x["label"] == y["label"],
        edge_match=lambda x, y: x["position"] == y["position"],
    ).is_isomorphic()


def invariant(graph: nx.DiGraph) -> tuple[object, ...]:
    """Equal for isomorphic graphs; only to compare fewer pairs."""
    labels = Counter(label for _, label in graph.nodes(data="label"))
    edges = Counter(
        (graph.nodes[a]["label"], graph.nodes[b]["label"]) for a, b in graph.edges
    )
    return frozenset(labels.items()), frozenset(edges.items())


def relabelled(genotype: Genotype, rng: random.Random) -> Genotype:
    """The same network in another topological order, operands shuffled."""
    place: dict[int, int] = {}
    nodes: list[Node] = []
    waiting = list(range(len(genotype.nodes)))
    while waiting:
        ready = [i for i in waiting if set(genotype.nodes[i].inputs) <= place.keys()]
        index = rng.choice(ready)
        waiting.remove(index)
        node = genotype.nodes[index]
        inputs = [place[i] for i in node.inputs]
        if isinstance(node.op, COMMUTATIVE):
            rng.shuffle(inputs)
        place[index] = len(nodes)
        nodes.append(Node(node.op, tuple(inputs), (rng.randrange(9), 0)))
    outputs = tuple((level, place[i]) for level, i in genotype.outputs)
    return Genotype(tuple(nodes), outputs, 1)


def check_exhaustively(space: NASFPN | MnasFPN) -> int:
    """Check keys against isomorphism over all pairs; return the number of keys."""
    classes: dict[str, dict[object, nx.DiGraph]] = defaultdict(dict)
    for choices in enumerate_choices(space.decisions):
        genotype = space.decode(choices)
        graph = as_graph(genotype)
        # Of graphs with the same nodes and edges one is matched.
        same = (
            frozenset(graph.nodes(data="label")),
            frozenset(graph.edges.data("position")),
        )
        classes[key(genotype)].setdefault(same, graph)
    buckets: dict[object, list[nx.DiGraph]] = defaultdict(list)
    for members in classes.values():
        first, *others = members.values()
        assert all(isomorphic(first, other) for other in others)
        buckets[invariant(first)].append(first)
    for graphs in buckets.values():
        for i, graph in enumerate(graphs):
            assert not any(isomorphic(graph, other) for other in graphs[:i])
    return len(classes)


def test_keys_are_isomorphism_classes_of_a_complete_nasfpn_space() -> None:
    assert cardinality(SMALL.decisions) == 4608
    assert check_exhaustively(SMALL) == 656


def test_keys_are_isomorphism_classes_of_a_complete_mnasfpn_space() -> None:
    assert cardinality(SMALL_MNASFPN.decisions) == (2 * 2) * 6 * 12 * 2
    assert check_exhaustively(SMALL_MNASFPN) > 1


@pytest.mark.parametrize("space", ["nasfpn", "mnasfpn", "connsearch"])
@pytest.mark.parametrize("repeats", [1, 3])
def test_relabelling_keeps_key_and_canonical_form(space, repeats, make_space) -> None:
    made = make_space(space, repeats=repeats)
    rng, shuffler = np.random.default_rng(1), random.Random(1)
    for _ in range(30):
        choices = tuple(int(rng.integers(len(d.options))) for d in made.decisions)
        genotype = made.decode(choices)
        form = canonical(genotype)
        other = canonical(relabelled(genotype, shuffler))
        assert [(n.op, n.inputs) for n in form.nodes] == [
            (n.op, n.inputs) for n in other.nodes
        ]
        assert form.outputs == other.outputs
        assert digest(form) == digest(other) == key(genotype)


def test_canonical_is_idempotent_and_keeps_blocks(make_space) -> None:
    space = make_space("mnasfpn", repeats=2)
    rng = np.random.default_rng(2)
    for _ in range(20):
        choices = tuple(int(rng.integers(len(d.options))) for d in space.decisions)
        form = canonical(space.decode(choices))
        assert canonical(form) == form
        assert {node.block[0] for node in form.nodes} <= {-1, 0, 1}


def twins(first: int, second: int) -> Genotype:
    """Two exchangeable convolutions that refinement cannot tell apart."""
    conv = Conv(8, 3, "relu", bias=True)
    nodes = [
        Node(Input(3), ()),
        Node(conv, (0,)),
        Node(conv, (0,)),
        Node(Sum(), (first, second)),
    ]
    return Genotype(tuple(nodes), ((3, 3),), 1)


def test_exchangeable_nodes_are_kept_apart_and_their_order_is_free() -> None:
    assert len(canonical(twins(1, 2)).nodes) == 4
    assert key(twins(1, 2)) == key(twins(2, 1))


def test_bottom_up_twins_with_other_consumers_differ() -> None:
    """One shared convolution is not two equal ones: a hash over inputs alone errs."""
    conv, pair = Conv(8, 3, "relu", bias=True), (3, 4)
    shared = [Node(Input(3), ()), Node(conv, (0,)), Node(conv, (0,))]
    crossed = Genotype(
        (*shared, Node(Sum(), (1, 2)), Node(Sum(), (1, 2))),
        tuple(zip((3, 4), pair, strict=True)),
    )
    own = [*shared, Node(conv, (0,)), Node(conv, (0,))]
    apart = Genotype((*own, Node(Sum(), (1, 2)), Node(Sum(), (3, 4))), ((3, 5), (4, 6)))
    assert key(crossed) != key(apart)


def test_key_knows_operand_order_outputs_and_fields() -> None:
    base = twins(1, 2)
    moved = Genotype(base.nodes, ((4, 3),), 1)
    wider = Genotype(
        (base.nodes[0], Node(Conv(9, 3, "relu", True), (0,)), *base.nodes[2:]),
        base.outputs,
    )
    assert len({key(base), key(moved), key(wider)}) == 3
