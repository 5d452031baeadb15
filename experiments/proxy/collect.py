"""What the checks found, as evidence that reports read and as a decision table.

    python experiments/proxy/collect.py runs/proxy/*     # folders of mode=check

Copies `check.json` and `check.csv` of every folder into one of that name here, and
writes `evidence.json` (format: fpnbench.report.evidence) and `decision.md` from all
that lie here. A folder PREFIX-assignment is the audit of the presets whose checks lie
in PREFIX-controls, PREFIX-signal-..., and so on.

Rules of the label, fixed before anything was run: "for claims" if the controls are in
order, the lower end of every ICC is >= 0.5, and the known orders are held, over all
pairs; "for method tests" without the last; else, and on digits, "demo". A smaller check
than planned (fewer seeds, networks, pairs) is listed as `partial`, and passes nothing.
"""

import json
import shutil
import sys
from pathlib import Path
from statistics import fmean, median

from fpnbench.report.evidence import LEAST_ORDERS, PLANNED
from fpnbench.report.statistics import icc_without

HERE = Path(__file__).resolve().parent
LEAST_ICC = 0.5
SEEDS, NETWORKS = 3, 24
PAIRS = {"none": 9, "both": 21, "down": 16, "up": 16}
"""Pairs of controls by context, as conf/mode/check.yaml has them."""
LENGTH_NETWORKS, LENGTH_FACTOR = 27, 4
COSTS = ("controls", "signal", "length")
"""Checks whose trainings say what one costs, the first that was run: those of `orders`
are larger than a search's."""


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
    if found["what"] == "length":
        longest = max(about["lengths"]) >= LENGTH_FACTOR * about["epochs"]
        return longest and about["networks"] >= LENGTH_NETWORKS
    if len({row["seed"] for row in rows}) < SEEDS:
        return False
    if found["what"] == "controls":
        return len(found["bars"]) >= PAIRS[about["context"]]
    if found["what"] == "signal":
        return about["networks"] >= NETWORKS
    return about["pairs"]["ap"]["pairs"] >= PLANNED


def of_controls(found):
    """Return what evidence holds of the controls."""
    about = found["about"]
    same = {name: about[name] for name in ("repeats", "width")}
    return same | {"controls": about["failed"], "pairs": len(found["bars"])}


def of_signal(found):
    """Return the ICC of AP, and its ends when one network is left out."""
    space, icc = found["about"]["space"], found["about"]["figures"]["ap"]["icc"]
    ends = [icc[name] for name in ("value", "low", "high")]
    if None in ends:
        return {}
    aps = {}
    for row in found["rows"]:
        aps.setdefault(row["key"], []).append(row["ap"])
    left = icc_without(list(aps.values()))
    return {
        "icc": {space: [round(end, 3) for end in ends]},
        "icc_without": {space: [round(min(left), 3), round(max(left), 3)]},
    }


def of_length(found):
    """Return how AP at the preset's epochs, and MACs, rank the longest training's."""
    about, told = found["about"], found["about"]["figures"]["all"]
    tau, macs = told[str(about["epochs"])]["ap"], told["macs"]["macs"]["value"]
    ends = [tau[name] for name in ("value", "low", "high")]
    return {
        "length": {
            about["space"]: {
                "longest": max(about["lengths"]),
                "shortest": about["shortest"],
                "tau": [None if end is None else round(end, 3) for end in ends],
                "macs": None if macs is None else round(macs, 3),
            }
        }
    }


def of_orders(found):
    """Return the share of the known orders, that of MACs, and over how many pairs."""
    pairs = found["about"]["pairs"]
    share, macs = (round(pairs[by]["share"]["value"], 3) for by in ("ap", "macs"))
    return {"orders": {"share": share, "macs": macs, "pairs": pairs["ap"]["pairs"]}}


KINDS = {
    **{"controls": of_controls, "signal": of_signal},
    **{"length": of_length, "orders": of_orders},
}


def costs(found):
    """Return median seconds and mean GMACs of a training at the preset's epochs."""
    epochs = found["about"]["epochs"]
    rows = [row for row in found["rows"] if row.get("epochs", epochs) == epochs]
    rows = [row for row in rows if row.get("train_gmacs")]
    if not rows:
        return {}
    seconds = median(row.get("seconds", row.get("cost_s")) for row in rows)
    gmacs = fmean(row["train_gmacs"] for row in rows)
    return {"seconds": round(seconds, 1), "train_gmacs": round(gmacs)}


def gather():
    """Return evidence by benchmark and epochs."""
    known, seen, audits, prefixes = {}, {}, {}, {}
    for path in sorted(HERE.glob("*/check.json")):
        found, folder = json.loads(path.read_text()), path.parent.name
        about, kind = found["about"], found["what"]
        if kind == "assignment":
            share = found["bars"][0]["measured"]
            audits[folder.removesuffix("assignment")] = [share, found["held"]]
        if kind not in KINDS:
            continue
        place = about["benchmark"], about["epochs"], kind, about.get("space")
        if place in seen:
            sys.exit(f"{path.parent} and {seen[place]} are one check: remove one")
        seen[place] = path.parent
        prefixes.setdefault(about["benchmark"], set()).add(folder.split(kind)[0])
        entry = known.setdefault(about["benchmark"], {})
        entry = entry.setdefault(str(about["epochs"]), {})
        for name in ("data", "image_px", "context", "preset"):
            if name in about:
                entry[name] = about[name]
        if not whole(found):
            entry.setdefault("partial", {})[folder] = kind
        for name, value in KINDS[kind](found).items():
            old = entry.get(name)
            entry[name] = old | value if isinstance(old, dict) else value
        if kind in COSTS:
            entry.setdefault("costs", {})[kind] = costs(found)
    for benchmark, epochs in known.items():
        for entry in epochs.values():
            finish(entry)
            for prefix in sorted(prefixes[benchmark] & audits.keys()):
                entry["audit"] = audits[prefix]
    return known


