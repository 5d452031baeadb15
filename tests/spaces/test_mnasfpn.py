import json
from math import prod
from pathlib import Path

import pytest

from fpnbench.cli.build import build_space
from fpnbench.graph.builder import Builder
from fpnbench.graph.canonical import canonical, key
from fpnbench.graph.decision import cardinality, enumerate_choices
from fpnbench.graph.errors import UserError
from fpnbench.graph.genotype import Genotype
from fpnbench.graph.ops import Conv, GlobalPool, Resample, Residual, SepConv, Sum
from fpnbench.graph.trace import trace
from spaces.mnasfpn import MnasFPN

CELLS = Path(__file__).parents[2] / "conf" / "cell"
MOBILENETV2 = {3: 32, 4: 96, 5: 320}

# (level, inputs, kernel) of the published blocks, indices 0-3 = C3-C6.
# Source: tensorflow/models, ssd_mobilenet_v2_mnasfpn_feature_extractor.py; Fig. 2.
PUBLISHED = [
    (4, (1, 2), 3),
    (3, (0, 4), 3),
    (4, (5, 4), 3),
    (5, (4, 3), 5),
    (6, (4, 3), 3),
]


def small(**changes: object) -> MnasFPN:
    arguments = {
        "levels": (4, 5),
        "backbone_levels": (4, 5),
        "intermediates": 1,
        "intermediate_levels": (4, 5),
        "in_degree": 2,
        "widths": (8, 16),
        "expansions": (8, 16, 32),
        "ops": ("sum", "se"),
        "kernels": (3, 5),
        "repeats": 1,
    }
    return MnasFPN(**{**arguments, **changes})  # type: ignore[arg-type]


def written_out(
    repeats: int,
    width: int = 48,
    expansions: tuple[int, ...] = (256, 128, 128, 128, 96),
) -> Genotype:
    """The published network, node by node."""
    b = Builder()
    features = [b.input(3), b.input(4), b.input(5)]
    features.append(
        b.add(Conv(width, 1, "none", False), b.resample(features[2], 6, kernel=3))
    )
    for _ in range(repeats):
        inputs, made = features[:4], list(features)
        cells = zip(PUBLISHED, expansions, strict=True)
        for (level, pair, kernel), expansion in cells:
            operands = []
            for index in pair:
                node = made[index]
                if b.level(node) < level:
                    node = b.resample(node, level, kernel=3)
                node = b.add(Conv(expansion, 1, "none", False), node)
                operands.append(b.resample(node, level))
            merged = b.add(Sum(), *operands)
            made.append(b.add(SepConv(width, kernel, "relu6", False), merged))
        features = [
            b.add(Residual(), new, old)
            for new, old in zip(made[5:], inputs, strict=True)
        ]
    return b.build(dict(zip((3, 4, 5, 6), features, strict=True)), repeats)


@pytest.mark.parametrize("repeats", [1, 4])
def test_published_cell_is_a_point_of_the_space(repeats, make_cell) -> None:
    assert key(make_cell("mnasfpn", repeats=repeats)) == key(written_out(repeats))


def test_published_cell_at_depth_multiplier_070(make_cell) -> None:
    """C = 32, F = 176, 88, 88, 88, 64: multiples of 8, at least 90 % (facts 2.2)."""
    network = written_out(4, 32, (176, 88, 88, 88, 64))
    assert key(make_cell("mnasfpn_070", repeats=4)) == key(network)


