import pytest

from fpnbench.graph.canonical import canonical
from fpnbench.graph.errors import UserError
from fpnbench.graph.ops import Conv, Sum
from spaces.handcrafted import Handcrafted


def test_vanilla_fpn_is_five_cells_from_the_top(make_cell) -> None:
    """NAS-FPN Fig. 7 (a): P7 has its input alone, the others add the next coarser."""
    form = canonical(make_cell("fpn_vanilla"))
    convs = [node for node in form.nodes if isinstance(node.op, Conv)]
    sums = [node for node in form.nodes if isinstance(node.op, Sum)]
    assert len(convs) == 5
    assert len(sums) == 4
    assert {len(node.inputs) for node in sums} == {2}
    reached = {form.outputs[0][1]}  # P3 depends on every level
    for index in range(len(form.nodes) - 1, -1, -1):
        if index in reached:
            reached.update(form.nodes[index].inputs)
    assert reached == set(range(len(form.nodes)))


def test_unknown_pyramid_is_named() -> None:
    with pytest.raises(UserError, match=r"pagoda.*fpn_vanilla"):
        Handcrafted(["pagoda"], (3, 4), (3, 4), repeats=1, width=8)
