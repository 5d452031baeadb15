"""`mode=train`: one network trained by the proxy's recipe, its weights kept."""

from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

from omegaconf import DictConfig
from rich.console import Console

from fpnbench.cli.build import build_evaluator, cell_path, load_cell
from fpnbench.cli.checkpoint import Checkpoint, write_checkpoint
from fpnbench.cli.draw import cell_name
from fpnbench.cli.folder import mode_folder, write_json, write_whole
from fpnbench.detect.targets import Detections
from fpnbench.graph.canonical import canonical, digest
from fpnbench.graph.errors import UserError
from fpnbench.report.photos import Photo, photos_figure
from fpnbench.train.data import DetectionSet
from fpnbench.train.proxy import ProxyTrainer

PARTS = ("val", "search")
PHOTOS = 6
"""Photos in `detections.png`."""


def main(cfg: DictConfig) -> int:
    """Train `cell=`; write `checkpoint.pt`, `result.json` and `detections.png`."""
    if cfg.split not in PARTS:
        raise UserError(
            f"split={cfg.split}: mode=train scores on val or search; test is read by "
            "mode=evaluate split=test final=true"
        )
    evaluator = trainer(cfg)
    if cfg.split == "val":
        evaluator = evaluator.for_final("val")
    genotype = canonical(load_cell(cfg).restrict(evaluator.levels))
    name = cell_name(cell_path(cfg.cell))
    folder, console = mode_folder(cfg, f"train-{name}"), Console()
    trained = evaluator.train(genotype, cfg.epochs, evaluator.seed)
    facts: dict[str, Any] = {
        "cell": str(cfg.cell),
        "key": digest(genotype),
        "trained_for": cfg.split,
        "benchmark": evaluator.benchmark,
        "epochs": cfg.epochs,
        "seed": evaluator.seed,
    }
    weights = trained.detector.state_dict()
    checkpoint = Checkpoint(genotype, weights, cfg, facts)
    write_checkpoint(folder / "checkpoint.pt", checkpoint)
    score = asdict(trained.score)
    score["seconds"] = score.pop("cost_s")
    write_json(folder / "result.json", {**facts, "split": cfg.split, **score})
    dataset = evaluator.sides[0][1]
    told = f"{name} on {dataset.name}: AP {trained.score.ap:.3f}"
    photos = shown(dataset, trained.detections)
    write_whole(
        folder / "detections.png", lambda part: photos_figure(photos, part, told)
    )
    console.print(
        f"{name}: AP {trained.score.ap:.4f} on {dataset.name}, "
        f"{trained.score.cost_s:.0f} s, seed {evaluator.seed}",
        highlight=False,
    )
    console.print(f"written to {folder}", soft_wrap=True, highlight=False)
    return 0


def trainer(cfg: DictConfig) -> ProxyTrainer:
    """Build the evaluator, which must be one that trains.

    Raises:
        UserError: it trains nothing, or in folds.
    """
    evaluator = build_evaluator(cfg)
    if not isinstance(evaluator, ProxyTrainer):
        raise UserError("this mode trains networks: evaluator=proxy is needed")
    if len(evaluator.sides) > 1:
        raise UserError("this mode keeps one network: evaluator.folds=null is needed")
    return evaluator


def shown(dataset: DetectionSet, found: Sequence[Detections]) -> list[Photo]:
    """Return evenly spaced photos with as many detections as there are objects.

    The best ones: so a photo shows neither a crowd of guesses nor nothing where scores
    are low.
    """
    places = range(0, len(found), max(1, len(found) // PHOTOS))[:PHOTOS]
    photos = []
    for place in places:
        record, best = dataset.records[place], found[place]
        count = max(1, len(record.labels))
        labels = [
            f"{dataset.categories[label]} {score:.2f}"
            for label, score in zip(
                best.labels_N[:count].tolist(),
                best.scores_N[:count].tolist(),
                strict=True,
            )
        ]
        boxes = best.boxes_xyxy_N4[:count].numpy()
        photos.append(Photo(dataset.load(record), record.boxes_xyxy, boxes, labels))
    return photos
