"""`what=orders`: whether a proxy orders pyramids as published work does.

The suite, its pairs and their sources stand in conf/mode/check.yaml, the rules of the
score in `fpnbench.report.orders`; both were fixed before anything was run. Every
number that a score holds is judged, and so is ranking by MACs, the baseline to beat.
"""

from collections.abc import Container, Mapping, Sequence
from dataclasses import asdict
from typing import Any

from omegaconf import DictConfig
from rich.console import Console
from rich.table import Table

from fpnbench.cli.build import build_evaluator
from fpnbench.cli.checks._shared import (
    describe,
    only_scores,
    plain,
    read_cells,
    read_different,
    read_value,
    train_all,
)
from fpnbench.cli.values import fits
from fpnbench.graph.canonical import digest
from fpnbench.graph.errors import UserError
from fpnbench.graph.genotype import Genotype
from fpnbench.graph.protocols import Evaluator
from fpnbench.graph.score import Score
from fpnbench.report.bar import Bar, Findings
from fpnbench.report.orders import Agreement, Pair, Verdict, agreement, verdict

MEASURED = ("ap", "ap50", "ap_s", "ap_m", "ap_l", "loss")
"""Numbers of a score that may order pyramids; the loss negated."""
BASELINE = "macs"
Suite = Mapping[str, Genotype]
Found = Mapping[str, Sequence[Score]]
"""Scores of every pyramid, in the order of the seeds."""


def run(cfg: DictConfig) -> Findings:
    """Train the suite with every seed and count the pairs ordered as published.

    Raises:
        UserError: suite, pairs or seeds are not as they must be, no pair is left, or
            the evaluator tells no AP.
    """
    seeds = read_different(cfg, "orders.seeds", int)
    single = read_value(cfg, "orders.single_level", list[str])
    pairs, soft = read_pairs(cfg, "pairs"), read_pairs(cfg, "soft")
    evaluator, console = build_evaluator(cfg), Console()
    suite = read_suite(cfg, evaluator, console)
    found = only_scores(train_all(cfg, evaluator, suite, seeds, console))
    measures = tabulate(found)
    kept, kept_soft = among(pairs, found), among(soft, found)
    if not kept:
        raise UserError("what=orders: no pair is left of which both could be scored")
    if "ap" not in measures:
        raise UserError("what=orders ranks by AP, which this evaluator does not tell")
    verdicts = {
        pair: verdict(measures["ap"][pair.better], measures["ap"][pair.worse])
        for pair in (*kept, *kept_soft)
    }
    show_pairs(verdicts, console)
    several = found.keys() - set(single)
    parts = {
        "pairs": kept,
        "soft": kept_soft,
        "without_single_level": among(kept, several),
    }
    judged = {
        part: judge(measures, chosen, cfg.orders.resamples)
        for part, chosen in parts.items()
    }
    show(judged["pairs"], console)
    about = {
        **describe(cfg, evaluator),
        "levels": list(evaluator.levels),
        "seeds": seeds,
        "planned": len(pairs),
        "left_out": [name for name in cfg.orders.suite if name not in found],
        "verdicts": [
            asdict(pair) | {"soft": pair in kept_soft} | plain(asdict(told))
            for pair, told in verdicts.items()
        ],
        **{
            part: {name: plain(asdict(value)) for name, value in each.items()}
            for part, each in judged.items()
        },
    }
    bars = hold(judged["pairs"], len(pairs), cfg.orders.least_share)
    return Findings(bars, about, rows(cfg, suite, found, seeds))


def read_pairs(cfg: DictConfig, kind: str) -> list[Pair]:
    """Return the pairs of all families, `pairs` or `soft`.

    Raises:
        UserError: one that is not "better > worse: gap", or of a pyramid that is not in
            the suite.
    """
    pairs = []
    suite = read_value(cfg, "orders.suite", dict[str, int])
    for family in read_value(cfg, "orders.families", dict[str, Any]):
        key = f"orders.families.{family}"
        allowed = "a mapping with pairs, and soft ones, 'better > worse: gap'"
        own = read_value(cfg, key, dict[str, dict[str, Any] | None], allowed)
        for text, gap in (own.get(kind) or {}).items():
            names = [name.strip() for name in str(text).split(">")]
            known = len(names) == 2 and set(names) <= set(suite)
            if not known or not fits(gap, float):
                raise UserError(
                    f"orders.families.{family}.{kind}: '{text}: {gap}' is no "
                    "'better > worse: gap' of two pyramids of orders.suite"
                )
            better, worse = names
            pairs.append(Pair(better, worse, str(family), float(gap)))
    return pairs


