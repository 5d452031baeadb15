"""The space x searcher matrix: what each searcher found, ties, and random beside it.

A run's result is the AP of its best finalist. In a report without any finalists the
highest reward of the search stands in for it, which is progress and no result.
"""

from collections.abc import Mapping, Sequence
from math import nan
from typing import Any

import pandas as pd

from fpnbench.report.runs import Group, Run, evaluations, groups, ranked
from fpnbench.report.statistics import LEAST_SEEDS, Estimate, mean_interval, over_items

TIE_SDS = 2
"""Up to so many paired standard deviations a mean difference is a tie."""
DRAWS = ("space.", "repeats", "width", "reward.", "evaluator.epochs", "evaluator.seed")
"""Keys that decide which networks a run draws and how they are rewarded; those of a
baseline are the same."""
NOTHING = pd.Series(dtype=float)
OUTCOME = [
    "reward",
    "ap",
    "ap_all",
    "ap_images",
    "optimism",
    "finalists",
    "final_seeds",
]
COST = ["macs", "params", "latency_ms"]


def matrix(runs: Sequence[Run], baseline: str | None) -> pd.DataFrame:
    """Return a row per space, searcher and setting.

    Args:
        runs: comparable ones.
        baseline: the searcher that others are compared with; None: none.

    Returns:
        Over seeds: `ap` of the best finalist and highest `reward` (each `_n`, `_mean`,
        `_sd`, and from 3 seeds the interval `_low`, `_high`), means of the rest of what
        `outcomes` gives. `result` is the one of the two that `standing` and `gain` are
        of. `sampling` is over all rewards that the baseline's evaluations drew,
        `search` over its highest ones. `seeds` counts the runs with a result.
    """
    found = groups(runs)
    told = {group: outcomes(alike) for group, alike in found.items()}
    result = "ap" if any(run.finalists is not None for run in runs) else "reward"
    values = {group: each[result].dropna() for group, each in told.items()}
    rows = []
    for group, alike in found.items():
        rivals = [values[other] for other in found if other.space == group.space]
        base = baseline_of(group, found, baseline)
        rival = values[base] if base and base != group else NOTHING
        drawn = sampled(found[base] if base else [])
        rows.append(
            {
                **group._asdict(),
                "dedup": alike[0].config["searcher.dedup"],
                **spread("ap", told[group]["ap"]),
                **told[group].drop(columns=["reward", "ap"]).mean(),
                **spread("reward", told[group]["reward"]),
                "result": result,
                **standing(values[group], rivals),
                **gain(values[group], rival),
                "baseline": baseline,
                **spread("sampling", drawn["reward"]),
                "sampling_macs": drawn["macs"].mean(),
                **spread("search", told[base]["reward"] if base else NOTHING),
                "seeds": len(values[group]),
                **used(alike),
            }
        )
    return pd.DataFrame(rows)


def outcomes(alike: Sequence[Run]) -> pd.DataFrame:
    """Return, by seed, what each run of a group came to; NaN where it has none.

    Columns: highest `reward`; `ap` of the finalist whose mean over evaluator seeds is
    the highest; `ap_all`, the mean over all finalists, which no choice has lifted;
    `ap_images`, half the 95 % interval of `ap` over images; `optimism`, reward minus AP
    of the network with the highest reward; costs of the network whose AP it is (without
    finalists: of the most rewarded one).
    """
    rows = []
    for run in alike:
        row, networks = dict.fromkeys([*OUTCOME, *COST], nan), ranked(run.trials)
        if len(networks):
            chosen = networks.index[0]
            row["reward"] = networks["reward"].iloc[0]
            if (finals := run.finalists) is not None:
                best = finals.loc[finals["ap"].idxmax()]
                chosen = best["key"]
                row |= {"ap": best["ap"], "ap_all": finals["ap"].mean()}
                row["ap_images"] = (best["ap_high"] - best["ap_low"]) / 2
                row["optimism"] = finals["optimism"].iloc[0]
                row |= {"finalists": len(finals), "final_seeds": best["seeds"]}
            row |= networks.loc[chosen, COST].to_dict()
        rows.append(row)
    seeds = [run.summary["seed"] for run in alike]
    return pd.DataFrame(rows, index=seeds, dtype=float)


