import json

import numpy as np
import pytest

from fpnbench.graph.decision import Decision, cardinality, check_choices
from fpnbench.graph.errors import UserError
from fpnbench.graph.genotype import from_json, node_levels, to_json


def test_json_round_trip(make_space) -> None:
    rng = np.random.default_rng(0)
    for name in ("nasfpn", "mnasfpn", "connsearch", "handcrafted"):
        space = make_space(name, repeats=2)
        choices = tuple(int(rng.integers(len(d.options))) for d in space.decisions)
        genotype = space.decode(choices)
        assert from_json(json.loads(json.dumps(to_json(genotype)))) == genotype


def test_json_of_another_format_is_refused(make_space) -> None:
    data = to_json(make_space("handcrafted").decode((0,)))
    with pytest.raises(UserError, match="format 99"):
        from_json({**data, "format": 99})
    data["nodes"][0]["op"] = "Teleport"
    with pytest.raises(UserError, match="Teleport"):
        from_json(data)


def test_levels_of_nodes_and_of_what_is_read(make_space) -> None:
    genotype = make_space("handcrafted").decode((0,))
    assert genotype.levels == (3, 4, 5, 6, 7)
    assert genotype.input_levels == (3, 4, 5)
    levels = node_levels(genotype)
    assert {levels[index] for _, index in genotype.outputs} == {3, 4, 5, 6, 7}
    assert genotype.restrict((3, 6, 9)).levels == (3, 6)
    with pytest.raises(UserError, match=r"\[8, 9\].*\[3, 4, 5, 6, 7\]"):
        genotype.restrict((8, 9))


def test_choices_are_checked() -> None:
    decisions = (Decision("a", (1, 2)), Decision("b", ("x", "y", "z")))
    assert cardinality(decisions) == 6
    assert check_choices(decisions, [1, 2]) == (1, 2)
    with pytest.raises(UserError, match=r"1 entries.*2 decisions"):
        check_choices(decisions, (0,))
    with pytest.raises(UserError, match="choice 3 for b is not in"):
        check_choices(decisions, (0, 3))
    with pytest.raises(UserError, match="choice -1 for a"):
        check_choices(decisions, (-1, 0))


@pytest.mark.parametrize(
    ("place", "value", "said"),
    [
        ("block", [0], "IndexError"),
        ("inputs", ["x"], "ValueError"),
        ("inputs", [999], "node 999 is used"),
        ("inputs", [-1], "node -1 is used"),
        ("width", None, "TypeError"),
    ],
)
def test_json_with_a_node_that_cannot_be_is_refused(
    make_space, place: str, value: object, said: str
) -> None:
    data = to_json(make_space("handcrafted").decode((0,)))
    node = next(each for each in data["nodes"] if each["op"] == "Project")
    assert place in node
    if value is None:
        del node[place]
    else:
        node[place] = value
    with pytest.raises(UserError, match=said):
        from_json(data)


def test_json_with_an_output_that_is_not_there_is_refused(make_space) -> None:
    data = to_json(make_space("handcrafted").decode((0,)))
    with pytest.raises(UserError, match="node 999 is used"):
        from_json({**data, "outputs": {"3": 999}})
    with pytest.raises(UserError, match="ValueError"):
        from_json({**data, "outputs": {"finest": 0}})
