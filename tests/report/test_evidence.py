"""What stands above a table, and which benchmarks make none."""

import json
from pathlib import Path

import pytest

from fpnbench.graph.errors import UserError
from fpnbench.report.evidence import (
    PLANNED,
    Evidence,
    check_controls,
    find_evidence,
    heading,
)

GOOD = {
    "controls": [],
    "orders": {"share": 0.75, "macs": 0.7, "pairs": 23},
    "label": "for claims",
}
SHOWN = (
    "for claims; order agrees with published ones "
    "(75% of 23 of 23 pairs as published, 70% by MACs alone)"
)
UNSHOWN = "for claims; order not shown to transfer"


def orders(share: float, macs: float, pairs: int = 23) -> dict[str, object]:
    return GOOD | {"orders": {"share": share, "macs": macs, "pairs": pairs}}


@pytest.mark.parametrize(
    ("facts", "words"),
    [
        (GOOD, SHOWN),
        (
            orders(0.74, 0.1),
            f"{UNSHOWN} (74% of 23 of 23 pairs as published, 10% by MACs alone)",
        ),
        # No better than counting MACs.
        (
            orders(0.8, 0.8),
            f"{UNSHOWN} (80% of 23 of 23 pairs as published, 80% by MACs alone)",
        ),
        # A pair dropped out.
        (
            orders(0.9, 0.1, 22),
            f"{UNSHOWN} (90% of 22 of 23 pairs as published, 10% by MACs alone)",
        ),
        (GOOD | {"orders": {}}, UNSHOWN),
        (
            {"controls": ["panet > rolled", "bifpn > noisy"], "label": "demo"},
            "demo; controls out of order: panet > rolled, bifpn > noisy; "
            "order not shown to transfer",
        ),
        (
            {"icc": {"nasfpn": [0.6, 0.2, 0.9]}},
            "controls not checked; order not shown to transfer",
        ),
        ({}, "controls not checked"),
    ],
)
def test_the_words_say_what_is_known_and_what_is_not(facts, words) -> None:
    assert Evidence("b1", "6", facts).words == words
    assert heading([Evidence("b1", "6", facts)]) == words


def test_pyramids_other_than_those_checked_are_told(make_run, tmp_path: Path) -> None:
    path = tmp_path / "evidence.json"
    path.write_text(json.dumps({"b1": {"6": GOOD | {"repeats": 1, "width": 64}}}))
    for width, words in (
        (64, SHOWN),
        (96, SHOWN.replace("; ", "; checked at width=64 only; ")),
    ):
        config = {"evaluator.epochs": 6, "repeats": 1, "width": width}
        (found,) = find_evidence([make_run(0, [0.1], config=config)], path)
        assert found.words == words


def test_the_planned_pairs_are_those_of_the_check(conf) -> None:
    families = conf("mode=check", "what=orders").orders.families.values()
    assert sum(len(family.pairs) for family in families) == PLANNED


def test_several_numbers_of_epochs_each_have_their_words() -> None:
    found = [Evidence("b1", epochs, {}) for epochs in ("6", "12")]
    told = "6 epochs: controls not checked | 12 epochs: controls not checked"
    assert heading(found) == told
    known = Evidence("b1", "6", {"controls": [], "label": "demo"})
    assert heading([known, found[1]]) == (
        "6 epochs: demo; order not shown to transfer | 12 epochs: controls not checked"
    )


def test_only_controls_that_are_known_to_fail_are_refused() -> None:
    check_controls([Evidence("b1", "6", {}), Evidence("b1", "12", GOOD)])
    failed = Evidence("b1", "24", {"controls": ["panet > rolled"]})
    with pytest.raises(UserError, match=r"b1 at 24 epochs .*\(panet > rolled\).*=ign"):
        check_controls([Evidence("b1", "6", GOOD), failed])


def test_evidence_is_that_of_benchmark_and_epochs(make_run, tmp_path: Path) -> None:
    path = tmp_path / "evidence.json"
    runs = [
        make_run(seed, [0.1], config={"evaluator.epochs": epochs})
        for seed, epochs in enumerate((6, 6, 12))
    ]
    once = (("repeats", "1"),)
    unknown = [Evidence("b1", epochs, {}, once) for epochs in ("12", "6")]
    assert find_evidence(runs, path) == unknown
    path.write_text(json.dumps({"b1": {"6": GOOD, "24": {}}, "b2": {"12": GOOD}}))
    assert find_evidence(runs, path) == [unknown[0], Evidence("b1", "6", GOOD, once)]
    toy = [make_run(0, [0.1], evaluator="toy", config={"evaluator.epochs": 6})]
    assert find_evidence(toy, path) == []
    assert heading([]) == ""


@pytest.mark.parametrize("text", ["{", "[1]", '{"b1": 3}'])
def test_a_broken_file_is_one_line(make_run, tmp_path: Path, text) -> None:
    path = tmp_path / "evidence.json"
    path.write_text(text)
    with pytest.raises(UserError, match=r"evidence\.json cannot be read as evidence"):
        find_evidence([make_run(0, [0.1], config={"evaluator.epochs": 6})], path)
