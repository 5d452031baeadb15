import pytest

from fpnbench.graph.errors import UserError
from fpnbench.graph.trace import check_fit, trace

RESNET50 = {3: 512, 4: 1024, 5: 2048}
MOBILENETV2 = {3: 32, 4: 96, 5: 320}


def test_published_nasfpn_cell_costs_what_facts_derive(make_cell) -> None:
    """Facts 3.2: 7 x (589 824 + 256 + 512) parameters and 6.9157 GMAC a repeat."""
    one, two = (
        trace(make_cell("nasfpn", width=256, repeats=r), RESNET50, 640) for r in (1, 2)
    )
    assert two.params - one.params == 4_134_144
    assert two.macs - one.macs == 11_725 * 589_824


def test_published_mnasfpn_head_costs_what_facts_derive(make_cell) -> None:
    """Facts 3.5: head x4 at 320 px, .1924 GMAC and .568 M parameters; x5 +.0458 G."""
    four, five = (
        trace(make_cell("mnasfpn", repeats=r), MOBILENETV2, 320) for r in (4, 5)
    )
    assert four.macs / 1e9 == pytest.approx(0.1924, abs=5e-5)
    assert four.params / 1e6 == pytest.approx(0.568, abs=5e-4)
    # .964 G - .919 G for the whole detector, each rounded to a thousandth
    assert (five.macs - four.macs) / 1e9 == pytest.approx(0.045, abs=1e-3)


def test_odd_sizes_round_up(make_cell) -> None:
    rows = trace(make_cell("nasfpn", width=8), RESNET50, 100)
    genotype = make_cell("nasfpn", width=8)
    shapes = {level: rows.rows[i].shape for level, i in genotype.outputs}
    assert shapes == {
        3: (8, 13, 13),
        4: (8, 7, 7),
        5: (8, 4, 4),
        6: (8, 2, 2),
        7: (8, 1, 1),
    }


@pytest.mark.parametrize(("image_px", "levels"), [(127, (7,)), (63, (3, 6)), (7, (3,))])
def test_an_image_smaller_than_the_largest_stride_is_refused(
    make_cell, image_px: int, levels: tuple[int, ...]
) -> None:
    genotype = make_cell("nasfpn").restrict(levels)
    said = f"image_px={image_px} is smaller than the stride of P{levels[-1]}, "
    with pytest.raises(UserError, match=f"{said}{image_px + 1} pixels"):
        check_fit(genotype, RESNET50, image_px)
    check_fit(genotype, RESNET50, image_px + 1)


def test_missing_backbone_level_is_refused(make_cell) -> None:
    with pytest.raises(UserError, match=r"\[3, 4, 5\].*\[4, 5\]"):
        trace(make_cell("nasfpn"), {4: 8, 5: 8}, 64)
