import pytest

from fpnbench.graph.errors import UserError
from fpnbench.search.resume import check_same_run


def test_equal_configurations_continue() -> None:
    check_same_run({"seed": 0, "space.width": 64}, {"space.width": 64, "seed": 0}, "x")


def test_every_differing_key_is_named_with_both_values() -> None:
    with pytest.raises(UserError) as caught:
        check_same_run({"seed": 0, "a": 1, "b": None}, {"seed": 1, "b": None}, "runs/x")
    message = str(caught.value)
    assert "runs/x holds a run of another configuration" in message
    assert "seed: 0 there, 1 now" in message
    assert "a: 1 there, (absent) now" in message
    assert "b:" not in message
    assert "\n" not in message


def test_what_follows_from_another_choice_is_not_named() -> None:
    there = {"space": "nasfpn", "space.width": 64, "spaced": 1}
    with pytest.raises(UserError) as caught:
        check_same_run(there, {"space": "mnasfpn", "space.ops": 2, "spaced": 2}, "x")
    assert "(space: nasfpn there, mnasfpn now; spaced: 1 there, 2 now)" in str(
        caught.value
    )
