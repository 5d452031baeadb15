from collections import Counter
from math import prod

import pytest

from fpnbench.graph.blocks import block_graph
from fpnbench.graph.builder import Builder
from fpnbench.graph.canonical import canonical, key
from fpnbench.graph.decision import cardinality, enumerate_choices
from fpnbench.graph.errors import UserError
from fpnbench.graph.genotype import Genotype, node_levels
from fpnbench.graph.ops import (
    Conv,
    GlobalPool,
    Project,
    Residual,
    SepConv,
    SepProject,
    Sum,
)
from fpnbench.search.searcher import uniform_choices
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

# (level, merge, features) of NAS-FPNLite-S's cell, 0-3 are C3-C6; dangling ones stand
# among the features. Source: MnasFPN Fig. 3 as facts 2.5 reads it.
LITE_S = {
    4: (4, "+", {1, 2}),
    5: (4, "GP", {1, 2}),
    6: (4, "+", {4, 5}),
    7: (4, "+", {4, 6}),
    8: (4, "+", {1, 2}),
    9: (3, "+", {0, 5}),
    10: (4, "+", {4, 9, 7, 8}),
    11: (5, "GP", {2, 6}),
    12: (6, "+", {10, 11, 3}),
}


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


def pairs(first: int, cells: int) -> int:
    """Ordered pairs of two different features for every cell, one more each time."""
    return prod(n * (n - 1) for n in range(first, first + cells))


def test_cardinalities_are_the_designs(make_space) -> None:
    assert cardinality(make_space("nasfpn").decisions) == 247_210_809_753_600_000
    lite_s = pairs(4, 9) * 2**9 * 4**5 * 24
    assert cardinality(make_space("nasfpnlite_s").decisions) == lite_s
    assert f"{lite_s:.5e}" == "2.00490e+22"
    lite = pairs(4, 15) * 2**15 * 3**11 * 24
    assert cardinality(make_space("nasfpn_lite").decisions) == lite
    on_mnasfpns_levels = pairs(4, 6) * 2**6 * 3**2 * 24
    assert cardinality(make_space("nasfpn_3to6").decisions) == on_mnasfpns_levels


def test_the_cell_of_nasfpnlite_s_has_the_edges_read_off_its_figure(make_cell) -> None:
    graph = block_graph(make_cell("nasfpnlite_s", repeats=2))
    second = {b.key: b for b in graph.blocks if b.key[0] == 1}
    assert len(second) == len(LITE_S)
    for place, (level, merge, features) in LITE_S.items():
        block = second[1, place - 4]
        assert (block.level, block.merge) == (level, merge)
        # Features 0-3 of the second copy are the outputs of the first: its cells 9-12.
        sources = {(1, i - 4) if i > 3 else (0, i + 5) for i in features}
        read = {k.source for k in graph.links if k.target == block.key}
        skipped = {(0, place - 4)} if place >= 9 else set()
        assert read == sources | skipped


def test_separable_and_residual_variants(make_space) -> None:
    """NAS-FPNLite has no plain convolution, NAS-FPNLite-S four residuals a copy."""
    for name, residuals in (("nasfpn_lite", 0), ("nasfpnlite_s", 4)):
        space = make_space(name, repeats=2)
        form = canonical(space.decode(uniform_choices(space.decisions, 0, 0)))
        kinds = Counter(type(node.op) for node in form.nodes)
        assert not kinds.keys() & {Conv, Project}
        assert kinds[SepConv] == 2 * (15 if name == "nasfpn_lite" else 9)
        assert kinds[SepProject] >= 3
        assert kinds[Residual] == 2 * residuals


def test_the_residual_adds_the_input_of_the_same_level() -> None:
    space = small(residual=True, repeats=2)
    genotype = space.decode((0,) * 11)
    levels = node_levels(genotype)
    first, second = (
        {
            levels[i]: (i, n.inputs[1])
            for i, n in enumerate(genotype.nodes)
            if isinstance(n.op, Residual) and n.block[0] == repeat
        }
        for repeat in (0, 1)
    )
    assert first.keys() == second.keys() == {4, 5}
    for level in (4, 5):
        assert isinstance(genotype.nodes[first[level][1]].op, Project)
        assert second[level][1] == first[level][0]


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
        ({"levels": (5, 4)}, r"levels=\[5, 4\] must rise"),
        ({"intermediates": -1}, "intermediates=-1"),
        ({"intermediate_levels": (4, 6)}, r"intermediate_levels=\[4, 6\].*\[4, 5\]"),
        ({"ops": ("sum", "sum")}, "cell0.op has an option twice"),
    ],
)
def test_bad_arguments_are_named(changes, message) -> None:
    with pytest.raises(UserError, match=message):
        small(**changes)
