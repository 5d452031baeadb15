"""What every space must do, run over every yaml in conf/space.

And in FPNBENCH_CONF/space, if that is set: see docs/own_space.md.
"""

import os
from pathlib import Path

import numpy as np
import pytest
import torch

from fpnbench.detect.cost import part_cost
from fpnbench.detect.pyramid import FeaturePyramid
from fpnbench.graph.canonical import canonical, digest
from fpnbench.graph.decision import Choices, cardinality
from fpnbench.graph.errors import UserError
from fpnbench.graph.genotype import Genotype, from_json, to_json
from fpnbench.graph.protocols import CountedSpace, Space
from fpnbench.graph.trace import level_sizes, trace
from fpnbench.search.searcher import uniform_choices

CONF = Path(__file__).parents[2] / "conf"
OWN = Path(os.environ.get("FPNBENCH_CONF", CONF))
NAMES = sorted(
    {p.stem for conf in (CONF, OWN) for p in (conf / "space").glob("*.yaml")}
)
CHANNELS = {3: 40, 4: 112, 5: 320}
DRAWS = 200
TRACED = 25
"""Networks built in torch, a space; `mode=check what=oracles` does 200."""


@pytest.fixture(params=NAMES)
def space(request, make_space) -> Space:
    made: Space = make_space(request.param, repeats=1, width=24)
    return made


def draw(space: Space, number: int) -> Choices:
    return uniform_choices(space.decisions, 7, number)


def test_decisions_are_named_uniquely_and_have_options(space) -> None:
    names = [decision.name for decision in space.decisions]
    assert len(set(names)) == len(names)
    assert all(decision.options for decision in space.decisions)
    assert cardinality(space.decisions) >= 1


def test_every_corner_and_random_vector_decodes(space) -> None:
    corners: list[Choices] = [
        tuple(0 for _ in space.decisions),
        tuple(len(d.options) - 1 for d in space.decisions),
    ]
    levels = set()
    for choices in corners + [draw(space, n) for n in range(DRAWS)]:
        genotype = space.decode(choices)
        levels.add(genotype.levels)
        for index, node in enumerate(genotype.nodes):
            assert all(source < index for source in node.inputs)
        assert from_json(to_json(genotype)) == genotype
        assert digest(canonical(genotype)) == digest(canonical(space.decode(choices)))
    # Single-level pyramids may stand beside those that give all levels, not others.
    assert all(set(found) <= set(max(levels, key=len)) for found in levels)


def test_vectors_that_do_not_fit_are_refused(space) -> None:
    good = draw(space, 0)
    with pytest.raises(UserError, match="entries"):
        space.decode((*good, 0))
    with pytest.raises(UserError, match="choice"):
        space.decode((len(space.decisions[0].options), *good[1:]))


def test_multiplicity_is_a_count_of_choice_vectors(space) -> None:
    """Spaces need not tell; tests/spaces enumerates small ones completely."""
    if isinstance(space, CountedSpace):
        for number in range(TRACED):
            count = space.multiplicity(draw(space, number))
            assert 1 <= count <= cardinality(space.decisions)


def test_trace_agrees_with_torch(space) -> None:
    """Parameters equal numel, MACs equal forward hooks, shapes equal the outputs'."""
    for number in range(TRACED):
        genotype = canonical(space.decode(draw(space, number)))
        check_against_torch(genotype, image_px=(64, 100)[number % 2])


def check_against_torch(genotype: Genotype, image_px: int) -> None:
    traced = trace(genotype, CHANNELS, image_px)
    sizes = level_sizes(image_px)
    with torch.device("meta"):
        pyramid = FeaturePyramid(genotype, CHANNELS)
        feats = {lv: torch.empty(1, c, *sizes(lv)) for lv, c in CHANNELS.items()}
        outputs = pyramid.eval()(feats)
    assert traced.params == sum(p.numel() for p in pyramid.parameters())
    assert traced.macs == part_cost(pyramid, feats).macs
    for level, index in genotype.outputs:
        assert outputs[level].shape[1:] == traced.rows[index].shape
        assert pyramid.out_channels[level] == traced.rows[index].shape[0]


def test_gradients_reach_every_weight(space) -> None:
    """What no output reaches is pruned, so nothing in the module is dead."""
    torch_generator = torch.Generator().manual_seed(0)
    genotype = canonical(space.decode(draw(space, 3)))
    sizes = level_sizes(64)
    with torch.random.fork_rng():
        torch.manual_seed(0)
        pyramid = FeaturePyramid(genotype, CHANNELS)
    feats = {
        lv: torch.randn(2, c, *sizes(lv), generator=torch_generator)
        for lv, c in CHANNELS.items()
    }
    outputs = pyramid(feats)
    weights = np.linspace(1, 2, len(outputs))
    loss = sum(
        w * x.square().mean() for w, x in zip(weights, outputs.values(), strict=True)
    )
    loss.backward()
    assert all(p.grad is not None for p in pyramid.parameters())
