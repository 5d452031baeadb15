"""`what=assignment`: which levels a preset's detector really trains on a data set.

The bars are those of every CPU preset: a level without objects cannot tell one pyramid
from another.
"""

from collections.abc import Iterator

from omegaconf import DictConfig
from rich.console import Console
from rich.table import Table
from torch import Tensor

from fpnbench.cli.build import build, build_source
from fpnbench.detect.audit import Audit, audit, reaches_px, suggest_ranges
from fpnbench.detect.targets import Targets
from fpnbench.graph.errors import UserError
from fpnbench.report.bar import Bar
from fpnbench.train.resize import ResizedSet

MOST_UNMATCHED = 0.15
MOST_OWNED = 0.60
LEAST_OWNED = 0.02
BATCH = 8  # images at once; few, since all are padded to the fullest
QUANTILES = (0.05, 0.25, 0.5, 0.75, 0.95)


def run(cfg: DictConfig) -> list[Bar]:
    """Audit the configured detector on all training boxes of the configured data."""
    result, reaches = measure(cfg)
    _show(f"{cfg.data.name} train, {cfg.image_px} px", result, reaches)
    return bars(result)


def measure(cfg: DictConfig) -> tuple[Audit, Tensor]:
    """Return the audit and the reaches of all training boxes, see `reaches_px`.

    Raises:
        UserError: there are no boxes.
    """
    train = build_source(cfg).split("train")
    head = build(cfg.detector)(
        in_channels=int(cfg.width),  # no weight is used here
        num_classes=len(train.categories),
        levels=tuple(cfg.detector.levels),
        image_px=int(cfg.image_px),
    )
    batches = list(_batches(ResizedSet(train, int(cfg.image_px))))
    reaches = reaches_px(batches)
    if not len(reaches):
        raise UserError(f"{train.name} has no boxes to assign")
    return audit(head, batches), reaches


def bars(result: Audit) -> list[Bar]:
    """Hold an audit against the bars of a CPU preset."""
    most, least = max(result.owned), min(result.owned)
    return [
        Bar(
            "boxes without a regular positive",
            f"<= {MOST_UNMATCHED:.0%}",
            f"{result.unmatched:.1%}",
            result.unmatched <= MOST_UNMATCHED,
        ),
        Bar(
            f"boxes of the fullest level, P{_level(result, most)}",
            f"<= {MOST_OWNED:.0%}",
            f"{most:.1%}",
            most <= MOST_OWNED,
        ),
        Bar(
            f"boxes of the emptiest level, P{_level(result, least)}",
            f">= {LEAST_OWNED:.0%}",
            f"{least:.1%}",
            least >= LEAST_OWNED,
        ),
    ]


def _level(result: Audit, share: float) -> int:
    return result.levels[result.owned.index(share)]


def _batches(resized: ResizedSet) -> Iterator[Targets]:
    for first in range(0, len(resized), BATCH):
        indices = range(first, min(first + BATCH, len(resized)))
        yield resized.targets(indices, [False] * len(indices))


def _show(title: str, result: Audit, reaches: Tensor) -> None:
    table = Table("level", "boxes owned", "positives", box=None, title=title)
    for level, owned, positives in zip(
        result.levels, result.owned, result.positives, strict=True
    ):
        table.add_row(f"P{level}", f"{owned:.1%}", f"{positives:.1%}")
    table.add_row("none", f"{result.unmatched:.1%}", "")
    console = Console()
    console.print(table)
    sizes = ", ".join(f"{q:.0%} {float(reaches.quantile(q)):.0f}" for q in QUANTILES)
    console.print(f"{result.boxes} boxes; half their long side in px: {sizes}")
    ranges = suggest_ranges(reaches, len(result.levels))
    console.print(f"FCOS ranges that follow from these: {ranges}", soft_wrap=True)
