"""Tables as text: one set of cells for the terminal, Markdown and LaTeX."""

from collections.abc import Callable, Iterable
from typing import Any

import pandas as pd

from fpnbench.report.matrix import TIE_SDS

NONE = "–"
OVER = "over baseline"
SENTENCE = (
    "This table alone does not compare spaces: their networks cost different MACs. "
    "Spaces are compared by AP at matched MACs and by hypervolume."
)
VOLUME = (
    "Hypervolume: mean AP that is attained over all limits of cost, from the cheapest "
    "network of this report to a tenth of the range beyond the dearest, so that "
    "hypervolumes of two reports are not comparable; AP 0 where nothing is so cheap. "
    "AP at a cost: the highest for at most so much (quartiles of the costs of all "
    "networks), mean over seeds. All are APs of the search, the highest of many."
)
Cells = list[list[str]]
"""Header first; what stands in the first two columns is text, the rest numbers."""


def _number(value: float, form: str = ".4f") -> str:
    return NONE if pd.isna(value) else f"{value:{form}}"


def _spread(mean: float, sd: float) -> str:
    return _number(mean) + ("" if pd.isna(sd) else f" ± {sd:.4f}")


def _interval(low: float, high: float, form: str = ".4f") -> str:
    return NONE if pd.isna(low) else f"{low:{form}} to {high:{form}}"


def _standing(row: Any) -> str:
    if row.standing == "best" or pd.isna(row.behind):
        return row.standing or NONE
    told = _spread(row.behind, row.behind_sd)
    return f"tie ({told})" if row.standing == "tie" else told


def _gain(row: Any) -> str:
    ends = (100 * row.gain_low, 100 * row.gain_high)
    more = "" if pd.isna(ends[0]) else f" ({_interval(*ends, '+.1f')})"
    return NONE if pd.isna(row.gain) else f"{100 * row.gain:+.1f} %{more}"


def _of(count: int, every: int) -> str:
    return str(every) if count == every else f"{count} of {every}"


def _searcher(row: Any) -> str:
    return f"{row.searcher} {row.settings}".strip()


COLUMNS: dict[str, Callable[[Any], str]] = {
    "space": lambda row: str(row.space),
    "searcher": _searcher,
    "dedup": lambda row: str(row.dedup),
    "AP": lambda row: _spread(row.ap_mean, row.ap_sd),
    "95 %": lambda row: (
        _interval(row.ap_low, row.ap_high)
        if row.result == "ap"
        else _interval(row.reward_low, row.reward_high)
    ),
    "behind best": _standing,
    "AP of all": lambda row: _number(row.ap_all),
    "± images": lambda row: _number(row.ap_images),
    "MMAC": lambda row: _number(row.macs / 1e6, ".1f"),
    "ms": lambda row: _number(row.latency_ms, ".1f"),
    "best reward": lambda row: _spread(row.reward_mean, row.reward_sd),
    "optimism": lambda row: _number(row.optimism, "+.4f"),
    OVER: _gain,
    "evaluations": lambda row: _number(row.evaluations, ".0f"),
    "seeds": lambda row: _of(row.seeds, row.runs),
}
"""Columns of the matrix and what stands in them, given a row of `matrix`."""
BRIEF = ("space", "searcher", "AP", "behind best", "MMAC", "best reward", "seeds")
"""Those of the terminal."""
PARTS = (
    ("space", "searcher", "AP", "95 %", "behind best", "AP of all", "± images"),
    (
        *("space", "searcher", "MMAC", "ms", OVER, "best reward", "optimism"),
        *("dedup", "evaluations", "seeds"),
    ),
)
"""Those of a page, in two tables: results, and what belongs to them."""


def matrix_cells(table: pd.DataFrame, columns: Iterable[str] = COLUMNS) -> Cells:
    """Return the matrix's cells; a space is named in its first row only.

    Below a baseline stands what all of its evaluations gave: sampling at random.
    There is a column for latency where any is known, and for gains with a baseline.
    """
    there = {"ms": table["latency_ms"], OVER: table["baseline"]}
    header = [c for c in columns if c not in there or there[c].notna().any()]
    over = f"over {table['baseline'].iloc[0]}"
    cells, named = [[over if name == OVER else name for name in header]], None
    for row in table.itertuples():
        told = {name: COLUMNS[name](row) for name in header}
        told["space"], named = "" if row.space == named else row.space, row.space
        cells.append(list(told.values()))
        if row.searcher == row.baseline:
            drawn = {
                "searcher": f"{_searcher(row)}, each evaluation",
                "MMAC": _number(row.sampling_macs / 1e6, ".1f"),
                "best reward": _spread(row.sampling_mean, row.sampling_sd),
                "evaluations": str(row.sampling_n),
            }
            if drawn.keys() & {*header} > {"searcher"}:
                cells.append([drawn.get(name, "") for name in header])
    return cells


def count_cells(table: pd.DataFrame) -> Cells:
    """Return what was asked for and what came of it, summed over seeds."""
    names = ("trials", "unique", "repeats", "failures", "store_hits")
    told = ["requested", "unique", "repeated", "failed", "store hits", "runs"]
    cells = [["space", "searcher", *told]]
    for _, own in table.groupby(["space", "searcher", "settings"]):
        sums = [str(int(own[name].fillna(0).sum())) for name in names]
        first = own.iloc[0]
        cells.append([first["space"], _searcher(first), *sums, str(len(own))])
    return cells


