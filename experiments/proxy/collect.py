"""What the checks found, as evidence that reports read and as a decision table.

    python experiments/proxy/collect.py runs/proxy/*     # folders of mode=check

Copies `check.json` and `check.csv` of every folder into one of that name here, and
writes `evidence.json` (format: fpnbench.report.evidence) and `decision.md` from all
that lie here. Rules of the label, fixed before anything was run: "for claims" if the
controls are in order, the lower end of every ICC is >= 0.5, and the known orders are
held; "for method tests" without the last; else, and on digits, "demo". A smaller check
than planned (fewer seeds, networks, pairs) is listed as `partial`, and passes nothing.
"""

import csv
import json
import shutil
import sys
from pathlib import Path

HERE = Path(__file__).resolve().parent
LEAST_ICC, LEAST_ORDERS = 0.5, 0.75
SEEDS, NETWORKS = 3, 24
PAIRS = {"none": 9, "both": 21, "down": 16, "up": 16}
"""Pairs of controls by context, as conf/mode/check.yaml has them."""
ORDERS = 23


def keep(folders):
    """Copy what checks wrote; unfinished folders are passed over."""
    for folder in map(Path, folders):
        for name in ("check.json", "check.csv"):
            if (folder / name).is_file():
                (HERE / folder.name).mkdir(exist_ok=True)
                shutil.copy(folder / name, HERE / folder.name / name)


def whole(found):
    """Tell whether a check is as large as was planned."""
    about, rows = found["about"], found["rows"]
    if len({row["seed"] for row in rows}) < SEEDS:
        return False
    if found["what"] == "controls":
        return len(found["bars"]) >= PAIRS[about["context"]]
    if found["what"] == "signal":
        return about["networks"] >= NETWORKS
    return about["pairs"]["ap"]["pairs"] >= ORDERS


def gather():
    """Return evidence by benchmark and epochs."""
    known, seen = {}, {}
    for path in sorted(HERE.glob("*/check.json")):
        found = json.loads(path.read_text())
        about = found["about"]
        if "benchmark" not in about:
            continue
        if found["what"] not in ("controls", "signal", "orders"):
            continue
        place = about["benchmark"], about["epochs"], found["what"], about.get("space")
        if place in seen:
            sys.exit(f"{path.parent} and {seen[place]} are one check: remove one")
        seen[place] = path.parent
        entry = known.setdefault(about["benchmark"], {})
        entry = entry.setdefault(str(about["epochs"]), {})
        entry.setdefault("data", about["data"])
        if not whole(found):
            entry.setdefault("partial", []).append(path.parent.name)
        if found["what"] == "controls":
            entry["data"] += f" {about['context']}" * (about["context"] != "none")
            entry["controls"] = about["failed"]
            entry |= {name: about[name] for name in ("repeats", "width")}
            entry["pairs"] = len(found["bars"])
        elif found["what"] == "signal":
            icc = about["figures"]["ap"]["icc"]
            ends = [icc[name] for name in ("value", "low", "high")]
            if None not in ends:
                ends = [round(end, 3) for end in ends]
                entry.setdefault("icc", {})[about["space"]] = ends
        elif found["what"] == "orders":
            shares = {name: about["pairs"][name]["share"] for name in ("ap", "macs")}
            entry["orders"] = {
                "share": round(shares["ap"]["value"], 3),
                "macs": round(shares["macs"]["value"], 3),
                "pairs": about["pairs"]["ap"]["pairs"],
            }
        with (path.parent / "check.csv").open() as file:
            costs = [row for row in csv.DictReader(file) if row.get("train_gmacs")]
        if costs and found["what"] != "orders":
            gmacs = [float(row["train_gmacs"]) for row in costs]
            entry["train_gmacs"] = round(sum(gmacs) / len(gmacs))
    for epochs in known.values():
        for entry in epochs.values():
            entry["label"] = label(entry)
    return known


def label(entry):
    """Return what a preset may be used for."""
    low = min((ends[1] for ends in entry.get("icc", {}).values()), default=0)
    orders = entry.get("orders", {"share": 0, "macs": 1})
    usable = entry.get("controls") == [] and low >= LEAST_ICC
    usable = usable and not entry.get("partial")
    if entry["data"].startswith("digits") or not usable:
        return "demo"
    held = orders["share"] >= LEAST_ORDERS and orders["share"] > orders["macs"]
    return "for claims" if held else "for method tests"


def decision(known):
    """Return the decision table as people read it."""
    lines = [
        "| data | epochs | GMAC an evaluation | controls out of order | ICC of AP "
        "| known orders (MACs alone) | label |",
        "|---|---|---|---|---|---|---|",
    ]
    for _, epochs in sorted(known.items(), key=lambda item: str(item[1])):
        for count, entry in epochs.items():
            wrong, orders = entry.get("controls"), entry.get("orders")
            told = "not run" if wrong is None else f"{len(wrong)} of {entry['pairs']}"
            icc = [
                f"{space} {ends[0]:.2f} [{ends[1]:.2f}, {ends[2]:.2f}]"
                for space, ends in sorted(entry.get("icc", {}).items())
            ]
            ordered = "not run"
            if orders:
                ordered = f"{orders['share']:.0%} ({orders['macs']:.0%})"
                ordered += f" of {orders['pairs']}"
            cells = [entry["data"], count, entry.get("train_gmacs", ""), told]
            cells += ["; ".join(icc) or "not run", ordered, entry["label"]]
            cells[-1] += "".join(
                f" (partial: {name})" for name in entry.get("partial", ())
            )
            lines.append(f"| {' | '.join(map(str, cells))} |")
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    keep(sys.argv[1:])
    evidence = gather()
    text = json.dumps(evidence, indent=1, sort_keys=True)
    (HERE / "evidence.json").write_text(text + "\n")
    (HERE / "decision.md").write_text(decision(evidence))
    print(decision(evidence), end="")