def finish(entry):
    """Write data and context as one name, choose the costs, and label an entry."""
    context = entry.pop("context", "none")
    entry["data"] += f" {context}" * (context != "none")
    found = entry.pop("costs", {})
    entry |= next((found[kind] for kind in COSTS if found.get(kind)), {})
    entry["label"] = label(entry)


def label(entry):
    """Return what a preset may be used for."""
    partial = set(entry.get("partial", {}).values())
    low = min((ends[1] for ends in entry.get("icc", {}).values()), default=0)
    orders = entry.get("orders", {"share": 0, "macs": 1})
    usable = entry.get("controls") == [] and low >= LEAST_ICC
    usable = usable and not partial & {"controls", "signal"}
    if entry["data"].startswith("digits") or not usable:
        return "demo"
    held = orders["share"] >= LEAST_ORDERS and orders["share"] > orders["macs"]
    return "for claims" if held and "orders" not in partial else "for method tests"


def presets(known):
    """Return what tells each preset apart, by benchmark and epochs, as people read it.

    Of those of one data set, the keys in which they differ, as far as they are known.
    """
    by_data, told = {}, {}
    for benchmark, epochs in known.items():
        for count, entry in epochs.items():
            own = by_data.setdefault(entry["data"], [])
            own.append(((benchmark, count), entry))
    for own in by_data.values():
        recorded = [entry["preset"] for _, entry in own if "preset" in entry]
        keys = dict.fromkeys(key for preset in recorded for key in preset)
        differ = [key for key in keys if len({str(p.get(key)) for p in recorded}) > 1]
        for place, entry in own:
            parts = [f"{entry['image_px']} px, {place[1]} epochs"]
            chosen = entry.get("preset", {})
            parts += [f"{key} {chosen[key]}" for key in differ if key in chosen]
            told[place] = ", ".join([*parts, place[0].rsplit("-", 1)[-1][:6]])
    return told


def ranged(value, low, high):
    """Write a number with its interval."""
    return f"{value:.2f} [{low:.2f}, {high:.2f}]"


def icc_told(entry):
    """Write the ICC of every space, with its ends when one network is left out."""
    told = []
    for space, ends in sorted(entry.get("icc", {}).items()):
        least, most = entry["icc_without"][space]
        told.append(f"{space} {ranged(*ends)}, without one {least:.2f}–{most:.2f}")
    return "; ".join(told) or "not run"


def length_told(entry):
    """Write the tau to the longest training, and that of MACs."""
    told = []
    for space, own in sorted(entry.get("length", {}).items()):
        tau = "none" if None in own["tau"] else ranged(*own["tau"])
        macs = "none" if own["macs"] is None else f"{own['macs']:.2f}"
        told.append(f"{space} {tau} to {own['longest']} epochs (MACs {macs})")
    return "; ".join(told) or "not run"


def decision(known):
    """Return the decision table as people read it."""
    columns = (
        *("data", "preset", "seconds an evaluation, one core", "GMAC"),
        *("boxes without a positive", "controls out of order", "ICC of AP"),
        *("tau to longer training", "known orders (MACs alone)", "label"),
    )
    lines = [f"| {' | '.join(columns)} |", "|---" * len(columns) + "|"]
    told = presets(known)
    places = [
        (entry["data"], int(n), b) for b in known for n, entry in known[b].items()
    ]
    for data, epochs, benchmark in sorted(places):
        entry = known[benchmark][str(epochs)]
        wrong, orders = entry.get("controls"), entry.get("orders")
        unmatched, held = entry.get("audit", ("not run", True))
        ordered = "not run"
        if orders:
            ordered = f"{orders['share']:.0%} ({orders['macs']:.0%})"
            ordered += f" of {orders['pairs']} of {PLANNED} pairs"
        partial = "".join(f" (partial: {name})" for name in entry.get("partial", ()))
        cells = (
            *(data, told[benchmark, str(epochs)]),
            *(entry.get("seconds", ""), entry.get("train_gmacs", "")),
            unmatched + " (fails its bars)" * (not held),
            "not run" if wrong is None else f"{len(wrong)} of {entry['pairs']}",
            *(icc_told(entry), length_told(entry), ordered, entry["label"] + partial),
        )
        lines.append(f"| {' | '.join(map(str, cells))} |")
    return "\n".join(lines) + "\n"


def main(folders):
    """Keep what the folders hold, and write evidence and decision table anew."""
    keep(folders)
    evidence = gather()
    text = json.dumps(evidence, indent=1, sort_keys=True)
    (HERE / "evidence.json").write_text(text + "\n")
    (HERE / "decision.md").write_text(decision(evidence))
    print(decision(evidence), end="")


if __name__ == "__main__":
    main(sys.argv[1:])
