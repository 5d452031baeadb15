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
    record_property: Callable[[str, object], None],
) -> Callable[..., None]:
    """Compare a genotype with its reference: agree(genotype, {3: 5, ...}, run).

    `run(weights, maps)` calls the reference. Outputs and the gradients of a random
    linear function of them are compared in double precision, where a difference is one
    of meaning; outputs in single precision are compared, too, as parts of the largest.
    """

    def compare(
        genotype: Genotype, channels: Mapping[int, int], run: Callable[..., Maps]
    ) -> None:
        with torch.random.fork_rng():
            torch.manual_seed(0)
            maps = make_maps(channels, size)
            pyramid = make_pyramid(canonical(genotype), maps).train(training)
            weights = reference.Weights(pyramid)
            expected, got = run(weights, maps), pyramid(maps)
            assert list(got) == sorted(expected)
            slopes = {level: torch.randn_like(x) for level, x in got.items()}
        assert weights.all_taken()
        found = {
            "outputs": largest_difference(expected, got),
            "by inputs": largest_difference(
                *(gradients(out, slopes, maps) for out in (expected, got))
            ),
            "by weights": largest_difference(
                gradients(expected, slopes, dict(enumerate(weights.copies))),
                gradients(got, slopes, dict(enumerate(pyramid.parameters()))),
            ),
        }
        single = pyramid.float()({level: x.float() for level, x in maps.items()})
        largest = max(x.detach().abs().max().item() for x in expected.values())
        found["32 bit"] = largest_difference(expected, single) / max(1.0, largest)
        for name, difference in found.items():
            record_property(name, difference)
            assert difference < BOUND, name

    return compare


def make_maps(channels: Mapping[int, int], size: tuple[int, int]) -> Maps:
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


def gradients(outputs: Maps, slopes: Maps, by: Maps) -> Maps:
    """Gradients of the outputs' weighted sum."""
    total = sum((slopes[level] * x).sum() for level, x in outputs.items())
    found = torch.autograd.grad(
        total, list(by.values()), retain_graph=True, materialize_grads=True
    )
    return dict(zip(by, found, strict=True))


def largest_difference(expected: Maps, got: Maps) -> float:
    """The largest absolute one; infinity where a shape differs."""
    return max(
        (got[i] - x).detach().abs().max().item()
        if got[i].shape == x.shape
        else torch.inf
        for i, x in expected.items()
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
