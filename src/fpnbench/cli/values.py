"""Checks of values that compose well but make no sense: Hydra accepts `seed=abc`.

Two rules, both applied before anything is computed. What an object takes is written in
the annotations of its constructor, a newcomer's too: `check_types` compares every
argument with them. The least that a number may be is a table here.
"""

import inspect
import json
import math
import re
import types
from collections import abc
from pkgutil import resolve_name
from typing import Any, Literal, Union, cast, get_args, get_origin

from omegaconf import DictConfig, OmegaConf

from fpnbench.cli.errors import KEYS
from fpnbench.graph.errors import UserError

LEAST = {
    "seed": 0,
    "image_px": 1,
    "repeats": 1,
    "width": 1,
    "data.seed": 0,
    "data.split_seed": 0,
    "data.epochs": 1,
    "evaluator.seed": 0,
    "evaluator.epochs": 1,
    "evaluator.threads": 1,
    "evaluator.noise": 0.0,
    "evaluator.batch": 2,
    "evaluator.proxy.threads": 1,
    "detector.width": 1,
    "detector.tower_depth": 0,
    "recipe.weight_decay": 0.0,
    "recipe.gamma": 0.0,
    "recipe.clip": 0.0,
    "recipe.workers": 0,
    "zerocost.batch": 2,
    "controls.resamples": 2,
    "length.networks": 0,
    "length.least_tau": -1.0,
    "length.resamples": 1,
    "noise.resamples": 2,
    "toy.trials": 1,
    "toy.seeds": 1,
    "toy.first_seed": 0,
    "signal.networks": 3,
    "signal.least_icc": -1.0,
    "signal.resamples": 1,
    "orders.least_share": 0.0,
    "orders.resamples": 1,
    "regret.evaluations": 1,
    "regret.seeds": 1,
    "regret.max_repeats": 1,
    "regret.worse_by": 0.0,
    "regret.margin": 0.0,
}
"""The least that a number may be; 0.0: it may have a fraction. Keys of a group are
checked where the chosen yaml has them; arguments of a `_target_` may be null where
their type allows it."""
NOUNS = {
    **{int: "a whole number", float: "a number", bool: "true or false", str: "text"},
    types.NoneType: "null",
}
ABSENT = "absent"
SEQUENCES = (abc.Sequence, abc.Iterable, list, tuple)
MAPPINGS = (abc.Mapping, dict)
REFERENCE = re.compile(r"\$\{(\w[\w.]*)\}")
"""A value that is another key's."""


def check_values(cfg: DictConfig) -> None:
    """Refuse numbers of the shared keys and groups that are none, or too small.

    Raises:
        UserError: names the key, its value and what is allowed.
    """
    for key in ("debug", "dry_run"):
        value = OmegaConf.select(cfg, key, default=False)
        if not isinstance(value, bool):
            raise UserError(f"{key}={_told(value)}: it must be {NOUNS[bool]}")
    for key, least in LEAST.items():
        value = OmegaConf.select(cfg, key, default=ABSENT)
        group = cfg.get(key.partition(".")[0])
        typed = isinstance(group, DictConfig) and "_target_" in group
        if value == ABSENT or (value is None and typed):
            continue
        kind = type(least)
        if not fits(value, kind) or value < least:
            least_told = f"{NOUNS[kind]} from {least:g} on"
            raise UserError(f"{key}={_told(value)}: it must be {least_told}")
    if cfg.get("dry_run") and cfg.mode._target_ != "fpnbench.cli.search.main":
        raise UserError("dry_run=true is for searches: other modes have no budget")


def check_added(overrides: abc.Iterable[str], groups: abc.Container[str]) -> None:
    """Refuse `+key=value` at the top, which Hydra takes: nothing would read it.

    Args:
        overrides: as typed; where the key is there, Hydra itself refuses the `+`.
        groups: of yaml files, own ones too, which may be added.

    Raises:
        UserError: names the key.
    """
    for override in overrides:
        added = re.match(r"\+(\w+)=", override)
        if added and added[1] not in groups:
            raise UserError(f"{override}: there is no key {added[1]}. {KEYS}")


def check_types(node: DictConfig) -> None:
    """Refuse arguments of a node's `_target_` that are not of their annotated types.

    Nodes inside it are checked likewise. What has no annotation, or one that says
    nothing of plain values, may be anything; so may all arguments of a target that
    cannot be imported, which is told when it is built.

    Raises:
        UserError: names the key, its value and what is allowed.
    """
    for name, kind in _annotations(node.get("_target_")).items():
        if name not in node or OmegaConf.is_missing(node, name):
            continue
        value = node[name]
        if isinstance(value, DictConfig) and "_target_" in value:
            check_types(value)
            continue
        if OmegaConf.is_config(value):
            value = OmegaConf.to_container(value, resolve=True)
        if not fits(value, kind):
            key = _typed_key(node, name)
            raise UserError(f"{key}={_told(value)}: it must be {noun(kind)}")


def fits(value: object, kind: Any) -> bool:
    """Tell whether a plain value is of an annotated type; unknown types fit all."""
    origin, args = get_origin(kind), get_args(kind)
    if origin in (Union, types.UnionType):
        return any(fits(value, each) for each in args)
    if origin is Literal:
        return value in args
    if origin in SEQUENCES:
        # of a tuple the kinds alone are checked, not how many there are
        known = [each for each in args if each is not ...]
        return isinstance(value, list) and all(
            any(fits(entry, each) for each in known) for entry in value
        )
    if origin in MAPPINGS:
        return isinstance(value, dict) and all(
            fits(entry, each)
            for pair in value.items()
            for entry, each in zip(pair, args, strict=True)
        )
    if kind is float:
        number = isinstance(value, int | float) and not isinstance(value, bool)
        return number and math.isfinite(value)  # type: ignore[arg-type]
    # exactly: True is an int to Python, not to a user who types batch=true
    return type(value) is kind if kind in NOUNS else True


def noun(kind: Any) -> str:
    """Say in words what `fits` accepts."""
    origin, args = get_origin(kind), get_args(kind)
    if origin in (Union, types.UnionType):
        return " or ".join(map(noun, args))
    if origin is Literal:
        return f"one of {', '.join(map(str, args))}"
    many = [re.sub("^a (.*)", r"\1s", noun(each)) for each in args if each is not ...]
    if origin in SEQUENCES:
        return f"a list of {' or '.join(dict.fromkeys(many))}"
    if origin in MAPPINGS:
        return f"a mapping of {' to '.join(many)}"
    return NOUNS.get(kind, "anything")


def _annotations(target: str) -> dict[str, Any]:
    """Return the annotated types of what a target takes, by name."""
    try:
        parameters = inspect.signature(resolve_name(target), eval_str=True).parameters
    except Exception:  # whatever an import raises; said when the target is built
        return {}
    return {
        name: Union[each.annotation, None] if each.default is None else each.annotation  # noqa: UP007
        for name, each in parameters.items()
        if each.annotation is not inspect.Parameter.empty
    }


def _told(value: object) -> str:
    """Return a value as it is typed: `null`, `true`, ..."""
    return value if isinstance(value, str) else json.dumps(value, default=str)


def _typed_key(node: DictConfig, name: str) -> str:
    """Return the key that a user would change: the one that a value is taken from."""
    raw = cast(dict[str, Any], OmegaConf.to_container(node, resolve=False))[name]
    found = REFERENCE.fullmatch(raw) if isinstance(raw, str) else None
    return found[1] if found else str(node._get_full_key(name))
