"""`mode=show`: one trial of a run: its network, training, scores, and why it failed."""

from collections.abc import Iterable, Sequence
from dataclasses import asdict
from glob import glob
from pathlib import Path
from typing import Any, cast

from matplotlib.ticker import MaxNLocator
from omegaconf import DictConfig, OmegaConf
from rich.console import Console
from rich.table import Table

from fpnbench.cli.build import build_space, load_cell
from fpnbench.cli.folder import (
    mode_folder,
    recorded,
    write_json,
    write_text,
    write_whole,
)
from fpnbench.cli.output import best_trial
from fpnbench.graph.blocks import STEM, BlockKey, block_graph, first_copy
from fpnbench.graph.canonical import canonical, digest
from fpnbench.graph.draw import draw_svg
from fpnbench.graph.errors import UserError
from fpnbench.graph.genotype import FORMAT, Genotype
from fpnbench.graph.score import Checkpoint
from fpnbench.report.png import svg_to_png
from fpnbench.report.style import BLUE, TEAL, panels, save
from fpnbench.search.ledger import recorded_trials
from fpnbench.search.trial import Trial


def main(cfg: DictConfig) -> int:
    """Print a trial; write `trial.json`, `cell.svg`, `cell.png` and `curve.png`."""
    run = one_run(cfg.runs)
    config = OmegaConf.create(recorded(run))
    trials = recorded_trials(config.ledger.url, config.ledger.study, run)
    trial = pick(trials, cfg.trial, run)
    genotype = network(config, trial, run)
    console, title = Console(), f"{run.name}, trial {trial.number}"
    console.print(_facts(trial), blocks(genotype))
    folder = mode_folder(cfg, f"show-{run.name}-{trial.number}")
    svg = draw_svg(genotype, title)
    write_text(folder / "cell.svg", svg)
    write_whole(folder / "cell.png", lambda part: svg_to_png(svg, part))
    curve = () if trial.score is None else trial.score.curve
    if curve:
        write_whole(folder / "curve.png", lambda part: curve_figure(curve, part, title))
    write_json(folder / "trial.json", as_cell(config, trial))
    console.print(f"written to {folder}", soft_wrap=True, highlight=False)
    return 0


def one_run(wanted: object) -> Path:
    """Return the run folder that `runs=` names; the run need not be finished.

    Raises:
        UserError: it names none, or several.
    """
    patterns = [wanted] if isinstance(wanted, str | int | float) else wanted
    if not patterns:
        raise UserError("runs= is missing: the folder of one run")
    texts = map(str, cast(Iterable[object], patterns))
    paths = sorted({Path(path) for text in texts for path in glob(text)})
    found = [path for path in paths if (path / "config.yaml").is_file()]
    if len(found) != 1:
        named = f" ({found[0]}, {found[1]}, ...)" if found else ""
        raise UserError(
            f"runs={wanted}: {len(found) or 'no'} run folders{named} among "
            f"{len(paths)} paths, mode=show takes one"
        )
    return found[0]


def pick(trials: Sequence[Trial], number: object, run: Path) -> Trial:
    """Return a trial by its number, the best one by default.

    Raises:
        UserError: there is no such trial, or none with a reward.
    """
    if number is None:
        if (best := best_trial(trials)) is None:
            raise UserError(f"{run} has no trial with a reward; name one: trial=0")
        return best
    found = next((trial for trial in trials if trial.number == number), None)
    if found is None or isinstance(number, bool):
        there = f"0 to {len(trials) - 1}" if trials else "none"
        raise UserError(f"trial={number}: {run} has no such trial (there: {there})")
    return found


def network(config: DictConfig, trial: Trial, run: Path) -> Genotype:
    """Rebuild the network of a trial, canonical, from a run's configuration.

    Raises:
        UserError: its space makes another one of the choices than it did in the run.
    """
    if trial.choices:
        genotype = build_space(config).decode(trial.choices)
    else:
        cell = OmegaConf.merge(config, {"cell": trial.cell})
        genotype = load_cell(cast(DictConfig, cell))
    scorer = config.evaluator.get("proxy", config.evaluator)  # of a zero-cost score
    levels = scorer.get("levels", genotype.levels)
    genotype = canonical(genotype.restrict(levels))
    if digest(genotype) != trial.key:
        raise UserError(
            f"{run}: trial {trial.number} was the network {trial.key} and decodes to "
            f"{digest(genotype)}; the space has changed since the run"
        )
    return genotype


def blocks(genotype: Genotype) -> Table:
    """Return the blocks of a genotype's first copy as a table."""
    graph = block_graph(first_copy(genotype))
    outputs = {key: f"P{level}" for level, key, _ in graph.outputs}
    title = f"the first of {genotype.repeats} copies" if genotype.repeats > 1 else None
    table = Table("block", "level", "merge", "reads", "then", "gives", title=title)
    table.box = None
    for block in graph.blocks:
        reads = [
            f"({_name(link.source)})" if link.residual else _name(link.source)
            for link in graph.links
            if link.target == block.key
        ]
        if block.key[0] != STEM or reads:
            given = outputs.get(block.key, "")
            level = f"P{block.level}"
            name = _name(block.key)
            merge = "" if block.key[0] == STEM else block.merge
            table.add_row(name, level, merge, " ".join(reads), block.detail, given)
    return table


def curve_figure(curve: Sequence[Checkpoint], path: Path, title: str) -> None:
    """Draw a training: loss by epoch, and AP where it was measured."""
    figure, (left, right) = panels(2, (4.2, 3.2), title)
    left.plot([p.epoch for p in curve], [p.loss for p in curve], "o-", color=BLUE)
    known = {p.epoch: p.ap for p in curve if p.ap is not None}
    right.plot(list(known), list(known.values()), "o-", color=TEAL)
    right.set_ylim(bottom=0)
    for axis, label in ((left, "training loss"), (right, "held-out AP")):
        axis.set_ylabel(label, fontsize=10)
        axis.set_xlabel("epoch", fontsize=10)
        axis.set_xlim(0, curve[-1].epoch + 0.5)
        axis.xaxis.set_major_locator(MaxNLocator(integer=True))
    save(figure, path)


def as_cell(config: DictConfig, trial: Trial) -> dict[str, Any]:
    """Return all that is known of a trial; with choices it is a file for `cell=`."""
    space = cast(dict[str, Any], OmegaConf.to_container(config.space))
    current = {name: f"${{{name}}}" for name in ("repeats", "width") if name in space}
    return {
        "format": FORMAT,
        "space": config.names.space,
        "space_args": space | current,
        **asdict(trial),
        "choices": list(trial.choices),
    }


def _facts(trial: Trial) -> Table:
    facts = asdict(trial)
    score = facts.pop("score") or {}
    facts |= {name: score[name] for name in score if name != "curve"}
    facts["choices"] = " ".join(map(str, trial.choices))
    table = Table(show_header=False, box=None)
    for name, value in facts.items():
        if value != "" and value is not None and value is not False:
            shown = f"{value:,.4f}" if isinstance(value, float) else str(value)
            table.add_row(name, shown)
    return table


def _name(key: BlockKey) -> str:
    return f"C{key[1]}" if key[0] == STEM else str(key[1])
