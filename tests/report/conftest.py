"""Runs made of numbers, as their folders would hold them."""

from collections.abc import Callable, Sequence
from math import nan
from pathlib import Path
from statistics import fmean

import pandas as pd
import pytest

from fpnbench.report.runs import Run

REASON = "the budget of 9 trials is used up"
MakeRun = Callable[..., Run]


def judged(
    trials: pd.DataFrame, finals: Sequence[tuple[str, list[float]]], benchmark: str
) -> pd.DataFrame:
    """A `finalists.csv` of (key, APs by evaluator seed)."""
    reward = dict(zip(trials["key"], trials["reward"], strict=True))
    rows = [
        {
            **{"key": key, "ap": fmean(aps), "seeds": len(aps), "benchmark": benchmark},
            **{"ap_low": fmean(aps) - 0.02, "ap_high": fmean(aps) + 0.04},
            "optimism": reward[key] - fmean(aps),
        }
        for key, aps in finals
    ]
    return pd.DataFrame(rows)


@pytest.fixture
def make_run() -> MakeRun:
    """A run of one trial a reward (None: failed); key n by default `SEED-n`."""

    def make(
        seed: int,
        rewards: Sequence[float | None],
        *,
        keys: Sequence[str] | None = None,
        macs: Sequence[float] | None = None,
        finals: Sequence[tuple[str, list[float]]] | None = None,
        final_benchmark: str = "b1-val",
        config: dict[str, object] | None = None,
        environment: dict[str, object] | None = None,
        trials: dict[str, Sequence[object]] | None = None,
        **summary: object,
    ) -> Run:
        count = len(rewards)
        keys = keys or [f"{seed}-{n}" for n in range(count)]
        first = [key not in keys[:n] for n, key in enumerate(keys)]
        states = [
            "failed" if r is None else "evaluation" if new else "repeat"
            for r, new in zip(rewards, first, strict=True)
        ]
        values = [nan if reward is None else reward for reward in rewards]
        charged = [float(state == "evaluation") for state in states]
        table = pd.DataFrame(
            {
                **{"key": keys, "choices": ["0 1"] * count, "status": states},
                **{"reward": values, "ap": values, "params": [7.0] * count},
                "macs": macs or [1e6] * count,
                "latency_ms": [nan] * count,
                "seconds": [3.0 * each for each in charged],
                "images": [100 * int(each) for each in charged],
                "gmacs": [2.0 * each for each in charged],
                **(trials or {}),
            }
        )
        told = {
            **{"space": "nasfpn", "searcher": "random", "data": "aquarium"},
            **{"evaluator": "proxy", "benchmark": "b1", "status": "done"},
            **{"reason": REASON, "trials": count, "unique": len(set(keys))},
            "evaluations": states.count("evaluation"),
            "repeats": states.count("repeat"),
            "failures": states.count("failed"),
            **{name: table[name].sum() for name in ("seconds", "images", "gmacs")},
            **{"store_hits": 1, "seed": seed, **summary},
        }
        settings = {"searcher.dedup": "replay", "repeats": 1, **(config or {})}
        folder = Path(f"{told['space']}-{told['searcher']}-{seed}")
        final = None if finals is None else judged(table, finals, final_benchmark)
        return Run(folder, told, settings, table, environment or {}, final)

    return make
