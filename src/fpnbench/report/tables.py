"""The matrix as text: one set of cells for the terminal, Markdown and LaTeX."""

from collections.abc import Sequence

import pandas as pd

HEADER = (
    *("space", "searcher", "best", "mean ± sd", "95 % interval", "seeds"),
    *("MMAC", "trials"),
)
"""Columns of every printed matrix; `MMAC` is the best network's cost in 1e6 MACs."""
NO_COMPARISON = (
    "This table compares searchers within one space. It does not compare spaces: their "
    "networks cost different MACs, and rewards at unequal cost say little."
)
NONE = "–"


def rows(table: pd.DataFrame) -> list[tuple[str, ...]]:
    """Return the matrix's cells as text; a space is named in its first row only."""
    found: list[tuple[str, ...]] = []
    named = None
    for row in table.itertuples():
        space = "" if row.space == named else row.space
        named = row.space
        trials = {row.trials_min, row.trials_max}
        found.append(
            (
                space,
                f"{row.searcher} {row.settings}".strip(),
                _number(row.reward),
                _spread(row.reward_mean, row.reward_sd),
                _interval(row.reward_low, row.reward_high),
                str(row.seeds),
                NONE if pd.isna(row.macs) else f"{row.macs / 1e6:.1f}",
                "–".join(str(int(each)) for each in sorted(trials)),
            )
        )
    return found


def title(table: pd.DataFrame) -> str:
    """Name the matrix; a made-up set or evaluator makes it a DEMO."""
    first = table.iloc[0]
    demo = "DEMO: " if is_demo(table) else ""
    return f"{demo}best reward of a search, {first.data}, {first.evaluator}"


def is_demo(table: pd.DataFrame) -> bool:
    """Return whether the numbers say nothing about detection in photographs."""
    made_up = (table["data"] == "digits") | (table["evaluator"] == "toy")
    return bool(made_up.any())


def notes(table: pd.DataFrame) -> list[str]:
    """Return the sentences without which the matrix would mislead."""
    found = [NO_COMPARISON]
    if is_demo(table):
        found.append("DEMO: the numbers say nothing about detection in photographs.")
    if table["trials_min"].min() != table["trials_max"].max():
        found.append("The budgets differ: compare runs of equal budgets only.")
    if (table["runs"] > table["seeds"]).any():
        found.append("Some runs have no result: all of their trials failed.")
    found.append(
        "best: of all seeds; the best of many noisy rewards is biased upward. sd: over "
        "seeds, from 2. Interval: of the mean, 95 %, Student's t over seeds, from 3. "
        "MMAC: 1e6 multiply-accumulates of the best network."
    )
    return found


def markdown(table: pd.DataFrame) -> str:
    """Return the matrix as a Markdown table."""
    right = ["---", "---", *["---:"] * (len(HEADER) - 2)]
    lines = [HEADER, right, *rows(table)]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)


def latex(table: pd.DataFrame) -> str:
    """Return the matrix as a LaTeX table (package booktabs)."""
    columns = "ll" + "r" * (len(HEADER) - 2)
    body: list[str] = []
    for row in rows(table):
        if row[0] and body:
            body.append(r"\midrule")
        body.append(_latex_row(row))
    return "\n".join(
        [
            r"\begin{table}",
            r"\centering",
            rf"\caption{{{_latex(title(table))}. {_latex(' '.join(notes(table)))}}}",
            rf"\begin{{tabular}}{{{columns}}}",
            r"\toprule",
            _latex_row(HEADER),
            r"\midrule",
            *body,
            r"\bottomrule",
            r"\end{tabular}",
            r"\end{table}",
            "",
        ]
    )


def _latex_row(cells: Sequence[str]) -> str:
    return " & ".join(map(_latex, cells)) + r" \\"


def _latex(text: str) -> str:
    for sign, escaped in (("\\", r"\textbackslash "), ("&", r"\&"), ("%", r"\%")):
        text = text.replace(sign, escaped)
    for sign, escaped in (("_", r"\_"), ("#", r"\#"), ("±", r"$\pm$"), ("–", "--")):
        text = text.replace(sign, escaped)
    return text


def _number(value: float | None) -> str:
    return NONE if pd.isna(value) else f"{value:.4f}"


def _spread(mean: float, sd: float) -> str:
    return _number(mean) + ("" if pd.isna(sd) else f" ± {sd:.4f}")


def _interval(low: float | None, high: float | None) -> str:
    return NONE if pd.isna(low) else f"{_number(low)} to {_number(high)}"
