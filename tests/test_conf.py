"""Every yaml of conf/ composes, resolves, says what it is, and fits what it builds."""

import inspect
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from hydra.utils import get_object
from omegaconf import DictConfig, OmegaConf

CONF = Path(__file__).resolve().parent.parent / "conf"
YAMLS = sorted(path.relative_to(CONF) for path in CONF.rglob("*.yaml"))
CHOICES = [path for path in YAMLS if len(path.parts) == 2]
# Hydra's own keys of a node that is instantiated.
HYDRA_KEYS = {"_target_", "_partial_", "_convert_", "_recursive_", "_args_"}
# Of a searcher's yaml, read by the loop.
LOOP_KEYS = {"dedup"}


def targets(node: Any) -> Iterator[dict[str, Any]]:
    """Every node that names a `_target_`, at any depth."""
    if isinstance(node, dict):
        if "_target_" in node:
            yield node
        for value in node.values():
            yield from targets(value)
    elif isinstance(node, list):
        for value in node:
            yield from targets(value)


@pytest.mark.parametrize("path", YAMLS, ids=str)
def test_a_yaml_begins_by_saying_what_it_is(path: Path) -> None:
    lines = (CONF / path).read_text().splitlines()
    # "@package" is an instruction to Hydra and has to stand first.
    first = next(line for line in lines if "@package" not in line)
    assert first.startswith("# ")
    assert len(first) > 10


@pytest.mark.parametrize("path", CHOICES, ids=str)
def test_a_choice_composes_and_its_targets_take_its_keys(
    path: Path, conf: Callable[..., DictConfig]
) -> None:
    cfg = conf(f"{path.parent}={path.stem}")
    resolved = OmegaConf.to_container(cfg, resolve=True)
    assert isinstance(resolved, dict)
    for node in targets(resolved):
        built = get_object(node["_target_"])
        assert callable(built)
        if node is resolved["mode"]:
            continue  # is called with the whole configuration; its keys are its own
        parameters = inspect.signature(built).parameters.values()
        if not any(p.kind is p.VAR_KEYWORD for p in parameters):
            unknown = set(node) - HYDRA_KEYS - LOOP_KEYS - {p.name for p in parameters}
            assert not unknown, f"{node['_target_']} takes no {sorted(unknown)}"


def test_there_is_something_to_choose() -> None:
    assert {path.parts[0] for path in CHOICES} >= {"space", "searcher", "data", "mode"}
