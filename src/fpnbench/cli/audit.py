# ruff: noqa: N806
"""`mode=audit`: do shared weights rank the networks of a space as trainings do?

Networks are trained alone, through the score store, and scored by the weights of
supernets. How well these rank those stands beside what is known for nothing (MACs,
parameters, depth, nodes, zero-cost scores) and beside a second training. Supernets and
their scores are kept in the folder, so that the same command goes on after a kill.
"""

from collections.abc import Iterable, Mapping, Sequence
from math import nan

import numpy as np
from omegaconf import DictConfig
from rich.console import Console

from fpnbench.cli.audit_plan import Plan, read_plan
from fpnbench.cli.audit_report import CEILING, Column, Columns, report
from fpnbench.cli.audit_set import Member, Supernets, choose
from fpnbench.cli.build import build, build_evaluator, build_space
from fpnbench.cli.checks._networks import known
from fpnbench.cli.checks._shared import describe, only_scores, train_all
from fpnbench.cli.checks.zerocost import score_all
from fpnbench.cli.folder import mode_folder, only_process
from fpnbench.cli.report import run_folders
from fpnbench.cli.store import open_store
from fpnbench.graph.errors import UserError
from fpnbench.graph.protocols import EvaluationError
from fpnbench.graph.score import Score
from fpnbench.report import audit
from fpnbench.search.reward import average_precision
from fpnbench.search.store import ScoreStore
from fpnbench.train.proxy import ProxyTrainer
from fpnbench.train.zerocost import ZeroCost

LOSS = " loss"
"""Ends the name of a supernet's held-out loss, negated; without it: its AP."""


def main(cfg: DictConfig) -> int:
    """Train, score and compare; write `audit.json`, `audit.csv` and `audit.png`.

    Returns:
        0 whatever came out: an audit reports.

    Raises:
        UserError: keys are not as they must be, the evaluator trains nothing, there is
            no store, or too few networks could be scored.
    """
    plan, console = read_plan(cfg), Console()
    space, proxy = build_space(cfg), build_evaluator(cfg)
    if not isinstance(proxy, ProxyTrainer):
        raise UserError("mode=audit compares with trainings: evaluator=proxy")
    if plan.again and plan.second_seed == proxy.seed:
        raise UserError(
            f"audit.second_seed={proxy.seed} is evaluator.seed: the same AP"
        )
    if (store := open_store(cfg, proxy, console.print)) is None:
        raise UserError("store=null: mode=audit keeps trained APs in the store")
    if cfg.runs is not None:
        run_folders(cfg.runs)  # said now, not after the supernets were trained
    train = build(cfg.audit.supernet)
    folder = mode_folder(cfg, f"audit-{space.name}-{plan.name}")
    with only_process(folder):
        supernets = Supernets(train, proxy, space, folder, console)
        supernets.claim(plan)
        members, told = choose(cfg, plan, space, proxy, supernets)
        console.print(f"set {plan.name}: {', '.join(told)}", soft_wrap=True)
        own = train_members(cfg, proxy, members, proxy.seed, console)
        members = [each for each in members if each.network.key in own]
        if len(members) < audit.LEAST_NETWORKS:
            raise UserError(f"mode=audit ranks: {len(members)} networks were scored")
        twice = spread(members, plan.again)
        again = train_members(cfg, proxy, twice, plan.second_seed, console)
        columns = {CEILING: column(again.get(m.network.key) for m in members)}
        columns |= by_supernets(plan, supernets, members, console)
        columns |= for_nothing(plan, store, proxy, members, own)
    about = {
        **{"set": plan.name, "space": space.name, "repeats": cfg.repeats},
        **describe(cfg, proxy),
        **{"search_seed": cfg.seed, "evaluator_seed": proxy.seed},
        **{"second_seed": plan.second_seed, "networks": len(members), "members": told},
        "spent": {
            name: dict(zip(("seconds", "images", "gmacs"), each, strict=True))
            for name, each in supernets.spent.items()
        },
    }
    ap_N = column(own[each.network.key] for each in members)
    report(plan, about, members, ap_N, columns, folder, console)
    return 0


def train_members(
    cfg: DictConfig,
    proxy: ProxyTrainer,
    members: Sequence[Member],
    seed: int,
    console: Console,
) -> dict[str, Score]:
    """Return the scores of networks trained alone, by key; what fails is left out."""
    networks = {each.network.key: each.network.genotype for each in members}
    found = train_all(cfg, proxy, networks, [seed], console)
    return {name: score for name, (score,) in only_scores(found).items()}


def spread(members: Sequence[Member], count: int) -> list[Member]:
    """Return so many members, evenly over all of them and so over their groups."""
    places = np.linspace(0, len(members) - 1, min(count, len(members)))
    return [members[place] for place in places.round().astype(int)]


def column(scores: Iterable[Score | None]) -> Column:
    """Return the APs of scores, NaN of none."""
    return np.array([nan if s is None else average_precision(s) for s in scores])


def by_supernets(
    plan: Plan, supernets: Supernets, members: Sequence[Member], console: Console
) -> Columns:
    """Return AP and negated loss of the members by every supernet.

    One that cannot be trained is named and left out.
    """
    networks, columns = [each.network for each in members], {}
    for _, name, settings, seed, norms in plan.supernets():
        try:
            rows = supernets(settings, seed, norms, networks)
        except EvaluationError as error:
            console.print(f"{name} is left out: {error}", highlight=False)
            continue
        columns[name] = np.array([row.ap for row in rows])
        columns[f"{name}{LOSS}"] = np.array([-row.loss for row in rows])
    return columns


def for_nothing(
    plan: Plan,
    store: ScoreStore,
    proxy: ProxyTrainer,
    members: Sequence[Member],
    scores: Mapping[str, Score],
) -> Columns:
    """Return what is known of the members without training: sizes, zero-cost scores.

    And latency, where it was measured. NaN where a score is no number.
    """
    networks = [each.network for each in members]
    rows = [
        known(each, scores[each.key]) | {"latency_ms": scores[each.key].latency_ms}
        for each in networks
    ]
    columns = {name: np.array([row[name] for row in rows], float) for name in rows[0]}
    for name in plan.zerocost:
        found = score_all(
            store, ZeroCost(proxy, name, plan.batch, proxy.seed), networks
        )
        told = [None if score is None else score.estimate for score in found]
        columns[name] = np.array(told, float)
    return {name: each for name, each in columns.items() if not np.isnan(each).all()}
