from collections import Counter

import pytest

from fpnbench.graph.builder import Builder
from fpnbench.graph.canonical import canonical, key
from fpnbench.graph.decision import cardinality, enumerate_choices
from fpnbench.graph.errors import UserError
from fpnbench.graph.genotype import Genotype, node_levels
from fpnbench.graph.ops import Conv, GlobalPool, Project, Sum
from spaces.nasfpn import NASFPN

# (level, op, inputs, dangling) of the published cell, indices in order of creation:
# 0-4 are P3-P7 in. Source: tensorflow/tpu nasfpn.py; dangling sums: paper Fig. 6.
PUBLISHED = [
    (4, "gp", (1, 3), ()),
    (4, "sum", (1, 5), ()),
    (3, "sum", (0, 6), ()),
    (4, "sum", (6, 7), ()),
    (5, "gp", (7, 8), (2,)),
    (7, "gp", (6, 9), (4,)),
    (6, "gp", (9, 10), ()),
]


def small(**changes: object) -> NASFPN:
    arguments = {
        "levels": (4, 5),
        "backbone_levels": (4, 5),
        "intermediates": 1,
        "intermediate_levels": (4, 5),
        "ops": ("sum", "gp"),
        "projection": "once",
        "repeats": 1,
        "width": 8,
    }
    return NASFPN(**{**arguments, **changes})  # type: ignore[arg-type]


def written_out(width: int) -> Genotype:
    """The published network, node by node from the table above."""
    b = Builder()
    c3, c4, c5 = b.input(3), b.input(4), b.input(5)
    p5 = b.add(Project(width, True), c5)
    p6 = b.resample(p5, 6)
    p7 = b.resample(p6, 7)
    features, raw = [c3, c4, p5, p6, p7], {c3, c4}

    def take(index: int, level: int) -> int:
        node = features[index]
        if node in raw:
            node = b.add(Project(width, True), node)
        return b.resample(node, level)

    outputs = {}
    for level, op, (i, j), dangling in PUBLISHED:
        operands = [take(i, level), take(j, level)]
        if op == "gp":
            # in all four the second input is the coarser one
            operands = [b.add(GlobalPool(), operands[1], operands[0])]
        operands += [take(d, level) for d in dangling]
        merged = b.add(Sum(), *operands) if len(operands) > 1 else operands[0]
        features.append(b.add(Conv(width, 3, "relu", True), merged))
        outputs[level] = features[-1]
    outputs[4] = features[8]
    return b.build(outputs, 1)


def test_published_cell_is_a_point_of_the_space(make_cell) -> None:
    # cell 10 is coarser by its first input P5out? no: #6 (P4) and P5out, as listed
    assert key(make_cell("nasfpn", width=16)) == key(written_out(16))


def test_cardinality_is_the_designs(make_space) -> None:
    assert cardinality(make_space("nasfpn").decisions) == 247_210_809_753_600_000


def test_counter_agrees_with_enumeration() -> None:
    space = small()
    vectors = list(enumerate_choices(space.decisions))
    assert len(set(vectors)) == len(vectors) == cardinality(space.decisions) == 4608
    for choices in vectors[::97]:
        assert space.decode(choices).levels == (4, 5)


def describe(genotype: Genotype) -> Counter[str]:
    return Counter(type(node.op).__name__ for node in canonical(genotype).nodes)


