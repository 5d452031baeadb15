"""`what=controls`: bars on made scores, and a real training of some seconds."""

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from fpnbench.cli.build import CONF, build_evaluator
from fpnbench.cli.checks import _shared, controls
from fpnbench.graph.canonical import key
from fpnbench.graph.errors import UserError
from fpnbench.graph.protocols import EvaluationError
from fpnbench.graph.score import Score
from fpnbench.search.feasible import what_is_read

CHECK = ("mode=check", "what=controls", "store=null")
MADE = Score(0.5, 0.8, None, 0.5, 0.6, 1.0, 7_000_000, 1, None, 2.0, 9, 0.1)
BOTH = {"panet": 0.9, "bifpn": 0.8, "nasfpn": 0.7, "fpn_vanilla": 0.6}
BOTH |= {"bottom_up": 0.5, "no_fusion": 0.4, "rolled": 0.3, "noisy": 0.2}


@pytest.fixture(scope="module")
def keys() -> dict[str, str]:
    """Keys of cells as P3 to P6 read them, made once."""
    return {}


@pytest.fixture
def scores(
    monkeypatch: pytest.MonkeyPatch,
    make_cell: Callable[..., Any],
    keys: dict[str, str],
) -> Callable[[Mapping[str, float | Sequence[float]]], None]:
    """Trainings that come out as one says: AP by cell, one or one a seed; else .1."""

    def make(aps: Mapping[str, float | Sequence[float]]) -> None:
        for cell in aps.keys() - keys.keys():
            keys[cell] = key(make_cell(cell, width=16).restrict((3, 4, 5, 6)))
        known = {keys[cell]: ap for cell, ap in aps.items()}

        def scored(evaluator, store, genotype, epochs, seed):
            ap = known.get(key(genotype), 0.1)
            own = ap[seed] if isinstance(ap, Sequence) else ap
            if own < 0:
                raise EvaluationError("training loss of epoch 1 is nan", 0, 0.0)
            return replace(MADE, ap=own)

        monkeypatch.setattr(_shared, "scored", scored)

    return make


def test_every_cell_of_a_group_is_above_all_cells_of_later_groups() -> None:
    groups = [["a", "b"], ["c"], ["d", "e"]]
    assert controls.pairs(groups, ["e", "a", "d", "c"]) == [
        *(("a", "c"), ("a", "d"), ("a", "e"), ("c", "d"), ("c", "e"))
    ]


def test_a_pair_is_decided_by_the_mean_of_paired_differences() -> None:
    found = {
        "a": [replace(MADE, ap=ap) for ap in (0.30, 0.20, 0.40)],
        "b": [replace(MADE, ap=ap) for ap in (0.25, 0.25, 0.25)],
    }

    # Differences .05 -.05 .15: mean .05, sd .1, standard error .1 / sqrt 3.
    def hold(better: str, worse: str, found: Any) -> Any:
        return controls.hold(controls.compare(better, worse, found, {}), {})

    bar = hold("a", "b", found)
    assert (bar.name, bar.measured, bar.held) == (
        *("a > b", "+0.0500, standard error 0.0577"),
        True,
    )
    bar = hold("b", "a", found)
    assert (bar.measured[:7], bar.held) == ("-0.0500", False)
    assert not hold("a", "a", found).held
    one = {cell: scores[:1] for cell, scores in found.items()}
    assert hold("a", "b", one).measured == "+0.0500, one seed"
    absent = hold("a", "c", found)
    assert (absent.measured, absent.held) == ("not measured: c", False)


def test_a_difference_is_drawn_again_with_both_cells_on_the_same_images() -> None:
    found = {"a": [MADE, MADE], "b": [replace(MADE, ap=0.4)] * 2, "c": [MADE, MADE]}
    drawn = {
        "images": {
            "a": np.array([[0.3, 0.5], [0.1, 0.3]]),
            "b": np.array([[0.1, 0.1], [0.1, 0.2]]),
        }
    }
    # Mean over seeds: (.2 + 0) / 2 and (.4 + .1) / 2, sd .15 / sqrt 2.
    compared = controls.compare("a", "b", found, drawn)
    assert compared["by_images"] == pytest.approx(0.15 / 2**0.5)
    assert np.isnan(compared["by_groups"])
    bar = controls.hold(compared, {"images": 9, "groups": 2})
    told = "+0.1000, standard error 0.0000, sd 0.1061 by 9 images"
    assert (bar.measured, bar.held) == (told, True)
    row, other, *_ = controls.rows(found, [0, 1], drawn)
    assert row["by_images"] == pytest.approx(0.2 / 2**0.5)
    assert other["by_images"] == pytest.approx(0.2 / 2**0.5)
    assert np.isnan(controls.compare("a", "c", found, drawn)["by_images"])


