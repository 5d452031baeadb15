"""Run folders: their names, and files that are either whole or not there."""

import errno
import fcntl
import hashlib
import json
import os
import re
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, cast

from hydra.core.hydra_config import HydraConfig
from hydra.types import RunMode
from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException
from yaml import YAMLError  # type: ignore[import-untyped]

from fpnbench.graph.errors import UserError

FREE = ("out", "mode", "debug", "dry_run", "budget", "ledger", "store", "names")
"""Keys that may differ when a run is continued, and `names`, which we add."""


def names() -> dict[str, str]:
    """Return what was chosen in the groups that name a run."""
    chosen = HydraConfig.get().runtime.choices
    groups = ("space", "searcher", "data", "evaluator")
    return {group: str(chosen[group]) for group in groups}


def resolved(cfg: DictConfig) -> dict[str, Any]:
    """Return the configuration with every interpolation replaced by its value.

    Raises:
        OmegaConfBaseException: a value is missing (`???`) or cannot be resolved.
    """
    values = OmegaConf.to_container(cfg, resolve=True, throw_on_missing=True)
    return cast(dict[str, Any], values)


def recorded(folder: Path) -> dict[str, Any]:
    """Return the resolved configuration that a run folder holds.

    Raises:
        UserError: `config.yaml` cannot be read.
    """
    path = folder / "config.yaml"
    try:
        values = OmegaConf.load(path)
        if not isinstance(values, DictConfig) or not values:
            raise ValueError("it holds no configuration")
        return resolved(values)
    except (OSError, ValueError, YAMLError, OmegaConfBaseException) as error:
        reason = " ".join(str(error).split())
        raise UserError(f"{path} cannot be read: {reason}") from error


def fixed(values: Mapping[str, Any]) -> dict[str, Any]:
    """Return the part of a resolved configuration that a run cannot change."""
    return {key: value for key, value in values.items() if key not in FREE}


def flat(values: Any, prefix: str = "") -> dict[str, object]:
    """Return nested dicts as one dict of dotted keys."""
    if not isinstance(values, dict):
        return {prefix: values}
    joined: dict[str, object] = {}
    for key, value in values.items():
        joined |= flat(value, f"{prefix}.{key}" if prefix else str(key))
    return joined


def search_folder(cfg: DictConfig) -> Path:
    """Return the folder of a search, a function of its configuration alone."""
    text = json.dumps([names(), fixed(resolved(cfg))], sort_keys=True, default=str)
    digest = hashlib.sha256(text.encode()).hexdigest()[:6]
    return mode_folder(cfg, "-".join([*names().values(), f"s{cfg.seed}", digest]))


def mode_folder(cfg: DictConfig, name: str) -> Path:
    """Return `out`, made if it is not there; by default `runs/<name>`.

    Under `--multirun` a given `out` is the parent of one folder a job.

    Raises:
        UserError: the folder cannot be made or written.
    """
    sweep = HydraConfig.initialized() and HydraConfig.get().mode == RunMode.MULTIRUN
    folder = Path(str(cfg.out or "runs"))  # a name of digits is a number to Hydra
    if sweep or cfg.out is None:
        folder /= name
    try:
        folder.mkdir(parents=True, exist_ok=True)
        probe = folder / f".probe-{os.getpid()}"
        probe.touch()
        probe.unlink()
    except OSError as error:
        raise UserError(f"out={folder} cannot be written: {error.strerror}") from error
    return folder


@contextmanager
def only_process(folder: Path) -> Iterator[None]:
    """Hold a folder: two processes that write one ledger would mix their trials.

    The system lets go of the lock when the process ends, however it ends.

    Raises:
        UserError: another process holds it.
    """
    with (folder / ".lock").open("w") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            raise UserError(f"another process is searching in {folder}") from error
        yield


def write_whole(path: Path, write: Callable[[Path], object]) -> None:
    """Write a file under another name and rename it: a kill leaves no half file.

    Args:
        path: the file.
        write: writes to the path it is given, which has the same suffix.

    Raises:
        UserError: the disk is full, or the folder cannot be written.
    """
    part = path.with_name(f".{os.getpid()}-{path.name}")
    try:
        write(part)
        part.replace(path)
    except OSError as error:
        part.unlink(missing_ok=True)
        if error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EACCES, errno.EROFS):
            raise UserError(f"{path} cannot be written: {error.strerror}") from error
        raise


def write_text(path: Path, text: str) -> None:
    """Write a text file whole."""
    write_whole(path, lambda part: part.write_text(text))


def write_json(path: Path, value: Any) -> None:
    """Write a JSON file whole; lists of numbers stand on one line."""
    text = json.dumps(value, indent=2)
    numbers = re.compile(r"\[[\s\d,.e+-]+\]")
    text = numbers.sub(lambda found: "[" + " ".join(found[0][1:-1].split()) + "]", text)
    write_text(path, text + "\n")


def read_json(path: Path) -> Any:
    """Read a JSON file.

    Raises:
        UserError: it cannot be read, or is no JSON.
    """
    try:
        return json.loads(path.read_text())
    except (OSError, ValueError) as error:
        raise UserError(f"{path} cannot be read: {error}") from error
