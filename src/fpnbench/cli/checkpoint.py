"""Checkpoints of `mode=train`: a network, its weights, and how it was trained."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

import torch
from omegaconf import DictConfig, OmegaConf
from torch import Tensor

from fpnbench.cli.folder import resolved, write_whole
from fpnbench.graph.errors import UserError
from fpnbench.graph.genotype import Genotype, from_json, to_json

FORMAT = 1


@dataclass(frozen=True, slots=True, eq=False)
class Checkpoint:
    """What a checkpoint file holds.

    Attributes:
        genotype: the canonical network.
        weights: the detector's state dict.
        config: the configuration it was trained with, resolved.
        facts: cell, benchmark, epochs and seed.
    """

    genotype: Genotype
    weights: dict[str, Tensor]
    config: DictConfig
    facts: dict[str, Any]


def write_checkpoint(path: Path, checkpoint: Checkpoint) -> None:
    """Write a checkpoint whole; plain values and tensors only."""
    values = {
        "format": FORMAT,
        "genotype": to_json(checkpoint.genotype),
        "weights": checkpoint.weights,
        "config": OmegaConf.to_yaml(OmegaConf.create(resolved(checkpoint.config))),
        "facts": checkpoint.facts,
    }
    write_whole(path, lambda part: torch.save(values, part))


def read_checkpoint(path: str | None) -> Checkpoint:
    """Read a checkpoint.

    Raises:
        UserError: no such file, no checkpoint, or one of another format.
    """
    if path is None or not Path(path).is_file():
        raise UserError(f"checkpoint={path}: a checkpoint.pt of mode=train is needed")
    try:
        values = torch.load(path, map_location="cpu", weights_only=True)
        found = values["format"]
        if found != FORMAT:
            raise UserError(f"{path} has format {found}, this version reads {FORMAT}")
        return Checkpoint(
            from_json(values["genotype"]),
            values["weights"],
            cast(DictConfig, OmegaConf.create(values["config"])),
            values["facts"],
        )
    except UserError:
        raise
    except Exception as error:  # unpickling garbage raises whatever it likes
        raise UserError(f"{path} is no checkpoint of mode=train") from error
