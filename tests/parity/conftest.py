"""Fixtures of the parity tests: a pyramid beside its reference, and the report.

`pytest tests/parity -v` ends with a table of the largest differences.
"""

import importlib.util
import random
import re
import sys
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
import torch
from omegaconf import OmegaConf
from torch import Tensor, nn

from fpnbench.cli.build import build_space
from fpnbench.detect.pyramid import FeaturePyramid
from fpnbench.graph.canonical import canonical
from fpnbench.graph.decision import Choices, Decision
from fpnbench.graph.genotype import Genotype

BOUND = 1e-5
SPACES = Path(__file__).parents[2] / "conf" / "space"
SIZES = {"even": (16, 32), "odd": (13, 21)}
"""Height and width of the finest map; 13 x 21 is odd at several levels."""

Maps = dict[int, Tensor]


@pytest.fixture(scope="session")
def reference() -> ModuleType:
    """The file `reference.py` beside this one."""
    path = Path(__file__).with_name("reference.py")
    spec = importlib.util.spec_from_file_location("parity_reference", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module


@pytest.fixture(params=SIZES)
def size(request: pytest.FixtureRequest) -> tuple[int, int]:
    return SIZES[request.param]


@pytest.fixture(params=["training", "eval"])
def training(request: pytest.FixtureRequest) -> bool:
    return bool(request.param == "training")


@pytest.fixture
def agree(
    reference: ModuleType,
    size: tuple[int, int],
    training: bool,
    compare: Callable[..., None],
) -> Callable[..., None]:
    """Compare a genotype with its reference: agree(genotype, {3: 5, ...}, run).

    `run(weights, maps)` calls the reference.
    """

    def run_both(
        genotype: Genotype, channels: Mapping[int, int], run: Callable[..., Maps]
    ) -> None:
        with torch.random.fork_rng():
            torch.manual_seed(0)
            maps = draw_maps(channels, size)
            pyramid = make_pyramid(canonical(genotype), maps).train(training)
        weights = reference.Weights(pyramid)
        expected = run(weights, maps)
        assert weights.all_taken()
        compare(maps, expected, weights.copies, pyramid, list(pyramid.parameters()))

    return run_both


@pytest.fixture
def compare(record_property: Callable[[str, object], None]) -> Callable[..., None]:
    """Compare a pyramid with what is expected of it, given their weights in one order.

    Outputs and the gradients of a random linear function of them are compared in double
    precision, where a difference is one of meaning; outputs in single precision are
    compared, too, as parts of the largest one.
    """

    def run_and_compare(
        maps: Maps,
        expected: Maps,
        weights: Sequence[Tensor],
        pyramid: FeaturePyramid,
        parameters: Sequence[Tensor],
    ) -> None:
        got = pyramid(maps)
        assert list(got) == sorted(expected)
        generator = torch.Generator().manual_seed(1)
        slopes = {
            level: torch.randn(x.shape, generator=generator, dtype=x.dtype)
            for level, x in got.items()
        }
        inputs = list(maps.values())
        theirs = gradients(expected, slopes, [*inputs, *weights])
        ours = gradients(got, slopes, [*inputs, *parameters])
        count, levels = len(inputs), list(got)
        single = pyramid.float()({level: x.float() for level, x in maps.items()})
        largest = max(1.0, *(x.detach().abs().max().item() for x in expected.values()))
        found = {
            "outputs": largest_difference(
                [expected[i] for i in levels], [got[i] for i in levels]
            ),
            "by inputs": largest_difference(theirs[:count], ours[:count]),
            "by weights": largest_difference(theirs[count:], ours[count:]),
            "32 bit": largest_difference(
                [expected[i] / largest for i in levels],
                [single[i] / largest for i in levels],
            ),
        }
        for name, difference in found.items():
            record_property(name, difference)
            assert difference < BOUND, name

    return run_and_compare


@pytest.fixture
def make_maps() -> Callable[..., Maps]:
    return draw_maps


def draw_maps(channels: Mapping[int, int], size: tuple[int, int]) -> Maps:
    """Two images' backbone maps of normal numbers, in double precision."""
    maps = {}
    for level, count in channels.items():
        sides = [-(-side // 2 ** (level - min(channels))) for side in size]
        maps[level] = torch.randn(2, count, *sides, dtype=torch.float64)
    return {level: x.requires_grad_() for level, x in maps.items()}


def make_pyramid(genotype: Genotype, maps: Maps) -> FeaturePyramid:
    """A pyramid in which every weight matters, with running statistics that fit it."""
    channels = {level: x.shape[1] for level, x in maps.items()}
    pyramid = FeaturePyramid(genotype, channels).double()
    for module in pyramid.modules():
        for name, weight in module.named_parameters(recurse=False):
            if name == "bias":
                nn.init.normal_(weight)
            elif weight.ndim == 1:  # scales, and weights of sums: a few below zero
                nn.init.uniform_(weight, -0.3, 2)
        if isinstance(module, nn.BatchNorm2d):
            module.momentum = None  # the mean of all batches: of the next one alone
    with torch.no_grad():
        pyramid({level: x + torch.rand_like(x) for level, x in maps.items()})
    return pyramid


def gradients(outputs: Maps, slopes: Maps, by: Sequence[Tensor]) -> list[Tensor]:
    """Gradients of the sum of slope x output; zero where nothing leads to it."""
    total = sum((slopes[level] * x).sum() for level, x in outputs.items())
    return list(torch.autograd.grad(total, by, materialize_grads=True))


def largest_difference(expected: Sequence[Tensor], got: Sequence[Tensor]) -> float:
    """The largest absolute one; infinity where a shape differs."""
    return max(
        (a - b).detach().abs().max().item() if a.shape == b.shape else torch.inf
        for a, b in zip(expected, got, strict=True)
    )


@pytest.fixture
def decode() -> Callable[..., Genotype]:
    """Write a table of cells as choices of a space of conf/space, and decode them.

    decode(cells, "nasfpn", repeats=3, width=6, levels=[3, 4, 5, 6])
    """

    def make(
        cells: Sequence[Any], name: str, repeats: int = 1, width: int = 64, **args: Any
    ) -> Genotype:
        cfg = OmegaConf.create({"repeats": repeats, "width": width})
        cfg.space = OmegaConf.merge(OmegaConf.load(SPACES / f"{name}.yaml"), args)
        space = build_space(cfg)
        return space.decode(encode(space.decisions, cells))

    return make


def encode(decisions: Sequence[Decision], cells: Sequence[Any]) -> Choices:
    """Answer a space's decisions by their names; there is one C."""
    outputs = [cell.level for cell in cells if cell.output]
    choices = []
    for decision in decisions:
        name = re.fullmatch(r"(\D+)(\d+)\.(\w+)", decision.name)
        if name is None:
            choices.append(0)
            continue
        kind, number, field = name[1], int(name[2]), name[3]
        if kind == "output":  # a place among the levels left
            choices.append(sorted(outputs[number:]).index(outputs[number]))
            continue
        cell = cells[number]
        if field == "input1":
            choices.append(cell.first)
        elif field == "input2":  # a place among the features left
            choices.append(cell.second - (cell.second > cell.first))
        else:
            value = cell.expansion if field == "F" else getattr(cell, field)
            choices.append(decision.options.index(value))
    return tuple(choices)


@pytest.fixture
def draw(reference: ModuleType) -> Callable[..., list[Any]]:
    """A random table of cells: draw(seed, levels, intermediates, op="se")."""

    def make(
        seed: int, levels: Sequence[int], intermediates: int, op: str
    ) -> list[Any]:
        rng = random.Random(seed)
        order = rng.sample(levels, len(levels))
        cells = []
        for number in range(intermediates + len(levels)):
            first, second = rng.sample(range(len(levels) + number), 2)
            output = number >= intermediates
            # No space allows every level in between; these are in all of them.
            level = order[number - intermediates] if output else rng.choice((4, 5, 6))
            kernel, expansion = rng.choice((3, 5, 7)), rng.choice((16, 32))
            merge = rng.choice(("sum", op))
            cells.append(
                reference.Cell(level, first, second, merge, output, kernel, expansion)
            )
        return cells

    return make


def pytest_terminal_summary(terminalreporter: Any, config: pytest.Config) -> None:
    """Print what `agree` recorded, a line a case, unless pytest is to be quiet."""
    passed: Iterable[pytest.TestReport] = terminalreporter.stats.get("passed", [])
    rows = [(report.nodeid, dict(report.user_properties)) for report in passed]
    rows = [(name, row) for name, row in rows if "by weights" in row]
    if config.get_verbosity() < 0 or not rows:
        return
    terminalreporter.section("parity: largest differences")
    terminalreporter.write_line("".join(f"{kind:>11}" for kind in rows[0][1]))
    for name, row in rows:
        numbers = "".join(f"{value:11.0e}" for value in row.values())
        terminalreporter.write_line(f"{numbers}  {name.rpartition('/')[2]}")
