"""The keys of `mode=audit`: which set of networks, which supernets."""

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import product
from typing import Any

from omegaconf import DictConfig

from fpnbench.cli.checks._shared import read_different, read_value
from fpnbench.graph.errors import UserError
from fpnbench.train.shared import SupernetSettings
from fpnbench.train.zerocost import Name


@dataclass(frozen=True, slots=True)
class Plan:
    """The keys of `audit`, those of the chosen set among them; see the mode's yaml.

    Attributes:
        name: of the set.
        first: number of its first random network; `stop`: after its last.
        settings: of the supernets, every combination.
        noise: None: that of the networks that are trained again.
    """

    name: str
    first: int
    stop: int
    candidates: int
    bests: int
    again: int
    settings: tuple[SupernetSettings, ...]
    norm_batches: tuple[int, ...]
    supernet_seeds: tuple[int, ...]
    second_seed: int
    noise: float | None
    zerocost: tuple[Name, ...]
    batch: int
    top: int
    least_tau: float
    least_low: float
    resamples: int

    def supernets(self) -> Iterator[tuple[str, str, SupernetSettings, int, int]]:
        """Yield what scores: its setting's name, its own, settings, seed, batches."""
        for settings, seed, norms in product(
            self.settings, self.supernet_seeds, self.norm_batches
        ):
            setting = f"{setting_name(settings)}-n{norms}"
            yield setting, f"{setting}-s{seed}", settings, seed, norms


def read_plan(cfg: DictConfig) -> Plan:
    """Read the keys of `audit`.

    Raises:
        UserError: names one that is not as it must be.
    """
    sets, name = cfg.audit.sets, read_value(cfg, "audit.set", Any)
    if name not in sets:
        raise UserError(f"audit.set={name} is not one of {', '.join(sets)}")
    here = f"audit.sets.{name}"

    def number(key: str, least: int) -> int:
        told = f"a whole number from {least} on"
        value: int = read_value(cfg, key, int, told)
        if value < least:
            raise UserError(f"{key}={value}: it must be {told}")
        return value

    numbers = read_value(cfg, f"{here}.networks", list[int])
    if len(numbers) != 2 or not 0 <= numbers[0] < numbers[1]:
        told = "two numbers, the first from 0 on and below the second"
        raise UserError(f"{here}.networks={numbers}: it must be {told}")
    epochs = number("audit.epochs", 1)
    lists = [
        read_different(cfg, f"{here}.{key}", str)
        for key in ("share", "sampling", "kernel")
    ]
    norms = read_different(cfg, f"{here}.norm_batches", int)
    seeds = read_different(cfg, "audit.supernet_seeds", int)
    for key, values in (("norm_batches", norms), ("supernet_seeds", seeds)):
        if min(values) < 0:
            raise UserError(f"audit: {key}={values}: they must be 0 or more")
    noise = read_value(cfg, "audit.noise", float | None)
    if noise is not None and noise < 0:
        raise UserError(f"audit.noise={noise}: it must be null, or 0 or more")
    return Plan(
        name=str(name),
        first=numbers[0],
        stop=numbers[1],
        **{key: number(f"{here}.{key}", 0) for key in ("candidates", "bests", "again")},
        settings=tuple(SupernetSettings(epochs, *each) for each in product(*lists)),
        norm_batches=tuple(norms),
        supernet_seeds=tuple(seeds),
        second_seed=number("audit.second_seed", 0),
        noise=noise,
        zerocost=tuple(read_value(cfg, "audit.zerocost", list[Name])),
        batch=number("audit.batch", 2),
        top=number("audit.top", 1),
        least_tau=float(read_value(cfg, "audit.least_tau", float)),
        least_low=float(read_value(cfg, "audit.least_low", float)),
        resamples=number("audit.resamples", 1),
    )


def supernet_name(settings: SupernetSettings, seed: int) -> str:
    """Name what tells the supernets of an audit apart."""
    return f"{setting_name(settings)}-s{seed}"


def setting_name(settings: SupernetSettings) -> str:
    """Name what tells supernets of one length apart."""
    return f"{settings.share}-{settings.sampling}-{settings.kernel}"
