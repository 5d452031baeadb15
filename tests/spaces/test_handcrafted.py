"""Hand-made pyramids against their papers' words, written out once more here."""

import json
import re
from collections.abc import Callable
from itertools import product
from pathlib import Path

import pytest
import torch
from omegaconf import DictConfig

from fpnbench.cli.build import build_space
from fpnbench.detect.pyramid import FeaturePyramid
from fpnbench.graph.builder import Builder
from fpnbench.graph.canonical import canonical, key
from fpnbench.graph.errors import UserError
from fpnbench.graph.genotype import Genotype
from fpnbench.graph.ops import (
    Conv,
    Input,
    Noise,
    Op,
    Project,
    Resample,
    Rolled,
    SepConv,
    StridedConv,
    Sum,
    WeightedSum,
)
from fpnbench.graph.trace import level_sizes, trace
from spaces.handcrafted import Handcrafted
from spaces.handcrafted.space import PYRAMIDS

CELLS = sorted((Path(__file__).parents[2] / "conf" / "cell").glob("*.json"))
CHANNELS = {2: 24, 3: 40, 4: 112, 5: 320}
WIDTH = 16

# A line makes one feature: level, then what it is made of. The level is the last digit
# of a name; operands are brought to it by max-pool or nearest. Without letters before
# the bracket it is the sum alone.
# R ReLU-conv3x3-BN, N conv3x3-BN, X conv1x1; S and T: N and R with stride 2;
# W: R of a weighted sum; V conv1x1 behind ReLU6; D separable conv3x3-BN, E and F: D
# with stride 2, F behind ReLU6; H conv1x1-BN to half the width, G behind ReLU;
# Y conv1x1-BN; Z the 1x1-BN to 256 channels of tensorflow/models' last layer;
# Q the map of another image, J noise.
POOLED = "I3=P(C3) I4=P(C4) I5=P(C5) I6=(I5) I7=(I6) "
LATERALS = "L3=X(C3) L4=X(C4) L5=X(C5) "
TOP_DOWN = LATERALS + "T4=(L4+L5) T3=(L3+T4) "
RETINA = "O6=S(O5) O7=T(O6)"  # P6 of P5 and P7 of ReLU of P6
WORDS = {
    "fpn_vanilla": POOLED + "O7=R(I7) O6=R(I6+O7) O5=R(I5+O6) O4=R(I4+O5) O3=R(I3+O4)",
    "fpn": TOP_DOWN + "O5=N(L5) O4=N(T4) O3=N(T3) " + RETINA,
    "c4_only": "O4=X(C4)",
    "c5_only": "O5=X(C5)",
    "no_top_down": LATERALS + "O5=N(L5) O4=N(L4) O3=N(L3) " + RETINA,
    "no_lateral": "L5=X(C5) U4=(L5) U3=(U4) O5=N(L5) O4=N(U4) O3=N(U3) " + RETINA,
    "finest_only": TOP_DOWN + "O3=N(T3)",
    "fpnlite": "K5=Z(C5) L5=V(K5) L4=X(C4) L3=X(C3) T4=(L4+L5) T3=(L3+T4) "
    "O5=(L5) O4=D(T4) O3=D(T3) O6=E(L5) O7=F(O6)",
    "panet": POOLED + "T6=R(I6+I7) T5=R(I5+T6) T4=R(I4+T5) O3=R(I3+T4) "
    "O4=R(T4+O3) O5=R(T5+O4) O6=R(T6+O5) O7=R(I7+O6)",
    "bottom_up": POOLED + "O3=R(I3) O4=R(I4+O3) O5=R(I5+O4) O6=R(I6+O5) O7=R(I7+O6)",
    "bifpn": POOLED + "T6=R(I6+I7) T5=R(I5+T6) T4=R(I4+T5) O3=R(I3+T4) "
    "O4=R(I4+T4+O3) O5=R(I5+T5+O4) O6=R(I6+T6+O5) O7=R(I7+O6)",
    "bifpn_weighted": POOLED + "T6=W(I6+I7) T5=W(I5+T6) T4=W(I4+T5) O3=W(I3+T4) "
    "O4=W(I4+T4+O3) O5=W(I5+T5+O4) O6=W(I6+T6+O5) O7=W(I7+O6)",
    "fully_connected": POOLED
    + " ".join(f"O{k}=R(I3+I4+I5+I6+I7)" for k in (3, 4, 5, 6, 7)),
    "mimo": TOP_DOWN + "O5=N(L5) O4=N(T4) O3=N(T3) O6=S(C5) O7=T(O6)",
    "simo": "L5=X(C5) U4=(L5) U3=(U4) O5=N(L5) O4=N(U4) O3=N(U3) O6=S(C5) O7=T(O6)",
    "miso": TOP_DOWN + "B3=N(T3) M4=N(T4) B4=(M4+B3) J5=(L5+B4) O5=N(J5)",
    "siso": "L5=X(C5) O5=N(L5)",
    "no_fusion": POOLED + "O3=R(I3) O4=R(I4) O5=R(I5) O6=R(I6) O7=R(I7)",
    "ssd": "O3=Y(C3) O4=Y(C4) O5=Y(C5) H5=H(C5) O6=T(H5) H6=G(O6) O7=T(H6)",
    "rolled": POOLED + "O7=R(I7) Q7=Q(O7) O6=R(I6+Q7) Q6=Q(O6) O5=R(I5+Q6) "
    "Q5=Q(O5) O4=R(I4+Q5) Q4=Q(O4) O3=R(I3+Q4)",
    "noisy": POOLED + "O7=R(I7) J7=J(O7) O6=R(I6+J7) J6=J(O6) O5=R(I5+J6) "
    "J5=J(O5) O4=R(I4+J5) J4=J(O4) O3=R(I3+J4)",
    "nasfpn_fig7b": POOLED + "A6=R(I7+I5) A7=R(I7+I6) O3=R(A6+A7+I3) O6=R(A7+I5) "
    "O4=R(I7+A6+I4) O5=R(I7+O6) O7=R(I7+O6)",
    "nasfpn_fig7c": POOLED + "A6=R(I6+I5) A7=R(I6+A6) O4=R(I7+A6) O5=R(I4+O4) "
    "O6=R(I7+A7) O3=R(I7+A7+I3) O7=R(I7+O3)",
    "nasfpn_fig7d": POOLED + "A4=R(I5+I3) A5=R(I6+I3) O3=R(I5+I3) O4=R(A4+O3) "
    "O6=R(I5+I3) O7=R(I4+O4+I7) O5=R(I6+A4+A5)",
    "nasfpn_fig7e": POOLED + "A4=R(I7+I5) B4=R(I6+I5) O3=R(B4+I3) O4=R(I3+O3+I4+A4) "
    "O5=R(O3+O4) O6=R(O3+O5) O7=R(O3+O5)",
    "fpn_merging": POOLED + "T4=(I4+I5) T3=(I3+T4) "
    "O3=R(T3) O4=R(T4) O5=R(I5) O6=R(I6) O7=R(I7)",
    "simo_merging": "I5=P(C5) I6=(I5) I7=(I6) U4=(I5) U3=(U4) "
    "O3=R(U3) O4=R(U4) O5=R(I5) O6=R(I6) O7=R(I7)",
    "miso_merging": "I3=P(C3) I4=P(C4) I5=P(C5) T4=(I4+I5) T3=(I3+T4) "
    "B3=R(T3) M4=R(T4) B4=(M4+B3) O5=R(I5+B4)",
    "siso_merging": "I5=P(C5) O5=R(I5)",
}