# What follows from how the scenes are made; .1 is the AP of whatever is not named.
RIGHT = {
    "both": BOTH,
    "down": {cell: 0.5 for cell in ("panet", "bifpn", "nasfpn", "fpn_vanilla")},
    "up": {cell: 0.5 for cell in ("panet", "bifpn", "nasfpn", "bottom_up")},
    "none": {cell: 0.5 for cell in ("panet", "bifpn", "nasfpn")},
}


@pytest.mark.parametrize(
    ("context", "asked", "pairs"),
    [
        ("both", True, 21),
        ("down", True, 16),
        ("up", True, 16),
        ("none", True, 9),
        ("none", False, 9),  # other data know no context
    ],
)
def test_the_order_wanted_is_that_of_the_context(
    conf, tiny, scores, context, asked, pairs
) -> None:
    cells = f"controls.cells=[{','.join(BOTH)}]"
    cfg = conf(*CHECK, *tiny, cells, *[f"+data.context={context}"] * asked)
    scores(RIGHT[context])
    found = controls.run(cfg)
    assert len(found.bars) == pairs
    assert [bar.name for bar in found.bars if not bar.held] == []
    assert found.about["failed"] == []
    assert found.about["context"] == context
    if context in ("down", "up"):  # the other way alone is no better than no fusion
        scores(RIGHT[{"down": "up", "up": "down"}[context]])
        failed = controls.run(cfg).about["failed"]
        wrong, right = ("fpn_vanilla", "bottom_up")[:: 1 if context == "down" else -1]
        low = {"no_fusion", "rolled", "noisy", right}
        assert set(failed) == {f"{wrong} > {cell}" for cell in low} | {
            f"{cell} > {right}" for cell in ("panet", "bifpn", "nasfpn")
        }


def test_a_control_out_of_order_fails_and_is_named(conf, tiny, scores, capsys) -> None:
    cfg = conf(*CHECK, *tiny, "+data.context=both")
    scores(BOTH | {"rolled": [0.5, 0.6, 0.7]})
    found = controls.run(cfg)
    told = " ".join(capsys.readouterr().out.split())
    assert told.count("no detections are recorded") == 1
    beside = "finest_only, siso, miso, simo"
    assert f"measured beside the pairs, in none of them: {beside}" in told
    assert found.about["beside"] == beside.split(", ")
    # .6 on average: above bottom_up, and fpn_vanilla is not above it.
    failed = ["fpn_vanilla > rolled", "bottom_up > rolled"]
    assert [bar.name for bar in found.bars if not bar.held] == failed
    assert found.about["failed"] == failed
    assert found.about["epochs"] == cfg.evaluator.epochs
    assert found.about["benchmark"] == build_evaluator(cfg).benchmark
    assert len(found.rows) == 12 * 3
    (row,) = [r for r in found.rows if (r["cell"], r["seed"]) == ("rolled", 2)]
    sizes = {"ap50": 0.8, "ap_s": None, "ap_m": 0.5, "ap_l": 0.6}
    other = {"cell": "rolled", "seed": 2, "macs": 7_000_000, "seconds": 2.0}
    spreads = {"by_images": None, "by_groups": None}
    assert row == other | sizes | spreads | {"ap": 0.7, "train_gmacs": 0.1}


def test_a_cell_that_cannot_be_scored_is_named_and_the_rest_goes_on(
    conf, tiny, scores, capsys
) -> None:
    cells = "controls.cells=[panet,noisy,rolled,siso]"
    scores({"panet": 0.3, "noisy": [0.2, -1.0, 0.2]})
    found = controls.run(conf(*CHECK, *tiny, cells, "detector.levels=[3,4]"))
    told = " ".join(capsys.readouterr().out.split())
    assert "siso is left out: the detector reads levels [3, 4], the pyramid" in told
    assert {row["cell"] for row in found.rows} == {"panet", "noisy", "rolled"}
    found = controls.run(conf(*CHECK, *tiny, cells))
    told = " ".join(capsys.readouterr().out.split())
    assert "panet, seed 1: AP 0.3000, 2 s" in told
    assert "noisy is left out: seed 1: training loss of epoch 1 is nan" in told
    assert {bar.name: bar.measured for bar in found.bars if not bar.held} == {
        "panet > noisy": "not measured: noisy"
    }
    assert {row["cell"] for row in found.rows} == {"panet", "rolled", "siso"}


