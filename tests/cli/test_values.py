"""Annotations against values: what they allow, and what they say is allowed."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Literal

import pytest
from omegaconf import OmegaConf

from fpnbench.cli.values import check_types, fits, noun
from fpnbench.graph.errors import UserError


@pytest.mark.parametrize(
    ("kind", "good", "bad"),
    [
        (int, [0, -3], [True, 1.0, "1", None, [1]]),
        (float, [0, 1.5], [True, "1", None, float("nan"), float("inf")]),
        (bool, [True], [1, "true", None]),
        (str, ["", "1"], [1, None]),
        (int | None, [1, None], ["null", 1.5]),
        (Literal["a", "b"], ["a"], ["c", 1, None]),
        (Sequence[int], [[], [1, 2]], [1, "abc", ["a"], None, {"a": 1}]),
        (tuple[float, ...], [[], [1, 0.5]], [0.5, ["x"]]),
        (tuple[int, str], [[1, "a"]], [[1.5], "a"]),
        (Mapping[int, float], [{}, {1: 2}], [{"a": 2}, {1: "b"}, [1], 5]),
        (Mapping[str, Any], [{"a": object}], [{1: 1}]),
        (Any, [None, 1, "a"], []),
        (Path | None, ["a path is written as text"], []),
    ],
    ids=str,
)
def test_an_annotation_decides(kind: Any, good: list[Any], bad: list[Any]) -> None:
    assert [value for value in good if not fits(value, kind)] == []
    assert [value for value in bad if fits(value, kind)] == []


def test_what_is_allowed_is_said_in_words() -> None:
    assert noun(Sequence[float] | None) == "a list of numbers or null"
    assert noun(Mapping[int, str]) == "a mapping of whole numbers to text"
    assert noun(Literal["a", "b"]) == "one of a, b"


class Newcomers:
    """Somebody else's class: some annotations, none, and one that is not true."""

    def __init__(
        self,
        rate: float,
        kinds: Any,
        free,
        size: int = None,  # noqa: RUF013
        **more: int,
    ) -> None:
        """Take anything."""


HERE = f"{__name__}.Newcomers"


def test_a_newcomers_class_is_checked_by_its_own_annotations() -> None:
    good = {"rate": 1, "kinds": 5, "free": "x", "size": None, "unknown": "x"}
    check_types(OmegaConf.create({"_target_": HERE, **good}))
    for change in ({"rate": "x"}, {"size": "x"}):
        with pytest.raises(UserError, match=f"^{next(iter(change))}=x: it must be a"):
            check_types(OmegaConf.create({"_target_": HERE, **good, **change}))


def test_the_key_is_the_one_that_the_value_is_taken_from() -> None:
    inner = {"_target_": HERE, "rate": "${data.rate}"}
    cfg = OmegaConf.create(
        {"data": {"rate": "x"}, "outer": {"_target_": HERE, "free": "${inner}"}}
    )
    cfg.inner = inner
    with pytest.raises(UserError, match=r"^data\.rate=x: it must be a number$"):
        check_types(cfg.inner)
    cfg.inner.rate = "y"
    cfg.outer.kinds = "${inner}"
    with pytest.raises(UserError, match=r"^inner\.rate=y: it must be a number$"):
        check_types(cfg.outer)


def test_a_target_that_cannot_be_imported_is_left_to_the_builder() -> None:
    check_types(OmegaConf.create({"_target_": "nowhere.Nothing", "rate": "x"}))
