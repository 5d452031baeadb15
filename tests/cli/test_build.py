import json
from collections.abc import Callable
from pathlib import Path

import pytest
from omegaconf import DictConfig, OmegaConf

from fpnbench.cli.build import build, build_space, load_cell, space_args
from fpnbench.graph.errors import UserError

Conf = Callable[..., DictConfig]


@pytest.mark.parametrize("name", ["nasfpn", "mnasfpn", "fpn_vanilla"])
def test_a_published_cell_takes_the_current_repeats(conf: Conf, name: str) -> None:
    one, three = (
        load_cell(conf(f"cell_name={name}", f"repeats={count}")) for count in (1, 3)
    )
    assert (one.repeats, three.repeats) == (1, 3)
    assert len(three.nodes) > 2 * len(one.nodes)


def test_a_cell_takes_the_current_width(conf: Conf) -> None:
    cells = [load_cell(conf("cell_name=nasfpn", f"width={w}")) for w in (48, 80)]
    for cell, width in zip(cells, (48, 80), strict=True):
        assert f"width={width}" in repr(cell.nodes)


def test_a_cell_remembers_what_made_its_space(conf: Conf, tmp_path: Path) -> None:
    cfg = conf("space=nasfpn", "space.levels=[3,4,5,6]", "space.intermediates=1")
    cfg.space.intermediate_levels = [4, 5]
    space = build_space(cfg)
    choices = [len(decision.options) - 1 for decision in space.decisions]
    cell = {
        "format": 1,
        "space": "nasfpn",
        "space_args": space_args(cfg),
        "choices": choices,
    }
    path = tmp_path / "best.json"
    path.write_text(json.dumps(cell))
    again = load_cell(conf(f"cell_name={path}", "space=mnasfpn"))
    assert again == space.decode(tuple(choices))


def test_a_mistake_inside_a_target_comes_out_as_it_is() -> None:
    node = OmegaConf.create({"_target_": "decimal.Decimal", "value": "x"})
    with pytest.raises(ArithmeticError):
        build(node)


@pytest.mark.parametrize(
    ("node", "said"),
    [
        ({"_target_": "fractions.Nothing"}, "fractions.Nothing"),
        ({"_target_": "fractions.Fraction", "top": 1}, "unexpected keyword"),
        ({"_target_": "fractions.Fraction.from_float"}, "missing 1 required"),
    ],
)
def test_a_target_that_does_not_fit_is_the_users_mistake(
    node: dict[str, object], said: str
) -> None:
    with pytest.raises(UserError, match=said):
        build(OmegaConf.create(node))


def test_a_group_that_is_null_is_named(conf: Conf) -> None:
    with pytest.raises(UserError, match="space= is missing"):
        build_space(conf("~space"))