# With a single copy it has no 1x1 of its own yet; see tests/spaces/test_known_order.py.
WORDS["fpn_stacked"] = WORDS["fpn_vanilla"]


def plain(activation: str, kernel: int, norm: bool = True, width: int = WIDTH) -> Op:
    return Conv(width, kernel, activation, bias=True, norm=norm)  # type: ignore[arg-type]


MADE: dict[str, Op] = {
    "R": plain("relu", 3),
    "W": plain("relu", 3),
    "N": plain("none", 3),
    "X": plain("none", 1, norm=False),
    "V": plain("relu6", 1, norm=False),
    "P": Project(WIDTH, bias=True),
    "D": SepConv(WIDTH, 3, "none", bias=False),
    "Y": plain("none", 1),
    "H": plain("none", 1, width=WIDTH // 2),
    "G": plain("relu", 1, width=WIDTH // 2),
    "Z": Conv(256, 1, "none", bias=False),
    "Q": Rolled(),
    "J": Noise(),
}


def strided(letter: str, target: int) -> StridedConv | None:
    """The kinds that change the level."""
    if letter not in "STEF":
        return None
    before = {"S": "none", "T": "relu", "E": "none", "F": "relu6"}[letter]
    lite = letter in "EF"
    return StridedConv(  # type: ignore[arg-type]
        target - 1, target, WIDTH, 3, before, bias=not lite, separable=lite
    )


def written_out(words: str) -> Genotype:
    """Build the graph of a line of words."""
    b = Builder()
    nodes = {f"C{level}": b.input(level) for level in (3, 4, 5)}
    for word in words.split():
        name, letter, operands = re.fullmatch(r"(..)=(.?)\((.+)\)", word).groups()  # type: ignore[union-attr]
        level = int(name[1])
        sources = [nodes[operand] for operand in operands.split("+")]
        if letter and (conv := strided(letter, level)):
            nodes[name] = b.strided(sources[0], conv)
            continue
        brought = [b.resample(source, level) for source in sources]
        node = brought[0]
        if len(brought) > 1:
            node = b.add(WeightedSum() if letter == "W" else Sum(), *brought)
        nodes[name] = b.add(MADE[letter], node) if letter else node
    return b.build({int(n[1]): i for n, i in nodes.items() if n[0] == "O"}, 1)


@pytest.mark.parametrize("name", WORDS)
def test_a_pyramid_is_what_its_paper_says(name, make_cell) -> None:
    assert key(make_cell(name, width=WIDTH)) == key(written_out(WORDS[name]))


def test_every_pyramid_has_words_a_cell_and_a_place_in_the_space(make_space) -> None:
    cells = [json.loads(path.read_text()) for path in CELLS]
    named = {cell["name"] for cell in cells if cell["space"] == "handcrafted"}
    (decision,) = make_space("handcrafted").decisions
    assert named == set(WORDS) == set(decision.options)
    assert len(decision.options) == len(WORDS)


@pytest.mark.parametrize("path", CELLS, ids=lambda path: path.stem)
def test_a_cell_names_itself_and_its_source(path) -> None:
    cell = json.loads(path.read_text())
    assert cell["name"] == path.stem
    assert len(cell["source"]) > 20


# A single copy of fpn_stacked is fpn_vanilla.
@pytest.mark.parametrize(("repeats", "networks"), [(1, 29), (2, 30)])
def test_no_two_pyramids_are_the_same_network(repeats, networks, make_space) -> None:
    space = make_space("handcrafted", repeats)
    keys = {key(space.decode((choice,))) for choice in range(len(WORDS))}
    assert len(keys) == networks


def make(
    name: str, levels: tuple[int, ...], repeats: int = 1, **kw: object
) -> Genotype:
    """One pyramid on the maps from the lowest of `levels` to C5."""
    arguments = {
        "backbone_levels": tuple(range(min(3, levels[0]), 6)),
        "coarse": "conv",
        "wirings": {},
        "width": WIDTH,
    }
    space = Handcrafted([name], levels, repeats=repeats, **arguments | kw)  # type: ignore[arg-type]
    return canonical(space.decode((0,)))


@pytest.mark.parametrize("image_px", [64, 100])
@pytest.mark.parametrize("levels", [(3, 4, 5, 6, 7), (3, 4, 5, 6), (2, 3, 4, 5, 6)])
@pytest.mark.parametrize("name", PYRAMIDS)
def test_any_levels_can_be_had_at_any_size(name, levels, image_px) -> None:
    """Traced once and twice stacked; run by torch without computing anything."""
    sizes = level_sizes(image_px)
    for repeats in (1, 2):
        genotype = make(name, levels, repeats)
        rows = trace(genotype, CHANNELS, image_px).rows
        shapes = {level: rows[i].shape for level, i in genotype.outputs}
        assert shapes == {level: (WIDTH, *sizes(level)) for level in shapes}
        single = {
            "c4_only": (4,),
            "c5_only": (5,),
            "miso": (5,),
            "siso": (5,),
            "miso_merging": (5,),
            "siso_merging": (5,),
            "finest_only": levels[:1],
        }
        assert tuple(shapes) == single.get(name, levels)
    with torch.device("meta"):
        pyramid = FeaturePyramid(genotype, CHANNELS).eval()
        outputs = pyramid(
            {level: torch.empty(1, c, *sizes(level)) for level, c in CHANNELS.items()}
        )
    assert {level: x.shape[1:] for level, x in outputs.items()} == shapes


@pytest.mark.parametrize("name", [path.stem for path in CELLS])
def test_every_cell_runs_under_a_detector_that_reads_few_levels(
    name, make_cell
) -> None:
    whole = make_cell(name)
    for read, image_px in product([range(3, 8), range(3, 7), (4, 5)], [64, 100]):
        if not set(read) & set(whole.levels):
            with pytest.raises(UserError, match="reads levels"):
                whole.restrict(read)
            continue
        form = canonical(whole.restrict(read))
        traced, sizes = trace(form, CHANNELS, image_px), level_sizes(image_px)
        assert form.levels == tuple(lv for lv in whole.levels if lv in read)
        for level, index in form.outputs:
            assert traced.rows[index].shape[1:] == sizes(level)


def test_the_papers_own_p6_is_a_subsample_of_p5() -> None:
    for name in ("fpn", "no_top_down", "no_lateral"):
        genotype = make(name, (2, 3, 4, 5, 6), coarse="subsample")
        outputs = dict(genotype.outputs)
        assert genotype.nodes[outputs[6]].op == Resample(5, 6, kernel=1)
        assert genotype.nodes[outputs[6]].inputs == (outputs[5],)


def test_forms_with_a_single_input_read_c5_alone(make_cell) -> None:
    for name in ("no_lateral", "simo", "siso", "c5_only", "simo_merging"):
        nodes = make_cell(name).nodes
        assert [node.op for node in nodes if isinstance(node.op, Input)] == [Input(5)]


def test_a_pyramid_of_ones_own_needs_yaml_alone(
    conf: Callable[..., DictConfig],
) -> None:
    cfg = conf(
        "space=handcrafted",
        "space.pyramids=[mine]",
        '+space.wirings.mine=["P4 0 1","P3 2 0"]',
        "space.levels=[3,4]",
        f"width={WIDTH}",
    )
    mine = build_space(cfg).decode((0,))
    words = "I3=P(C3) I4=P(C4) O4=R(I3+I4) O3=R(O4+I3)"
    assert key(mine) == key(written_out(words))


@pytest.mark.parametrize(
    ("lines", "said"),
    [
        (["P3 0 two"], r"'P3 0 two': a cell is written as"),
        (["P3"], r"'P3': a cell is written as"),
        (["P3 0", "P5 1"], r"'P5 1': level 5 is not in levels=\[3, 4\]"),
        (["P3 0", "P3 1"], r"'P3 1': level 3 is put out twice"),
        (["P3 2", "P4 1"], r"'P3 2': feature 2 is not in 0\.\.1"),
        (["L3 0 1", "P3 2 4", "P4 3"], r"'P3 2 4': feature 4 is not in 0\.\.2"),
        (["L4 0 1", "P3 2"], r"no cell puts out levels \[4\]"),
        ([], r"no cell puts out levels \[3, 4\]"),
    ],
)
def test_a_wiring_that_cannot_be_built_is_explained(lines, said) -> None:
    with pytest.raises(UserError, match=f"wiring mine.*{said}"):
        make("mine", (3, 4), wirings={"mine": lines})


@pytest.mark.parametrize(
    ("name", "changes", "said"),
    [
        ("pagoda", {}, r"pagoda.*fpn_vanilla"),
        ("fpn", {"wirings": {"panet": []}}, r"wirings=\['panet'\]"),
        ("fpn", {"repeats": 0}, "repeats=0"),
        ("fpn", {"coarse": "pool"}, "'pool', allowed: conv, subsample"),
        ("ssd", {"extras": (8,), "levels": (4, 5)}, r"extras=\[8\]: 0 levels need"),
        ("fpn", {"levels": (3, 5)}, r"levels=\[3, 5\] .* without a gap"),
        ("fpn", {"levels": (4,)}, r"levels=\[4\] must be two or more"),
        ("fpn", {"levels": (6, 7)}, r"levels=\[6, 7\] .*backbone_levels=\[3, 4, 5\]"),
        ("c4_only", {"levels": (5, 6)}, r"reads C4, levels=\[5, 6\]"),
    ],
)
def test_bad_arguments_are_named(name, changes, said) -> None:
    with pytest.raises(UserError, match=said):
        make(name, **{"levels": (3, 4, 5)} | changes)
