# ruff: noqa: N803, N806
"""What an audit prints and writes, of the columns that it has measured."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from math import isnan, nan
from pathlib import Path
from statistics import fmean
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from rich.console import Console
from rich.table import Table

from fpnbench.cli.audit_plan import Plan
from fpnbench.cli.audit_set import Member
from fpnbench.cli.checks._shared import plain
from fpnbench.cli.folder import write_json, write_text, write_whole
from fpnbench.report import audit
from fpnbench.report.audit import shown
from fpnbench.report.bar import Bar
from fpnbench.report.statistics import over_items, tau_across

CEILING = "second seed"
"""The predictor that is another training: as well as anything may be asked to rank."""
HEADS = {"kendall_tau": "tau", "partial_tau": "tau given MACs"}
"""Figures that are printed with their intervals, and how they are called."""
UNTOLD = "tau_above_macs"  # is no column: a line tells it
Column = NDArray[np.float64]
Columns = dict[str, Column]


def report(
    plan: Plan,
    about: Mapping[str, Any],
    members: Sequence[Member],
    ap_N: Column,
    columns: Columns,
    folder: Path,
    console: Console,
) -> None:
    """Compare predictors with the networks' own AP; print and write what comes out."""
    groups = [each.group for each in members]
    noise, source = plan.noise, "audit.noise"
    if noise is None:
        noise = audit.noise_of(ap_N, columns[CEILING])
        source = f"{np.sum(~np.isnan(columns[CEILING]))} networks of two seeds"
    given: dict[str, Any] = {"top": plan.top, "resamples": plan.resamples}
    found = {
        name: audit.over_parts(
            values, ap_N, columns["macs"], groups, noise=noise, **given
        )
        for name, values in columns.items()
    }
    judged = by_setting(plan, found)
    names = [name for each in judged.values() for name in each]
    least = plan.least_tau, plan.least_low
    bars = [bar for name in names for bar in audit.hold(name, found[name], *least)]
    lines = [said(noise, source)]
    lines += [audit.against_macs(name, found[name]) for name in names]
    lines += over_seeds(judged, columns, found, plan.resamples)
    told: dict[str, Any] = {"noise": noise, "noise_source": source, "lines": lines}
    told |= {"bars": [asdict(bar) for bar in bars]}
    told["predictors"] = {
        name: {part: asdict(own) for part, own in parts.items()}
        for name, parts in found.items()
    }
    write_json(folder / "audit.json", plain({**about, **told}))
    write_text(folder / "audit.csv", table(members, ap_N, columns).to_csv(index=False))
    title = f"{about['space']} on {about['data']}, set {plan.name}"
    drawn = {name: columns[name] for name in (*names, "macs")}
    write_whole(
        folder / "audit.png",
        lambda part: audit.scatter(drawn, ap_N, groups, found, title, part),
    )
    console.print(printed(found))
    lines += [verdict(bar) for bar in bars]
    for line in (*lines, f"written to {folder}"):
        console.print(line, soft_wrap=True, highlight=False)


def verdict(bar: Bar) -> str:
    """Tell a bar, and whether it held, on one line."""
    held = "held" if bar.held else "NOT HELD"
    return f"{bar.name} {bar.bar}: {bar.measured}, {held}"


def table(members: Sequence[Member], ap_N: Column, columns: Columns) -> pd.DataFrame:
    """Return `audit.csv`: a row a network, with its own AP and every predictor."""
    own = {
        "group": [each.group for each in members],
        "number": [each.network.number for each in members],
        "key": [each.network.key for each in members],
        "choices": [" ".join(map(str, each.network.choices)) for each in members],
        "ap": ap_N,
    }
    return pd.DataFrame(own | columns)


def by_setting(plan: Plan, found: Mapping[str, audit.Parts]) -> dict[str, list[str]]:
    """Return the supernets that could be trained, a list of seeds a setting."""
    judged: dict[str, list[str]] = {}
    for setting, name, *_ in plan.supernets():
        judged.setdefault(setting, []).extend([name] * (name in found))
    return judged


def said(noise: float, source: str) -> str:
    """Say how far AP spreads between seeds, and whence that is known."""
    if isnan(noise):
        return "no sparse tau: audit.noise=null, and no network has two seeds"
    return f"AP has sd {noise:.4f} between seeds ({source})"


def over_seeds(
    settings: Mapping[str, Sequence[str]],
    columns: Columns,
    found: Mapping[str, audit.Parts],
    resamples: int,
) -> list[str]:
    """Say by setting how well seeds rank each other, and which has the highest tau."""
    lines, means = [], {}
    for setting, names in settings.items():
        taus = [found[name][audit.ALL].figures["kendall_tau"].value for name in names]
        means[setting] = fmean(taus or [nan])
        if len(names) > 1:
            table_NS = np.stack([columns[name] for name in names], 1)
            alike = over_items(tau_across, table_NS, table_NS, resamples=resamples)
            lines.append(f"{setting}: tau between supernet seeds {shown(alike)}")
    if len(means) > 1:
        order = sorted(means, key=lambda name: -np.nan_to_num(means[name], nan=-2))
        told = ", ".join(f"{name} {means[name]:.3f}" for name in order)
        lines.append(f"mean tau over supernet seeds, the highest first: {told}")
    return lines


def printed(found: Mapping[str, audit.Parts]) -> Table:
    """Return the table for the terminal; intervals stand beside taus alone."""
    known = {name: own for name, own in found.items() if audit.ALL in own}
    names = [name for name in known["macs"][audit.ALL].figures if name != UNTOLD]
    rows = Table("predictor", "n", *(HEADS.get(n, n.replace("_", " ")) for n in names))
    rows.box, rows.columns[0].no_wrap = None, True
    parts = [
        part
        for part in (audit.HALF, audit.RANDOM)
        if any(part in own for own in known.values())
    ]
    for part in parts:
        rows.add_column(f"tau, {part}")
    for predictor, own in known.items():
        told = own[audit.ALL]
        taus = [
            own[part].figures["kendall_tau"] if part in own else audit.NONE
            for part in parts
        ]
        rows.add_row(
            *(predictor, str(told.networks)),
            *(
                # A regret is in AP, of which hundredths are many.
                shown(each, ends=name in HEADS, digits=4 if "regret" in name else 2)
                for name, each in told.figures.items()
                if name in names
            ),
            *(shown(tau, ends=False) for tau in taus),
        )
    return rows
