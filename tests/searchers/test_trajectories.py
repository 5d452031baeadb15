"""The first 50 proposals of every searcher, as tests/golden recorded them."""

import importlib.util
import json
from pathlib import Path

import pytest

GOLDEN = Path(__file__).parents[1] / "golden"
spec = importlib.util.spec_from_file_location(
    "write_trajectories", GOLDEN / "write_trajectories.py"
)
writer = importlib.util.module_from_spec(spec)
spec.loader.exec_module(writer)


@pytest.mark.parametrize("name", writer.SEARCHERS)
def test_proposals_are_the_recorded_ones(name):
    recorded = json.loads((GOLDEN / "trajectories.json").read_text())[name]
    assert len(recorded) == writer.LENGTH
    assert writer.trajectory(name) == recorded
