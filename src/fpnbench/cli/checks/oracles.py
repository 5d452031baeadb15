"""`what=oracles`: figures that somebody else derived or printed come out exactly."""

from collections.abc import Iterator

import torch
from hydra import compose
from omegaconf import DictConfig
from rich.progress import track

from fpnbench.cli.build import build_space, load_cell
from fpnbench.detect.cost import part_cost
from fpnbench.detect.pyramid import FeaturePyramid
from fpnbench.graph.canonical import canonical, key
from fpnbench.graph.decision import cardinality, enumerate_choices
from fpnbench.graph.genotype import Genotype
from fpnbench.graph.protocols import Space
from fpnbench.graph.trace import Trace, level_sizes, trace
from fpnbench.report.bar import Bar
from fpnbench.search.searcher import uniform_choices

DRAWS = 200
CARDINALITIES = {
    "nasfpn": "2.4721e+17",
    "mnasfpn": "9.5547e+34",
    "connsearch": "7.4336e+46",
}
"""From the encoding by hand, see docs/decisions.md."""
SMALL = (
    "space=nasfpn",
    "space.levels=[4,5]",
    "space.backbone_levels=[4,5]",
    "space.intermediates=1",
    "space.intermediate_levels=[4,5]",
)
"""Two levels, 1 + 2 cells: 4 608 vectors, 656 networks by VF2 (tests/graph)."""
RESNET50 = {3: 512, 4: 1024, 5: 2048}
MOBILENETV2 = {3: 32, 4: 96, 5: 320}
LITE0 = {3: 40, 4: 112, 5: 320}


def run(cfg: DictConfig) -> list[Bar]:
    """Check cardinalities, keys, published costs, and trace against torch."""
    return [*_cardinalities(), _keys(), *_published(), *_against_torch()]


def _cardinalities() -> Iterator[Bar]:
    for name, expected in CARDINALITIES.items():
        found = f"{cardinality(_space(name).decisions):.4e}"
        yield Bar(f"|{name}|", expected, found, found == expected)


def _keys() -> Bar:
    space = build_space(compose("config", list(SMALL)))
    vectors = list(enumerate_choices(space.decisions))
    keys = {key(space.decode(choices)) for choices in vectors}
    found = f"{len(vectors)} vectors, {len(keys)} keys"
    expected = "4608 vectors, 656 keys"
    return Bar("small NAS-FPN space", expected, found, found == expected)


def _published() -> Iterator[Bar]:
    one, two = (_cost("nasfpn", r, RESNET50, 640) for r in (1, 2))
    yield _equal("NAS-FPN cell x1, parameters", 4_134_144, two.params - one.params)
    gmac = f"{(two.macs - one.macs) / 1e9:.4f}"
    yield _equal("NAS-FPN cell x1, 640 px, GMAC", "6.9157", gmac)
    head = f"{_cost('mnasfpn', 4, MOBILENETV2, 320).macs / 1e9:.4f}"
    yield _equal("MnasFPN head x4, 320 px, GMAC", "0.1924", head)


def _against_torch() -> Iterator[Bar]:
    for name in CARDINALITIES:
        space = _space(name)
        agreed = sum(
            _agrees(canonical(space.decode(uniform_choices(space.decisions, 0, n))))
            for n in track(range(DRAWS), f"{name} against torch")
        )
        yield _equal(f"{name}: networks whose trace is torch's", DRAWS, agreed)


def _agrees(genotype: Genotype) -> bool:
    """Compare parameters with numel and MACs with a count by forward hooks."""
    traced, sizes = trace(genotype, LITE0, 256), level_sizes(256)
    with torch.device("meta"):
        pyramid = FeaturePyramid(genotype, LITE0)
        feats = {lv: torch.empty(1, c, *sizes(lv)) for lv, c in LITE0.items()}
    cost = part_cost(pyramid, feats)
    return (traced.macs, traced.params) == (cost.macs, cost.params)


def _cost(cell: str, repeats: int, channels: dict[int, int], px: int) -> Trace:
    cfg = compose("config", [f"repeats={repeats}", "width=256"])
    cfg.cell = cell
    return trace(canonical(load_cell(cfg)), channels, px)


def _space(name: str) -> Space:
    return build_space(compose("config", [f"space={name}"]))


def _equal(name: str, expected: object, found: object) -> Bar:
    return Bar(name, str(expected), str(found), str(found) == str(expected))
