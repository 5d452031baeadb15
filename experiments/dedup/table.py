"""Table and figure of `results.csv`: python experiments/dedup/table.py."""

from pathlib import Path

import pandas as pd

from fpnbench.report.statistics import block_difference
from fpnbench.report.style import SERIES, panels, save

HERE = Path(__file__).resolve().parent
CASE = ["space", "searcher", "icc", "evaluations"]
OTHERS = ("retrain", "resample")


def compare(rows):
    """Return a row a case: mean true value of each policy, differences from replay."""
    told = []
    for case, found in rows.groupby(CASE):
        wide = found.pivot(index="seed", columns="dedup", values="true").dropna()
        repeats = found[found.dedup == "replay"]
        line = dict(zip(CASE, case, strict=True)) | {"runs": len(wide)}
        line["repeats"] = 100 * (repeats.repeats / repeats.trials).mean()
        line["replay"] = wide["replay"].mean()
        for other in OTHERS:
            gain = block_difference({0: wide[other]}, {0: wide["replay"]})
            line[other] = gain.value
            line[f"{other}_low"], line[f"{other}_high"] = gain.low, gain.high
        told.append(line)
    return pd.DataFrame(told)


def markdown(table):
    """Return the table as people read it."""
    lines = [
        "| space | searcher | ICC | evaluations | repeats | replay "
        "| retrain - replay | resample - replay | runs |",
        "|---|---|---|---|---|---|---|---|---|",
    ]
    for row in table.itertuples():
        gains = " | ".join(
            f"{getattr(row, o):+.4f} [{getattr(row, o + '_low'):+.4f}, "
            f"{getattr(row, o + '_high'):+.4f}]"
            for o in OTHERS
        )
        lines.append(
            f"| {row.space} | {row.searcher} | {row.icc} | {row.evaluations} | "
            f"{row.repeats:.1f} % | {row.replay:.4f} | {gains} | {row.runs} |"
        )
    return "\n".join(lines) + "\n"


def figure(table, path):
    """Draw the differences from replay with their intervals."""
    spaces = sorted(table.space.unique())
    drawn, axes = panels(
        len(spaces), (5.2, 3.8), "True value of what is chosen, against replay"
    )
    for axis, space in zip(axes, spaces, strict=True):
        rows = table[table.space == space].reset_index(drop=True)
        for place, other in enumerate(OTHERS):
            y = rows.index + 0.25 * place
            low = rows[other] - rows[f"{other}_low"]
            high = rows[f"{other}_high"] - rows[other]
            style = {"fmt": "o", "color": SERIES[place], "capsize": 2, "label": other}
            axis.errorbar(rows[other], y, xerr=[low, high], **style)
        names = [
            f"{r.searcher}, ICC {r.icc}, {r.evaluations}" for r in rows.itertuples()
        ]
        axis.set_yticks(rows.index + 0.12, names)
        axis.axvline(0, color="#1f2933", linewidth=1)
        axis.set_title(space, fontsize=10)
        axis.set_xlabel("difference, 95 % over 50 paired seeds")
    axes[0].legend(fontsize=8)
    save(drawn, path)


if __name__ == "__main__":
    found = compare(pd.read_csv(HERE / "results.csv"))
    found.to_csv(HERE / "table.csv", index=False)
    (HERE / "table.md").write_text(markdown(found))
    figure(found, HERE / "dedup.png")
    print(markdown(found), end="")