def volume_cells(table: pd.DataFrame, cost: str) -> Cells:
    """Return hypervolumes and AP at matched cost, of one cost."""
    own = table[table["cost"] == cost]
    scale, unit = (1e6, "MMAC") if cost == "macs" else (1, "ms")
    limits = [own[f"limit_{n}"].iloc[0] / scale for n in (1, 2, 3)]
    header = [f"AP at {limit:.1f} {unit}" for limit in limits]
    cells = [["space", "searcher", "hypervolume", "95 %", *header, "seeds"]]
    for row in own.itertuples():
        area = _spread(row.hypervolume_mean, row.hypervolume_sd)
        ends = _interval(row.hypervolume_low, row.hypervolume_high)
        at = [_number(ap) for ap in (row.ap_1, row.ap_2, row.ap_3)]
        cells.append(
            [row.space, _searcher(row), area, ends, *at, str(row.hypervolume_n)]
        )
    return cells


def is_demo(table: pd.DataFrame) -> bool:
    """Return whether the numbers say nothing about detection in photographs."""
    digits = table["data"].isin(("digits", "digits_context"))
    made_up = digits | (table["evaluator"] == "toy")
    return bool(made_up.any())


def title(table: pd.DataFrame, what: str = "") -> str:
    """Name the matrix, or another thing; what is made up is a DEMO."""
    first = table.iloc[0]
    result = "AP of finalists" if first["result"] == "ap" else "best reward of a search"
    what = what or result
    demo = "DEMO: " if is_demo(table) else ""
    return f"{demo}{what}, {first['data']}, {first['evaluator']}"


def notes(table: pd.DataFrame) -> list[str]:
    """Return the sentences without which the matrix would mislead."""
    found = [SENTENCE]
    if is_demo(table):
        found.append("DEMO: the numbers say nothing about detection in photographs.")
    if (table["evaluator"] == "zerocost").any():
        found.append(
            "Nothing was trained: a reward is a zero-cost score, the second word of "
            "the benchmark, and no AP; its ratios mean nothing."
        )
    if (missing := int((table["runs"] - table["ap_n"]).sum())) < table["runs"].sum():
        found.append(_finalists(table))
        if missing:
            found.append(f"AP is over runs with finalists: {missing} have none.")
    else:
        found.append(
            "No run has finalists: their columns are empty. What is compared is the "
            "best reward, the highest of many noisy ones and so biased upward."
        )
    if (table["runs"] > table["reward_n"]).any():
        found.append("Some runs have no result: all of their trials failed.")
    if len(ended := set("; ".join(table["ended"]).split("; "))) > 1:
        told = "; ".join(sorted(ended))
        found.append(
            f"Compare runs of equal budgets only; these ended because: {told}."
        )
    alone = table[(table["sampling_n"] == 0) & table["baseline"].notna()]
    if len(alone):
        who = ", ".join(f"{row.space} {_searcher(row)}" for row in alone.itertuples())
        baseline = alone["baseline"].iloc[0]
        found.append(f"Without one row of {baseline} to compare with: {who}.")
    return [*found, _meanings(table)]


def _finalists(table: pd.DataFrame) -> str:
    """Say what the AP is; where runs have unlike finalists, that, too."""
    told = []
    for name in ("finalists", "final_seeds"):
        numbers = sorted(table[name].dropna().unique())
        told.append(" or ".join(f"{number:g}" for number in numbers))
        if len(numbers) > 1:
            told[-1] += " (unequal: no fair comparison)"
    return (
        "AP: of the best finalist of a run, mean ± sd over seeds. Finalists: "
        f"{told[0]} a run by reward, trained on all of train with {told[1]} evaluator "
        "seeds each, scored on val, the best by its mean. AP of all: mean of all "
        "finalists, which no choice on val has lifted. ± images: half the 95 % "
        "interval of the AP over draws of val's images, which all rows share; no "
        "other column holds it. Optimism: reward minus AP of the network with the "
        "highest reward."
    )


def _meanings(table: pd.DataFrame) -> str:
    result = "AP" if table["result"].iloc[0] == "ap" else "best reward"
    toy = (table["evaluator"] == "toy").all()
    whole = "the pyramid alone" if toy else "backbone and predictor included"
    told = (
        f"95 %: interval of the mean {result}, Student's t over seeds, from 3. Behind "
        f"best: difference in {result} to the space's best searcher, mean over the "
        "seeds that both have ± sd of the single differences; a tie if the mean is at "
        f"most {TIE_SDS} sd. Best reward: highest of a search, mean ± sd over seeds: "
        "progress, no result. MMAC: 1e6 multiply-accumulates of the networks "
        f"compared, {whole}, mean over seeds."
    )
    if pd.isna(name := table["baseline"].iloc[0]):
        return told
    return (
        f"{told} Over {name}: (mean {result} minus that of {name}) / that of {name}, "
        "within the seeds that both have; from 3 with the 95 % bootstrap interval "
        f"over pairs. {name}, each evaluation: mean ± sd of all rewards it was told, "
        "with random search what sampling at random gives."
    )


def markdown(cells: Cells, above: str = "") -> str:
    """Return cells as a Markdown table, below a line in bold if there is one."""
    rule = ["---", "---", *["---:"] * (len(cells[0]) - 2)]
    lines = [cells[0], rule, *cells[1:]]
    rows = (f"| {' | '.join(line)} |".replace("  ", " ") for line in lines)
    return "\n".join([f"**{above}**\n"] * bool(above) + [*rows])
