"""`check what=noise`: variances by hand, groups as the data have them."""

import csv
import json
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from omegaconf import DictConfig

from fpnbench.cli.build import build_evaluator
from fpnbench.cli.checks import noise
from fpnbench.cli.checks.noise import GROUPS, IMAGES, Units
from fpnbench.graph.errors import UserError

Conf = Callable[..., DictConfig]
Tiny = tuple[str, ...]


def evaluator(*groups: str, train: str = "") -> Any:
    """One that scores images of these groups and trains on others."""
    numbers = iter(range(100))

    def side(names: Any) -> Any:
        made = [SimpleNamespace(image_id=next(numbers), group=name) for name in names]
        return SimpleNamespace(records=made)

    scored = [side(names) for names in groups]
    return SimpleNamespace(
        sides=[(side(train), scored[0]), *((None, s) for s in scored[1:])]
    )


def test_groups_are_drawn_beside_images_where_there_are_any() -> None:
    images, groups = noise.drawn_units(evaluator("abbab", train="ccdceed"))
    assert (images.name, images.count, images.in_train) == (IMAGES, 5, 12)
    assert (groups.name, groups.count, groups.in_train) == (GROUPS, 2, 5)
    assert groups.of_image.tolist() == [0, 1, 1, 0, 1]
    (alone,) = noise.drawn_units(evaluator("abcde", train="ff"))
    assert alone.name == IMAGES


def test_groups_of_folds_stand_in_the_order_of_their_records(
    conf: Conf, tiny: Tiny
) -> None:
    proxy: Any = build_evaluator(conf(*tiny, "evaluator.folds=3"))
    images, groups = noise.drawn_units(proxy)
    assert images.count == images.in_train == 16
    assert groups.count == groups.in_train == 8
    names = [record.group for _, side in proxy.sides for record in side.records]
    assert len(set(zip(names, groups.of_image.tolist(), strict=True))) == 8


def test_what_spreads_a_number_is_told_apart() -> None:
    """Two seeds, two draws of 4 images, three of 2 groups; variances by hand.

    Seeds .1 and .4: .045. Images: .02 and 0, mean .01. Groups: .04 and .16, mean .1;
    with seeds (.1 .3 .5 .0 .4 .8, mean .35): .415 / 5.
    """
    draws = {
        IMAGES: np.array([[[0.1, 0.3], [0.2, 0.2]]]),
        GROUPS: np.array([[[0.1, 0.3, 0.5], [0.0, 0.4, 0.8]]]),
    }
    units = [
        Units(IMAGES, np.arange(4), 16),
        Units(GROUPS, np.array([0, 1, 1, 0]), 8),
    ]
    found = noise.row("it", np.array([[0.1, 0.4]]), draws, units)
    assert found["by_seed"] == pytest.approx(0.045**0.5)
    assert found["by_images"] == pytest.approx(0.1)
    assert found["both_images"] == pytest.approx((0.02 / 3) ** 0.5)
    assert found["by_groups"] == pytest.approx(0.1**0.5)
    assert found["both_groups"] == pytest.approx((0.415 / 5) ** 0.5)
    # .01 / n * 4 < .045 from n = .89 on; .1 / n * 2 < .045 from n = 4.44 on
    assert (found["images_needed"], found["groups_needed"]) == (1, 5)
    # Folds score all 16 images of all 8 groups.
    assert found["by_images_folds"] == pytest.approx(0.05)
    assert found["by_groups_folds"] == pytest.approx((0.1 / 4) ** 0.5)
    spread, takes = noise.spread(found, units)
    assert "0.1000 by 4 images" in spread.measured
    assert "0.3162 by 2 groups" in spread.measured
    assert "5 groups (folds=4, 4 x the cost: 8, sd 0.1581)" in takes.measured


def test_seeds_that_change_nothing_need_no_number_of_images() -> None:
    draws = {IMAGES: np.array([[[0.1, 0.3], [0.1, 0.3]]])}
    units = [Units(IMAGES, np.arange(4), 4)]
    found = noise.row("it", np.array([[0.2, 0.2]]), draws, units)
    assert found["images_needed"] is None
    assert noise.spread(found, units)[1].measured == "no number of images"


def test_the_check_writes_a_row_for_one_ap_and_for_each_difference(
    cli: Callable[..., Any], tiny: Tiny, tmp_path: Path
) -> None:
    small = ("evaluator.epochs=1", "evaluator.threads=1", "noise.seeds=[0,1]")
    cells = ("noise.cells=[no_fusion,siso,finest_only]", "noise.resamples=20")
    levels = ("detector.levels=[3,4]", "data.ranges=[16]")  # siso has neither
    done = cli("mode=check", "what=noise", *tiny, *small, *cells, *levels, "out=run")
    assert (done.code, done.err) == (0, "")
    assert "siso is left out: the detector reads levels [3, 4]" in done.out
    for cell in ("no_fusion", "finest_only"):
        assert f"{cell}, seed 1: AP 0." in done.out
    told = json.loads((tmp_path / "run" / "check.json").read_text())
    assert [row["what"] for row in told["rows"]] == [
        "one AP",
        "no_fusion - finest_only",
    ]
    with (tmp_path / "run" / "check.csv").open() as file:
        rows = list(csv.DictReader(file))
    for row in rows:
        assert (row["images"], row["images_in_train"]) == ("4", "16")
        assert (row["groups"], row["groups_in_train"]) == ("2", "8")
    aps = np.array(list(told["about"]["aps"].values()))
    assert aps.shape == (2, 2)
    assert float(rows[0]["by_seed"]) == pytest.approx(
        np.var(aps, 1, ddof=1).mean() ** 0.5
    )


@pytest.mark.parametrize(
    ("overrides", "told"),
    [
        (["noise.seeds=[0]"], r"noise.seeds=\[0\]: it must be a list of 2 different"),
        (["noise.seeds=[1,1]"], r"noise.seeds=\[1, 1\]: it must be a list of 2"),
        (["noise.seeds=3"], "noise.seeds=3: it must be a list of 2"),
        (["noise.cells=[fpn]"], "noise.cells=.*: it must be a list of 2 different"),
        (["noise.cells=[fpn,fpn]"], "noise.cells=.*: it must be a list of 2"),
        (["noise.cells=nasfpn"], "noise.cells=nasfpn: it must be a list of 2"),
        (["evaluator=toy"], "evaluator=proxy is needed"),
        (["noise.cells=[siso,miso]", "detector.levels=[3]"], "0 could be scored"),
    ],
)
def test_what_cannot_be_measured_is_said(
    conf: Conf, overrides: list[str], told: str
) -> None:
    with pytest.raises(UserError, match=told):
        noise.run(conf("mode=check", "what=noise", *overrides))