@pytest.mark.parametrize(
    ("wanted", "said"),
    [
        (
            "controls.cells=panet",
            "controls.cells=panet: it must be a list of 1 different",
        ),
        ("controls.cells=[]", r"controls.cells=\[\]: it must be"),
        ("controls.seeds=[0,0]", r"controls.seeds=\[0, 0\]: .*1 different"),
        ("controls.seeds=[a]", "controls.seeds=.*different whole numbers or"),
        ("controls.cells=[siso,panet]", "none of them must be above another"),
        ("controls.cells=[panet,rolled,pagoda]", "cell=pagoda: there is no such cell"),
        ("evaluator=toy", "evaluator=proxy"),
        ("controls.orders.none=3", r"controls\.orders\.none=3: it must be groups of"),
        ("controls.orders=null", r"controls\.orders\.none=null: it must be groups"),
    ],
)
def test_bad_input_is_one_line(conf, tiny, wanted, said) -> None:
    with pytest.raises(UserError, match=said):
        controls.run(conf(*CHECK, *tiny, wanted))


def test_the_orders_name_cells_that_are_measured(conf) -> None:
    cfg = conf(*CHECK)
    for groups in cfg.controls.orders.values():
        named = [cell for group in groups for cell in group]
        assert len(set(named)) == len(named)
        assert set(named) <= set(cfg.controls.cells)
    for cell in cfg.controls.cells:
        assert (CONF / "cell" / f"{cell}.json").is_file()


@pytest.fixture
def trained(tiny: tuple[str, ...], tmp_path: Path) -> tuple[str, ...]:
    return (*tiny, "evaluator.epochs=1", f"evaluator.cache={tmp_path / 'cache'}")


def test_a_check_that_is_called_again_trains_nothing(
    cli, trained, tmp_path: Path, monkeypatch
) -> None:
    order = ("controls.cells=[panet,rolled,noisy]", "controls.seeds=[0,1]")
    asked = ("mode=check", "what=controls", *trained, *order, "store=s.sqlite")
    asked += ("controls.resamples=5",)
    first = cli(*asked, "evaluator.records=true", "out=first")
    told = json.loads((tmp_path / "first" / "check.json").read_text())
    assert first.code == (0 if told["held"] else 1)
    assert len(told["rows"]) == 6
    assert (told["about"]["data"], told["about"]["epochs"]) == ("digits", 1)
    assert [bar["name"] for bar in told["bars"]] == ["panet > rolled", "panet > noisy"]
    # One pyramid each, of equal MACs but for what is merged: rolling costs none.
    macs = {row["cell"]: row["macs"] for row in told["rows"]}
    assert macs["rolled"] == macs["noisy"] < macs["panet"]

    def refuse(*args: object) -> None:
        raise AssertionError("trained again")

    monkeypatch.setattr("fpnbench.train.proxy.train_and_score", refuse)
    assert cli(*asked, "out=again").code == first.code
    again = json.loads((tmp_path / "again" / "check.json").read_text())
    assert again["rows"] == told["rows"]
    assert again["about"]["drawn"] == {"images": 4, "groups": 2}
    assert again["about"]["pairs"] == told["about"]["pairs"]
    assert all(row["by_images"] >= 0 <= row["by_groups"] for row in again["rows"])
    assert len((tmp_path / "again" / "check.csv").read_text().splitlines()) == 7


@pytest.mark.parametrize("name", ["rolled", "noisy"])
def test_a_control_scores_the_same_whatever_was_drawn_before(
    conf, trained, make_cell, name
) -> None:
    torch.set_num_threads(1)
    evaluate = build_evaluator(conf(*trained, "recipe.batch=3"))  # 4 scored: 3 and 1
    genotype = what_is_read(make_cell(name, width=16), evaluate)
    first = evaluate.train(genotype, 1, 0)
    torch.rand(5)
    second = evaluate.train(genotype, 1, 0)
    assert first.score.loss == second.score.loss
    assert first.score.curve[0].loss == second.score.curve[0].loss
    # Scored from its weights alone, outside of any training, it finds the same.
    found = evaluate.detections(genotype, first.detector.state_dict())
    assert sum(len(each.scores_N) for each in found) > 0
    for a, b in zip(found, first.detections, strict=True):
        torch.testing.assert_close(a.boxes_xyxy_N4, b.boxes_xyxy_N4)
        torch.testing.assert_close(a.scores_N, b.scores_N)
