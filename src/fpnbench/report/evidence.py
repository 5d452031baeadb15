"""What is known of a benchmark: whether its order of pyramids means anything.

Evidence is measured by the checks and written into one JSON file,

    {benchmark: {epochs, as text: {
        "data": the preset,
        "repeats" and "width": of the pyramids that were checked,
        "controls": names of the pairs that `what=controls` found the wrong way round,
            [] if none,
        "icc": {space: [value, low, high]}, of AP over evaluator seeds (`what=signal`),
        "icc_without": {space: [least, highest]}, with one network left out,
        "length": {space: {"tau": [value, low, high], of AP to that of "longest" epochs,
            "macs": of theirs}} (`what=length`),
        "orders": {"share": of the published pairs that the proxy orders as published,
            "macs": of those that counting MACs does,
            "pairs": how many were left to be compared} (`what=orders`),
        "audit": [share of boxes without a positive, held] (`what=assignment`),
        "seconds" and "train_gmacs": of an evaluation,
        "label": "for claims", "for method tests" or "demo"}}}

in which every key may be absent: what was not measured is not known.
"""

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from fpnbench.graph.errors import UserError
from fpnbench.report.runs import Run

LEAST_ORDERS, PLANNED = 0.75, 23
"""Share of the published pairs from which on an order may be called theirs, above that
of MACs, too, and how many pairs the suite has. One of which a pyramid cannot be scored
drops out: a share of fewer says nothing of those."""
SETTINGS = ("repeats", "width")
UNCHECKED = "controls not checked"
SHOWN = "order agrees with published ones"
UNSHOWN = "order not shown to transfer"


@dataclass(frozen=True, slots=True)
class Evidence:
    """What is known of one benchmark at one number of epochs.

    Attributes:
        benchmark: its id.
        epochs: the fidelity, as text.
        facts: its entry of the file, empty if there is none.
        settings: `repeats` and `width` of the runs, as text, which no benchmark holds.
    """

    benchmark: str
    epochs: str
    facts: Mapping[str, Any]
    settings: tuple[tuple[str, str], ...] = ()

    @property
    def failed(self) -> list[str]:
        """Names of the pairs of controls that are known to be the wrong way round."""
        return list(self.facts.get("controls", ()))

    @property
    def words(self) -> str:
        """What has to stand above every table: label, controls, transfer.

        An order that was not compared with published ones, all of them, is not shown
        to transfer; where nothing at all is known, that the controls are not checked
        says enough.
        """
        told = [str(self.facts["label"])] if "label" in self.facts else []
        if "controls" not in self.facts:
            told.append(UNCHECKED)
        elif self.failed:
            told.append(f"controls out of order: {', '.join(self.failed)}")
        other = [
            f"{name}={self.facts[name]}"
            for name, value in self.settings
            if str(self.facts.get(name, value)) != value
        ]
        if other:
            told.append(f"checked at {', '.join(other)} only")
        return "; ".join([*told, self._orders] if self.facts else told)

    @property
    def _orders(self) -> str:
        """What the known orders say, and of how many pairs."""
        orders = self.facts.get("orders", {})
        if "pairs" not in orders:
            return UNSHOWN
        share, macs, pairs = orders["share"], orders["macs"], orders["pairs"]
        held = share >= LEAST_ORDERS and share > macs and pairs >= PLANNED
        counted = f"{share:.0%} of {pairs} of {PLANNED} pairs as published"
        return f"{SHOWN if held else UNSHOWN} ({counted}, {macs:.0%} by MACs alone)"


def find_evidence(runs: Iterable[Run], path: Path) -> list[Evidence]:
    """Return what is known of the benchmarks of runs, each with its epochs once.

    The toy evaluator has no order to be shown, and no entry.

    Args:
        runs: of one report.
        path: the file; where it is absent nothing is known.

    Raises:
        UserError: the file cannot be read.
    """
    wanted = {
        (
            str(run.summary["benchmark"]),
            str(run.config.get("evaluator.epochs")),
            tuple((k, str(run.config[k])) for k in SETTINGS if k in run.config),
        )
        for run in runs
        if run.summary["evaluator"] != "toy"
    }
    try:
        known = json.loads(path.read_text()) if path.is_file() else {}
        return [
            Evidence(id_, epochs, known.get(id_, {}).get(epochs, {}), settings)
            for id_, epochs, settings in sorted(wanted)
        ]
    except (OSError, ValueError, AttributeError) as error:
        raise UserError(f"{path} cannot be read as evidence: {error}") from error


def check_controls(found: Iterable[Evidence]) -> None:
    """Refuse benchmarks whose controls are known to be out of order.

    Raises:
        UserError: names the pairs.
    """
    for each in found:
        if each.failed:
            raise UserError(
                f"benchmark {each.benchmark} at {each.epochs} epochs does not order "
                f"its controls ({', '.join(each.failed)}): its tables say nothing "
                "about pyramids; controls=ignored makes them and says so above each"
            )


def heading(found: Sequence[Evidence]) -> str:
    """Return the words above the tables; of several numbers of epochs each says its."""
    told = dict.fromkeys((each.epochs, each.words) for each in found if each.words)
    if len({each.epochs for each in found}) < 2:
        return " | ".join(words for _, words in told)
    return " | ".join(f"{epochs} epochs: {words}" for epochs, words in told)
