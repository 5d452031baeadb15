"""`what=ap`: how well a fixed pyramid does when trained on all of train, on val.

A search can never set these splits. Without `cell=` it is the vanilla FPN of NAS-FPN
Fig. 7 (a), for which the presets have bars.
"""

from statistics import fmean

from omegaconf import DictConfig, open_dict
from rich.console import Console

from fpnbench.cli.build import build_evaluator, load_cell
from fpnbench.graph.canonical import canonical
from fpnbench.graph.errors import UserError
from fpnbench.report.bar import Bar
from fpnbench.search.reward import average_precision
from fpnbench.train.proxy import ProxyTrainer

REFERENCE = "fpn_vanilla"
SEEDS = (0, 1, 2)
BARS = {
    ("aquarium", 256, 6): 0.050,
    ("aquarium", 320, 12): 0.075,
    ("aquarium_published", 256, 6): 0.090,
}
"""Least mean AP of the reference of width 64, one repeat, by data, pixels, epochs."""


def run(cfg: DictConfig) -> list[Bar]:
    """Train the cell once per seed and hold the mean AP against the preset's bar.

    Raises:
        UserError: the evaluator trains nothing.
    """
    with open_dict(cfg):
        cfg.cell = cfg.cell or REFERENCE
    search = build_evaluator(cfg)
    if not isinstance(search, ProxyTrainer):
        raise UserError("what=ap trains networks: evaluator=proxy is needed")
    evaluator = search.for_final("val")
    genotype = canonical(load_cell(cfg).restrict(evaluator.levels))
    console, aps = Console(), []
    for seed in SEEDS:
        score = evaluator(genotype, evaluator.epochs, seed)
        aps.append(average_precision(score))
        console.print(
            f"seed {seed}: AP {score.ap:.4f}, AP50 {score.ap50 or 0:.4f}, "
            f"{score.images} images, {score.cost_s:.0f} s",
            highlight=False,
        )
    return [hold(cfg, evaluator.epochs, aps)]


def hold(cfg: DictConfig, epochs: int, aps: list[float]) -> Bar:
    """Hold a mean AP against the bar of its preset, if there is one."""
    setting = (str(cfg.data.name), int(cfg.image_px), epochs)
    plain = cfg.cell == REFERENCE and cfg.width == 64 and cfg.repeats == 1
    least = BARS.get(setting) if plain else None
    name = f"{cfg.cell} x{cfg.repeats}, {setting[0]}, {setting[1]} px, {epochs} epochs"
    measured = f"AP {fmean(aps):.4f}, mean of {len(aps)} seeds"
    if least is None:
        return Bar(name, "none stated", measured, True)
    return Bar(name, f">= {least:.3f}", measured, fmean(aps) >= least)