@pytest.mark.parametrize(("repeats", "gmac"), [(4, 0.0437), (5, 0.0547)])
def test_size_dependent_ordering_saves_the_derived_macs(conf, repeats, gmac) -> None:
    """At 320 px with MobileNetV2's channels; facts 3.5 cut the figures, not round.

    A finer input is expanded on the block's smaller map. Three inputs of a copy are
    finer, all of C = 48 channels: P3 for P4 (F 128), #4 for P5 (128) and P6 (96).
    """
    choices = json.loads((CELLS / "mnasfpn.json").read_text())["choices"]

    def macs(sdo: str) -> int:
        cfg = conf("space=mnasfpn", f"space.sdo={sdo}", f"repeats={repeats}")
        form = canonical(build_space(cfg).decode(tuple(choices)))
        return trace(form, MOBILENETV2, 320).macs

    saved = macs("false") - macs("true")
    copy = 128 * (40**2 - 20**2) + 128 * (20**2 - 10**2) + 96 * (20**2 - 5**2)
    assert saved == repeats * 48 * copy
    assert saved // 10**5 / 10**4 == gmac


def test_without_size_dependent_ordering_every_input_is_expanded_first() -> None:
    space = small(levels=(3, 4, 5), backbone_levels=(3, 4, 5), sdo=False)
    form = canonical(space.decode((0,) * len(space.decisions)))
    resampled = [n for n in form.nodes if isinstance(n.op, Resample)]
    assert {n.op.kernel for n in resampled if n.op.source < n.op.target} == {3}
    assert all(isinstance(form.nodes[n.inputs[0]].op, Conv) for n in resampled)


def test_without_expansion_merges_have_c_channels_and_both_1x1_stay() -> None:
    space = small(expansions=None, widths=(16,))
    assert not any(decision.name.endswith(".F") for decision in space.decisions)
    form = canonical(space.decode((0,) * len(space.decisions)))
    convs = [n.op for n in form.nodes if isinstance(n.op, Conv)]
    merged = sum(len(n.inputs) for n in form.nodes if isinstance(n.op, Sum))
    assert {conv.width for conv in convs} == {16}
    assert len(convs) == merged > 0


def test_cardinalities_are_the_designs(make_space) -> None:
    pairs = prod(n * (n - 1) for n in range(4, 13))
    levels_order = 4**5 * 24
    mnasfpn = pairs * 2**9 * levels_order * 3**9 * 6 * 7**9
    connsearch = (
        prod(n * (n - 1) ** 3 for n in range(4, 13)) * levels_order * 3**9 * 6 * 7**9
    )
    assert cardinality(make_space("mnasfpn").decisions) == mnasfpn
    assert f"{mnasfpn:.4e}" == "9.5547e+34"
    no_expand = pairs * 2**9 * levels_order * 3**9 * 6
    assert cardinality(make_space("no_expand").decisions) == no_expand
    assert f"{no_expand:.5e}" == "2.36775e+27"
    assert cardinality(make_space("connsearch").decisions) == connsearch
    assert f"{connsearch:.4e}" == "7.4336e+46"


def test_counter_agrees_with_enumeration() -> None:
    space = small(ops=("sum",), expansions=(8,), kernels=(3,), in_degree=3)
    vectors = list(enumerate_choices(space.decisions))
    pairs = (2 * 1 * 1) * (3 * 2 * 2) * (4 * 3 * 3)  # extras: none or the n - 2 others
    assert len(set(vectors)) == len(vectors) == pairs * 2 * 2 * 2
    for choices in vectors[::53]:
        assert space.decode(choices).levels == (4, 5)


def sums(genotype: Genotype) -> list[int]:
    nodes = canonical(genotype).nodes
    return sorted(len(n.inputs) for n in nodes if isinstance(n.op, Sum))


def connsearch(*blocks: tuple[int, ...]) -> Genotype:
    """Two output blocks of three levels, in-degree 4: (in1, in2, in3, in4) each."""
    space = small(
        levels=(3, 4, 5),
        backbone_levels=(3, 4, 5),
        intermediates=0,
        in_degree=4,
        ops=("sum",),
        kernels=(3,),
        expansions=(8,),
        widths=(8,),
    )
    flat = [c for inputs in blocks for c in (*inputs, 0, 0)]
    return space.decode((0, *flat, 0, 0))


