"""NNI's differentiable search on a tiny task: what it keeps, changes and counts."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from omegaconf import DictConfig

from fpnbench.cli.build import build_evaluator, build_searcher, build_space
from fpnbench.graph.errors import UserError
from fpnbench.search.searcher import uniform_choices

pytest.importorskip("nni")


@pytest.mark.parametrize("name", ["nasfpn_3to6", "mnasfpn"])
def test_only_ops_and_kernels_of_a_drawn_wiring_are_changed_and_a_resume_trains_nothing(
    name: str,
    conf: Callable[..., DictConfig],
    tiny: tuple[str, ...],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    cache = f"evaluator.cache={tmp_path}"
    short = (f"space={name}", "searcher=gumbel_darts", "searcher.epochs=1")
    cfg = conf(*short, *tiny, cache, "evaluator.accelerator=cpu")
    space, evaluator = build_space(cfg), build_evaluator(cfg)

    def started() -> Any:
        searcher: Any = build_searcher(cfg)
        searcher.attach(evaluator)
        searcher.start(space, 0, tmp_path / "searcher")
        return searcher

    searcher = started()
    found = searcher.ask().choices
    drawn = uniform_choices(space.decisions, 0, 0)
    changed = {
        decision.name.rpartition(".")[2]
        for decision, a, b in zip(space.decisions, found, drawn, strict=True)
        if a != b
    }
    assert changed <= {"op", "kernel"}
    assert changed
    # 12 photos of search-train in batches of 4, for weights and for architecture.
    assert searcher.spent()[1] == 24
    assert searcher.spent()[2] > 0
    monkeypatch.setattr(type(searcher), "_find", None)
    again = started()
    assert again.spent() == searcher.spent()
    assert again.ask().choices == found


def test_a_space_without_ops_and_kernels_is_refused(
    conf: Callable[..., DictConfig],
) -> None:
    cfg = conf("space=handcrafted", "searcher=gumbel_darts")
    with pytest.raises(UserError, match="decides neither ops nor kernels"):
        build_searcher(cfg).start(build_space(cfg), 0, None)
