"""Hand-made pyramids against the papers' figures of cost."""

from collections.abc import Callable

import pytest

from fpnbench.graph.genotype import Genotype
from fpnbench.graph.trace import trace
from spaces.handcrafted import Handcrafted

RESNET50 = {3: 512, 4: 1024, 5: 2048}
MOBILENETV2 = {3: 32, 4: 96, 5: 320}


def retinanet(
    name: str,
    repeats: int,
    head: tuple[float, float],
    make_cell: Callable[..., Genotype],
) -> tuple[float, float]:
    """(GMAC, M parameters) of a RetinaNet R-50 at 640 px; body and head: facts 3.2."""
    neck = trace(make_cell(name, repeats=repeats, width=256), RESNET50, 640)
    macs, params = head
    return 33.36 + macs + neck.macs / 1e9, 23.508 + params + neck.params / 1e6


@pytest.mark.parametrize(
    ("repeats", "flops", "tolerance"),
    [(1, 193.8, 0.05), (3, 216, 0.5), (5, 238, 0.5), (7, 260, 1)],
)
def test_stacked_fpn_costs_what_nasfpn_plots(
    repeats, flops, tolerance, make_cell
) -> None:
    """Facts 3.2 and 3.3: 2 x MAC, Fig. 8 (a); a copy is 11.18 B; 34.09 M parameters."""
    gmacs, mparams = retinanet("fpn", repeats, (57.020, 6.712), make_cell)
    assert 2 * gmacs == pytest.approx(flops, abs=tolerance)
    if repeats == 1:
        assert mparams == pytest.approx(34.09, abs=0.005)


def test_a_further_copy_of_fpn_costs_what_facts_derive(make_cell) -> None:
    """Facts 1.3: five 1x1 and five 3x3 at 640 px, 5.59 GMAC."""
    one, two = (
        trace(make_cell("fpn", repeats=r, width=256), RESNET50, 640) for r in (1, 2)
    )
    assert (two.macs - one.macs) / 1e9 == pytest.approx(5.59, abs=0.005)
    with_norms = 256 * 256 + 256 + 9 * 256 * 256 + 256 + 2 * 256
    assert two.params - one.params == 5 * with_norms


def test_yolofs_retinanet_has_38_million_parameters(make_cell) -> None:
    """Known order, family E: 38 M with 80 classes (facts 3.2: head 6.484 M); neck to
    neck and head 15 / 134 GFLOPs. P6 of P5, as in Google's, gives 34 M and 14 / 134."""
    _, mparams = retinanet("mimo", 1, (55.075, 6.484), make_cell)
    assert round(mparams) == 38
    _, google = retinanet("fpn", 1, (55.075, 6.484), make_cell)
    assert round(google) == 34
    neck = trace(make_cell("mimo", width=256), RESNET50, 640).macs / 1e9
    assert 14.5 / 134 < neck / (neck + 55.075) < 15.5 / 134


@pytest.mark.parametrize(
    ("width", "flops", "mparams"), [(64, 1.51, 2.02), (128, 2.03, 2.20)]
)
def test_fpnlite_costs_what_nasfpn_prints(width, flops, mparams, make_cell) -> None:
    """NAS-FPN Table 1 at 320 px; backbone: facts 3.5; predictor by its definition."""
    traced = trace(make_cell("fpnlite", width=width), MOBILENETV2, 320)
    places = 40**2 + 20**2 + 10**2 + 5**2 + 3**2
    slots = 9 * 91 + 9 * 4
    tower = 4 * (9 * width + width * width)
    last = 2 * 9 * width + width * slots
    macs = 0.570e9 + traced.macs + places * (tower + last)
    params = 1.812e6 + traced.params + tower + 4 * 5 * 2 * width + last + slots
    assert 2 * macs / 1e9 == pytest.approx(flops, abs=0.005)
    assert params / 1e6 == pytest.approx(mparams, abs=0.005)


def handcrafted(
    name: str,
    levels: tuple[int, ...],
    backbone_levels: tuple[int, ...],
    coarse: str = "conv",
    extras: tuple[int, ...] = (),
    repeats: int = 1,
) -> Handcrafted:
    return Handcrafted(
        [name], levels, backbone_levels, coarse, {}, repeats, width=16, extras=extras
    )


@pytest.mark.parametrize(
    ("name", "anchors_per_place", "printed"),
    [
        ("c4_only", 15, 47),
        ("c5_only", 15, 12),
        ("fpn", 3, 200),
        ("finest_only", 15, 750),
    ],
)
def test_the_rows_of_fpns_table_have_its_anchors(
    name, anchors_per_place, printed
) -> None:
    """Facts 3.6: 3 ratios, 5 scales where there is a single map; 800 x 1000 px."""
    space = handcrafted(name, (2, 3, 4, 5, 6), (2, 3, 4, 5), coarse="subsample")
    genotype = space.decode((0,))
    places = sum(-(-800 // 2**lv) * -(-1000 // 2**lv) for lv in genotype.levels)
    assert round(anchors_per_place * places / 1000) == printed


def test_ssdlite_reads_raw_maps_and_has_levels_of_widths_of_their_own() -> None:
    """Facts 6: 1x1 to half the width, separable 3x3 of stride 2; 512, 256, 256, 128."""
    widths = (512, 256, 256, 128)
    ssd = ("ssd", (4, 5, 6, 7, 8, 9), (4, 5))
    genotype = handcrafted(*ssd, extras=widths).decode((0,))
    rows = trace(genotype, {4: 576, 5: 1280}, 300).rows
    shapes = [rows[index].shape for _, index in genotype.outputs]
    sides = (19, 10, 5, 3, 2, 1)
    channels = (576, 1280, *widths)
    assert shapes == [(c, s, s) for c, s in zip(channels, sides, strict=True)]
    places = [side * side for side in sides[1:]]
    macs = 0
    for i, width in enumerate(widths):
        half = width // 2
        macs += places[i] * channels[i + 1] * half
        macs += places[i + 1] * half * (9 + width)
    assert trace(genotype, {4: 576, 5: 1280}, 300).macs == macs
    again = handcrafted(*ssd, extras=widths, repeats=2).decode((0,))
    assert again.levels == genotype.levels == (4, 5, 6, 7, 8, 9)
