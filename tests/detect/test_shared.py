"""Shared weights: what a path computes, and which weights are its own."""

import random
from collections.abc import Callable

import pytest
import torch
from torch import Tensor

from fpnbench.detect.pyramid import FeaturePyramid
from fpnbench.detect.shared import SharedPyramid
from fpnbench.detect.shared_bank import cut
from fpnbench.graph.canonical import canonical, key
from fpnbench.graph.decision import Choices
from fpnbench.graph.errors import UserError
from fpnbench.graph.protocols import Space
from fpnbench.graph.trace import trace

CHANNELS = {3: 6, 4: 8, 5: 10}
LEVELS = (3, 4, 5, 6)
SPACES = ("nasfpn", "mnasfpn", "no_expand", "connsearch")
MakeSpace = Callable[..., Space]
Case = tuple[Space, SharedPyramid]
every_space = pytest.mark.parametrize("name", SPACES)
every_rule = pytest.mark.parametrize("share", ["position", "slot"])


def drawn(space: Space, seed: int) -> Choices:
    rng = random.Random(seed)
    return tuple(rng.randrange(len(d.options)) for d in space.decisions)


def shared(space: Space, share: str = "slot", kernel: str = "own") -> SharedPyramid:
    with torch.random.fork_rng():
        torch.manual_seed(0)
        return SharedPyramid(space, CHANNELS, share, kernel)  # type: ignore[arg-type]


@pytest.fixture(scope="module")
def banks() -> dict[tuple[str, str], SharedPyramid]:
    """Banks of two copies, by space and rule, made when they are needed first."""
    return {}


@pytest.fixture
def case(
    make_space: MakeSpace,
    banks: dict[tuple[str, str], SharedPyramid],
    name: str,
    share: str,
) -> tuple[Space, SharedPyramid]:
    space = make_space(name, repeats=2, width=16)
    if (name, share) not in banks:
        banks[name, share] = shared(space, share)
    return space, banks[name, share]


def whole(weight: Tensor) -> Tensor:
    """The parameter that a slice is of."""
    return weight._base if weight._is_view() and weight._base is not None else weight


def maps(seed: int = 0) -> dict[int, Tensor]:
    generator = torch.Generator().manual_seed(seed)
    return {
        level: torch.randn(
            2, width, 2 ** (6 - level), 2 ** (6 - level), generator=generator
        )
        for level, width in CHANNELS.items()
    }


def run(bank: SharedPyramid, space: Space, choices: Choices) -> dict[int, Tensor]:
    return bank(maps(), *bank.form(space.decode(choices), LEVELS))


@every_space
@every_rule
def test_a_path_computes_what_its_own_network_does(case: Case) -> None:
    """The oracle is `FeaturePyramid`, itself held against another implementation."""
    space, bank = case
    for seed in range(2):
        form, places = bank.form(space.decode(drawn(space, seed)), LEVELS)
        assert key(form) == key(space.decode(drawn(space, seed)).restrict(LEVELS))
        own = FeaturePyramid(form, CHANNELS)
        own.load_state_dict(bank.weights(form, places), strict=False)
        wanted, found = own(maps()), bank(maps(), form, places)
        assert set(found) == set(wanted) == set(LEVELS)
        for level in wanted:
            torch.testing.assert_close(found[level], wanted[level], rtol=0, atol=1e-6)


@every_space
@every_rule
def test_every_vector_finds_weights_and_no_two_nodes_the_same(case: Case) -> None:
    """Copies share nothing, either. Parameters are counted by another file's rule."""
    space, bank = case
    for seed in range(100, 140):
        form, places = bank.form(space.decode(drawn(space, seed)), LEVELS)
        slices = bank.weights(form, places).values()
        assert sum(w.numel() for w in slices) == trace(form, CHANNELS, 1024).params
        assert len({id(whole(w)) for w in slices}) == len(slices)


@every_rule
@pytest.mark.parametrize("name", ["mnasfpn"])
def test_gradients_reach_the_weights_of_the_path_alone(case: Case) -> None:
    space, bank = case
    form, places = bank.form(space.decode(drawn(space, 1)), LEVELS)
    bank.zero_grad()
    outputs = bank(maps(), form, places).values()
    torch.stack([x.square().sum() for x in outputs]).sum().backward()
    weights = bank.weights(form, places)
    used = {id(whole(w)) for w in weights.values()}
    reached = {id(p) for p in bank.parameters() if p.grad is not None}
    assert reached == used
    assert len(reached) < 0.7 * len(list(bank.parameters()))
    for name, weight in weights.items():
        grad = whole(weight).grad
        assert grad is not None
        # Of a parameter of which a slice is used, the slice alone.
        inside = cut(grad, tuple(weight.shape))
        assert inside.abs().sum() == pytest.approx(grad.abs().sum().item()), name