def test_unused_features_are_summed_into_the_output_of_their_level() -> None:
    """Outputs P4 = (P4 + cell0), P5 = (P4 + cell0): P5-in and nothing else dangles."""
    space = small()
    # cell0 = P4 + P5 at level 4, sum; output 1 = P4 + cell0 at level 4; output 2 at
    # level 5 = P4 + cell0. P5-in was used by cell0, so nothing dangles.
    used = space.decode((0, 0, 0, 0, 0, 1, 0, 0, 1, 0, 0))
    sums = [n for n in canonical(used).nodes if isinstance(n.op, Sum)]
    assert sorted(len(n.inputs) for n in sums) == [2, 2, 2]
    # output 1 at level 5 = P4 + P5, output 2 at level 4 = P4 + output 1: cell0, at
    # level 4 and unused, is added to output 2.
    dangling = space.decode((0, 0, 0, 0, 0, 0, 0, 0, 2, 0, 1))
    sums = [n for n in canonical(dangling).nodes if isinstance(n.op, Sum)]
    assert sorted(len(n.inputs) for n in sums) == [2, 2, 3]


def test_dangling_operands_join_the_sum_beside_global_pooling() -> None:
    space = small()
    genotype = space.decode((0, 0, 0, 0, 0, 0, 0, 0, 2, 1, 1))
    form = canonical(genotype)
    sums = [n for n in form.nodes if isinstance(n.op, Sum)]
    pooled = [
        n
        for n in sums
        if any(isinstance(form.nodes[i].op, GlobalPool) for i in n.inputs)
    ]
    assert len(pooled) == 1
    assert len(pooled[0].inputs) == 2


def test_global_pooling_attends_from_the_higher_level_and_first_at_ties() -> None:
    space = small(intermediates=0)

    def operands(choices: tuple[int, ...]) -> tuple[int, int]:
        genotype = space.decode(choices)
        levels = node_levels(genotype)
        node = next(n for n in genotype.nodes if isinstance(n.op, GlobalPool))

        def origin(index: int) -> int:
            """Level of the feature before it was resampled."""
            while (source := genotype.nodes[index]).inputs and levels[
                source.inputs[0]
            ] != levels[index]:
                index = source.inputs[0]
            return levels[index]

        coarse, fine = node.inputs
        return origin(coarse), origin(fine)

    # output 1 at level 4 = gp(P4, P5) and gp(P5, P4): the same network
    assert operands((0, 0, 1, 0, 0, 0, 0)) == (5, 4)
    assert operands((1, 0, 1, 0, 0, 0, 0)) == (5, 4)
    one, other = ((0, 0, 1, 0, 0, 0, 0), (1, 0, 1, 0, 0, 0, 0))
    assert key(space.decode(one)) == key(space.decode(other))
    # output 2 at level 5 = gp(P4, output 1), both of level 4: order matters
    first = space.decode((0, 0, 0, 0, 1, 1, 0))
    second = space.decode((0, 0, 0, 2, 0, 1, 0))
    assert key(first) != key(second)
    for genotype, kind in ((first, Project), (second, Conv)):
        node = next(n for n in genotype.nodes if isinstance(n.op, GlobalPool))
        pooled = genotype.nodes[node.inputs[0]]  # the first input, brought to level 5
        assert isinstance(genotype.nodes[pooled.inputs[0]].op, kind)


def test_projection_per_use_or_once(make_cell) -> None:
    """C4 is used twice: five projections per use (C3, C4 x 2, C5 once), three once."""
    assert describe(make_cell("nasfpn"))["Project"] == 4
    once = small(projection="once").decode((0,) * 11)
    assert describe(once)["Project"] == 2


def test_repeats_have_nodes_of_their_own_and_no_projection(make_cell) -> None:
    one, three = (describe(make_cell("nasfpn", repeats=r)) for r in (1, 3))
    assert three["Conv"] == 3 * one["Conv"] == 21
    assert three["Project"] == one["Project"]


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"ops": ("sum", "max")}, "max"),
        ({"projection": "never"}, "never"),
        ({"repeats": 0}, "repeats=0"),
        ({"levels": (2, 4)}, r"levels=\[2, 4\].*backbone_levels=\[4, 5\]"),
        ({"intermediates": -1}, "intermediates=-1"),
    ],
)
def test_bad_arguments_are_named(changes, message) -> None:
    with pytest.raises(UserError, match=message):
        small(**changes)