def read_suite(cfg: DictConfig, evaluator: Evaluator, console: Console) -> Suite:
    """Return what the evaluator reads of every pyramid of the suite, see `read_cells`.

    Raises:
        UserError: copies that are no number, or no such cell.
    """
    suite = read_value(cfg, "orders.suite", dict[str, int])
    for name, repeats in suite.items():
        if repeats < 1:
            raise UserError(f"orders.suite.{name}={repeats}: it must be copies, >= 1")
    return read_cells(cfg, suite, evaluator, console)


def tabulate(found: Found) -> dict[str, dict[str, list[float]]]:
    """Return every number by pyramid and seed, more is better.

    What some score lacks (AP of large objects where there is none) is left out.
    """
    tables = {}
    for name in MEASURED:
        sign = -1 if name == "loss" else 1
        values = {
            cell: [getattr(score, name) for score in scores]
            for cell, scores in found.items()
        }
        if not any(None in row for row in values.values()):
            tables[name] = {
                cell: [sign * value for value in row] for cell, row in values.items()
            }
    tables[BASELINE] = {cell: [float(scores[0].macs)] for cell, scores in found.items()}
    return tables


def among(pairs: Sequence[Pair], names: Container[str]) -> list[Pair]:
    """Return the pairs of which both pyramids are there."""
    return [pair for pair in pairs if pair.better in names and pair.worse in names]


def judge(
    measures: Mapping[str, Mapping[str, Sequence[float]]],
    pairs: Sequence[Pair],
    resamples: int,
) -> dict[str, Agreement]:
    """Return how far every number orders the pairs; nothing where there is no pair."""
    if not pairs:
        return {}
    return {
        name: agreement(values, pairs, resamples) for name, values in measures.items()
    }


def hold(judged: Mapping[str, Agreement], planned: int, least: float) -> list[Bar]:
    """Hold AP against its bars: so many pairs as published, and more than by MACs."""
    ap, macs = judged["ap"], judged[BASELINE]
    left = planned - ap.pairs
    missing = f", {left} left out" if left else ""
    told = (
        f"{counted(ap)}, {ap.undecided} undecided{missing}; Wilson "
        f"{between(ap.share.low, ap.share.high)}, over pyramids "
        f"{between(ap.low, ap.high)}, by chance p={ap.p:.2g}"
    )
    if ap.without:
        ends = min(ap.without.values()), max(ap.without.values())
        told += f", without one pyramid {ends[0]:.2f} to {ends[1]:.2f}"
    share, cost = ap.share.value, macs.share.value
    more = "more of them than by MACs alone"
    return [
        Bar("pairs ordered as published", f">= {least:.0%}", told, share >= least),
        Bar(more, f"> {counted(macs)}", counted(ap), share > cost),
    ]


def counted(found: Agreement) -> str:
    """Write a share for people: `18.5 of 23 (80%)`."""
    return f"{found.alike:g} of {found.pairs} ({found.share.value:.0%})"


def between(low: float, high: float) -> str:
    """Write an interval for people."""
    return f"[{low:.2f}, {high:.2f}]"


def show_pairs(verdicts: Mapping[Pair, Verdict], console: Console) -> None:
    """Print a line for every pair, AP in points."""
    words = {1.0: "alike", 0.5: "undecided", 0.0: "the other way"}
    table = Table("", "pair", "published", "here", "se", "", box=None)
    for pair, told in verdicts.items():
        table.add_row(
            pair.family,
            f"{pair.better} > {pair.worse}",
            *(f"{x:.2f}" for x in (pair.gap, 100 * told.difference, 100 * told.error)),
            words[told.credit],
        )
    console.print(table)


def show(judged: Mapping[str, Agreement], console: Console) -> None:
    """Print a line for every number that orders the pairs."""
    families = judged[BASELINE].families
    columns = ("alike", "Wilson", "over pyramids", "p", *families)
    table = Table("by", *columns, box=None)
    for name, each in judged.items():
        table.add_row(
            "-loss" if name == "loss" else name,
            f"{each.alike:g}/{each.pairs}",
            between(each.share.low, each.share.high),
            between(each.low, each.high),
            f"{each.p:.2g}",
            *(f"{part:g}/{count}" for part, count in each.families.values()),
        )
    console.print(table)


def rows(
    cfg: DictConfig, suite: Suite, found: Found, seeds: Sequence[int]
) -> list[dict[str, Any]]:
    """Return a row for every pyramid and seed."""
    return [
        {
            "cell": cell,
            "repeats": cfg.orders.suite[cell],
            "key": digest(suite[cell]),
            "seed": seed,
            **{name: getattr(score, name) for name in MEASURED},
            "macs": score.macs,
            "params": score.params,
            "cost_s": score.cost_s,
            "train_gmacs": score.train_gmacs,
        }
        for cell, scores in found.items()
        for seed, score in zip(seeds, scores, strict=True)
    ]
