"""`mode=evaluate`: a trained network scored on val, or once on test."""

import json
from datetime import UTC, datetime
from pathlib import Path

from omegaconf import DictConfig
from rich.console import Console

from fpnbench.cli.checkpoint import read_checkpoint
from fpnbench.cli.folder import mode_folder, write_json
from fpnbench.cli.train import trainer
from fpnbench.graph.errors import UserError
from fpnbench.train.scoring import coco_ap

PARTS = ("val", "test")


def main(cfg: DictConfig) -> int:
    """Score `checkpoint=` on `split=`; write `result.json`.

    Every reading of test is noted in `test_readings.jsonl` beside the checkpoint.

    Raises:
        UserError: another split, or test without `final=true`.
    """
    if cfg.split not in PARTS:
        raise UserError(f"split={cfg.split} is not one of {', '.join(PARTS)}")
    if cfg.split == "test" and cfg.final is not True:
        raise UserError(
            "split=test is read once per published table: final=true says that this "
            "is it; val serves for everything before"
        )
    checkpoint = read_checkpoint(cfg.checkpoint)
    evaluator = trainer(checkpoint.config).for_final(cfg.split)
    source = Path(cfg.checkpoint).resolve().parent
    folder, console = mode_folder(cfg, f"evaluate-{source.name}-{cfg.split}"), Console()
    found = evaluator.detections(checkpoint.genotype, checkpoint.weights)
    dataset = evaluator.sides[0][1]
    ap = coco_ap(dataset, found)
    facts = {**checkpoint.facts, "checkpoint": str(cfg.checkpoint), "split": cfg.split}
    result = {**facts, **ap, "images": len(found)}
    if cfg.split == "test":
        note_reading(source, ap["ap"])
    write_json(folder / "result.json", result)
    console.print(f"AP {ap['ap'] or 0:.4f} on {dataset.name}", highlight=False)
    console.print(f"written to {folder}", soft_wrap=True, highlight=False)
    return 0


def note_reading(folder: Path, ap: float | None) -> None:
    """Append one reading of test to the record of what was trained."""
    entry = {"time": datetime.now(UTC).isoformat(timespec="seconds"), "ap": ap}
    with (folder / "test_readings.jsonl").open("a") as file:
        file.write(json.dumps(entry) + "\n")