@pytest.mark.parametrize("degree", [2, 3, 6])
def test_connsearch_of_any_degree(conf, degree) -> None:
    """D - 2 extras a block, each none or one of the n - 2 others."""
    space = build_space(conf("space=connsearch", f"space.in_degree={degree}"))
    inputs = prod(n * (n - 1) * (n - 1) ** (degree - 2) for n in range(4, 13))
    assert cardinality(space.decisions) == inputs * 4**5 * 24 * 3**9 * 6 * 7**9


def test_blocks_of_connsearch_merge_two_to_d_different_features() -> None:
    """An extra is none (0) or one of the others; the same one twice counts once."""
    plain = (0, 0, 0, 0)
    assert sums(connsearch(plain, plain, plain)) == [2, 2, 2]
    # 3 features: only one is left for extras, however often it is asked for
    assert sums(connsearch((0, 0, 1, 0), plain, plain)) == [2, 2, 3]
    assert sums(connsearch((0, 0, 1, 1), plain, plain)) == [2, 2, 3]
    # 4 features: two are left, so four inputs are possible
    assert sums(connsearch(plain, (0, 0, 1, 2), plain)) == [2, 2, 4]
    assert sums(connsearch(plain, (0, 0, 2, 2), plain)) == [2, 2, 3]
    one = connsearch(plain, (0, 0, 1, 2), plain)
    assert key(one) == key(connsearch(plain, (0, 0, 2, 1), plain))


def test_unused_intermediate_blocks_are_absent() -> None:
    space = small()

    # C; block0: inputs, level, F, op, kernel; two output blocks on the inputs alone
    def decode(kernel: int) -> Genotype:
        return space.decode((0, 0, 0, 0, 0, 0, kernel, *(0, 0, 0, 0, 0) * 2, 0))

    assert key(decode(0)) == key(decode(1))
    convs = [n for n in canonical(decode(0)).nodes if isinstance(n.op, SepConv)]
    assert len(convs) == 2


def test_size_dependent_ordering() -> None:
    """Finer inputs are pooled (window 3), then expanded; coarser ones the reverse."""
    space = small(intermediates=0)
    form = canonical(space.decode((0, *(0, 0, 0, 0, 0) * 2, 0)))
    kinds = {}
    for node in form.nodes:
        if isinstance(node.op, Resample):
            source = form.nodes[node.inputs[0]].op
            kinds[(node.op.source, node.op.target, node.op.kernel)] = type(source)
    assert kinds[(5, 4, 0)] is Conv
    assert kinds[(4, 5, 3)] is not Conv


def test_attention_takes_the_coarser_operand_first() -> None:
    space = small(intermediates=0)
    form = canonical(space.decode((0, *(0, 0, 0, 1, 0) * 2, 0)))
    for node in form.nodes:
        if isinstance(node.op, GlobalPool):
            coarse = form.nodes[node.inputs[0]]
            while coarse.inputs and not isinstance(coarse.op, Residual):
                coarse = form.nodes[coarse.inputs[0]]
            assert repr(coarse.op) == "Input(level=5)"


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"ops": ("sum", "cat")}, "cat"),
        ({"in_degree": 1}, "in_degree is 1"),
        ({"in_degree": 3}, "in_degree is 3"),
        ({"repeats": 0}, "repeats=0"),
        ({"widths": (0,)}, r"widths=\(0,\)"),
        ({"intermediate_levels": ()}, "block0.level has no options"),
        ({"intermediates": -1}, "intermediates=-1"),
        ({"intermediate_levels": (6,)}, r"intermediate_levels=\[6\].*levels=\[4, 5\]"),
        ({"levels": (3, 4)}, r"levels=\[3, 4\].*backbone_levels=\[4, 5\]"),
    ],
)
def test_bad_arguments_are_named(changes, message) -> None:
    with pytest.raises(UserError, match=message):
        small(**changes)