def test_by_slot_all_vectors_of_a_network_compute_the_same(
    make_space: MakeSpace,
) -> None:
    """Swap the two intermediate cells of NAS-FPN, and all that names them."""
    space = make_space("nasfpn", repeats=2, width=16)
    names = [decision.name for decision in space.decisions]
    base = dict(zip(names, drawn(space, 0), strict=True))
    # Features P3..P7 are 0..4, cell0 is 5, cell1 is 6; input 2 counts without input 1.
    base |= {"cell0.input1": 0, "cell0.input2": 1, "cell0.level": 0, "cell0.op": 0}
    base |= {"cell1.input1": 3, "cell1.input2": 1, "cell1.level": 1, "cell1.op": 1}
    twin = dict(base)
    for what in ("input1", "input2", "level", "op"):
        twin[f"cell0.{what}"] = base[f"cell1.{what}"]
        twin[f"cell1.{what}"] = base[f"cell0.{what}"]
    for index in range(2, 7):
        pair = [base[f"cell{index}.input1"], base[f"cell{index}.input2"]]
        features = list(range(5 + index))
        first = features.pop(pair[0])
        second = features[pair[1]]
        first, second = ({5: 6, 6: 5}.get(i, i) for i in (first, second))
        others = [i for i in range(5 + index) if i != first]
        twin[f"cell{index}.input1"] = first
        twin[f"cell{index}.input2"] = others.index(second)
    vectors = [tuple(each[name] for name in names) for each in (base, twin)]
    assert vectors[0] != vectors[1]
    assert key(space.decode(vectors[0])) == key(space.decode(vectors[1]))
    same, other = shared(space, "slot"), shared(space, "position")
    one, two = (run(same, space, v) for v in vectors)
    assert all(torch.equal(one[level], two[level]) for level in LEVELS)
    one, two = (run(other, space, v) for v in vectors)
    assert any(not torch.equal(one[level], two[level]) for level in LEVELS)


def test_narrow_networks_use_the_first_channels_and_small_kernels_the_middle() -> None:
    whole = torch.arange(4 * 3 * 5 * 5.0).view(4, 3, 5, 5)
    assert torch.equal(cut(whole, (2, 1, 3, 3)), whole[:2, :1, 1:4, 1:4])
    assert torch.equal(cut(torch.arange(4.0), (3,)), torch.tensor([0.0, 1.0, 2.0]))


@pytest.mark.parametrize(("kernel", "shares"), [("own", False), ("crop", True)])
def test_kernels_of_different_size_share_if_cropped(
    make_space: MakeSpace, kernel: str, shares: bool
) -> None:
    space = make_space("no_expand")
    bank = shared(space, kernel=kernel)
    place = [d.name for d in space.decisions].index("block8.kernel")
    pair = []
    for option in (0, 2):  # 3 and 7
        choices = drawn(space, 0)
        choices = (*choices[:place], option, *choices[place + 1 :])
        form, places = bank.form(space.decode(choices), LEVELS)
        last = next(
            i
            for i, node in enumerate(form.nodes)
            if node.block[1] == 8 and type(node.op).__name__ == "SepConv"
        )
        weights = bank.weights(form, places)
        pair.append([w for n, w in weights.items() if n.startswith(f"ops.{last}.")])
    depthwise = [next(w for w in each if w.shape[-1] > 1) for each in pair]
    pointwise = [
        next(w for w in each if w.dim() == 4 and w.shape[-1] == 1) for each in pair
    ]
    assert torch.equal(pointwise[0], pointwise[1])
    assert [w.shape[-1] for w in depthwise] == [3, 7]
    assert torch.equal(depthwise[0], depthwise[1][:, :, 2:5, 2:5]) == shares


def test_a_space_without_decisions_cannot_be_shared(make_space: MakeSpace) -> None:
    with pytest.raises(UserError, match="fewer than two decisions"):
        shared(make_space("handcrafted"))


def test_canonical_form_does_not_change_what_is_run(make_space: MakeSpace) -> None:
    space = make_space("mnasfpn")
    genotype = space.decode(drawn(space, 4))
    form, _ = shared(space, "slot").form(genotype, LEVELS)
    assert form == canonical(genotype.restrict(LEVELS))