def spread(name: str, values: pd.Series) -> dict[str, float]:
    """Return count, mean, sd (from 2) and interval of the mean (from 3) of values."""
    known = values.dropna()
    found = mean_interval(known) if len(known) else Estimate(nan, nan, nan)
    numbers = (len(known), found.value, known.std(ddof=1), found.low, found.high)
    names = ("n", "mean", "sd", "low", "high")
    return {f"{name}_{each}": n for each, n in zip(names, numbers, strict=True)}


def standing(ours: pd.Series, rivals: Sequence[pd.Series]) -> dict[str, Any]:
    """Compare a searcher's results with those of the best one of its space.

    The best has the highest mean. Differences, best minus ours, are taken within the
    seeds that both have. It is a tie if their mean is at most twice their standard
    deviation: one run of either could well have come out the other way round. Nothing
    is said below two such seeds. The standard deviation is that of single differences,
    not of their mean: more seeds make it surer, not smaller.

    Args:
        ours: results by seed, without NaN.
        rivals: those of all searchers of the space, ours among them.
    """
    known = [each for each in rivals if len(each)]
    if len(known) < 2 or ours.empty:
        return {"standing": "", "behind": nan, "behind_sd": nan}
    best = max(known, key=lambda each: each.mean())
    gaps = (best - ours).dropna()
    mean, sd = gaps.mean(), gaps.std(ddof=1)
    word = "best" if best is ours else "tie" if mean <= TIE_SDS * sd else "behind"
    if word != "best" and len(gaps) < 2:
        word = ""
    return {"standing": word, "behind": mean, "behind_sd": sd}


def gain(ours: pd.Series, theirs: pd.Series) -> dict[str, float]:
    """Return the relative improvement of mean results, within the seeds both have.

    (ours - theirs) / theirs, NaN unless theirs is above zero; from 3 seeds on with the
    bootstrap interval over pairs.

    Args:
        ours: results by seed, without NaN.
        theirs: those of the baseline.
    """

    def ratio(a: Any, b: Any) -> float:
        return float(a.mean() / b.mean()) - 1 if b.mean() > 0 else nan

    ours, theirs = ours.align(theirs, join="inner")
    found = over_items(ratio, ours, theirs) if len(ours) else Estimate(nan, nan, nan)
    ends = (found.low, found.high) if len(ours) >= LEAST_SEEDS else (nan, nan)
    return {"gain": found.value, "gain_low": ends[0], "gain_high": ends[1]}


def baseline_of(
    group: Group, found: Mapping[Group, Sequence[Run]], searcher: str | None
) -> Group | None:
    """Return the group whose runs are a group's baseline; None without a single one."""

    def draws(other: Group) -> dict[str, str]:
        config = found[other][0].config
        return {key: str(config[key]) for key in config if key.startswith(DRAWS)}

    same = [
        other
        for other in found
        if (other.space, other.searcher) == (group.space, searcher)
        and draws(other) == draws(group)
    ]
    if group in same:
        return group
    return same[0] if len(same) == 1 else None


def sampled(alike: Sequence[Run]) -> pd.DataFrame:
    """Return reward and MACs of every evaluation that the searcher itself asked for."""
    drawn = [pd.DataFrame({"reward": [], "macs": []}, dtype=float)]
    for run in alike:
        rows = evaluations(run.trials)
        own = rows["cell"].isna() if "cell" in rows else slice(None)
        drawn.append(rows.loc[own, ["reward", "macs"]].astype(float))
    return pd.concat(drawn)


def used(alike: Sequence[Run]) -> dict[str, Any]:
    """Return what a group's runs had and used; `evaluations` to `seconds` are means."""
    told = pd.DataFrame([run.summary for run in alike])
    means = told[["evaluations", "images", "gmacs", "seconds"]].astype(float).mean()
    finals = [run.finalists for run in alike if run.finalists is not None]
    return {
        "runs": len(alike),
        "seed_list": " ".join(map(str, told["seed"])),
        "trials_min": told["trials"].min(),
        "trials_max": told["trials"].max(),
        **means,
        "ended": "; ".join(sorted(set(told["reason"]))),
        **told.loc[0, ["data", "evaluator", "benchmark"]],
        "final_benchmark": finals[0]["benchmark"].iloc[0] if finals else "",
    }
