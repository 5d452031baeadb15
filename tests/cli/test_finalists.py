"""Training, evaluation and finalists, tiny but real, through the command line."""

import csv
import json
from collections.abc import Callable
from pathlib import Path
from statistics import fmean, stdev
from typing import Any

import pytest

EXTRA = ("evaluator.epochs=1", "data.final_epochs=6")
Tiny = tuple[str, ...]
Cli = Callable[..., Any]


def rows(path: Path) -> list[dict[str, str]]:
    with path.open() as file:
        return list(csv.DictReader(file))


def test_a_trained_network_is_scored_again_from_its_checkpoint(
    cli: Cli, tiny: Tiny, tmp_path: Path
) -> None:
    trained = cli(*tiny, *EXTRA, "mode=train", "cell=fpn_vanilla", "out=t")
    assert trained.code == 0, trained.err
    first = json.loads((tmp_path / "t" / "result.json").read_text())
    assert first["epochs"] == 6
    assert first["images"] == 6 * 16 + 8
    assert first["ap"] > 0
    assert (tmp_path / "t" / "detections.png").stat().st_size > 10_000
    file = "checkpoint=t/checkpoint.pt"
    again = cli("mode=evaluate", file, "out=e")
    assert again.code == 0, again.err
    second = json.loads((tmp_path / "e" / "result.json").read_text())
    for name in ("ap", "ap50", "ap_s", "key", "benchmark"):
        assert second[name] == first[name]

    refused = cli("mode=evaluate", file, "split=test", "out=x")
    assert refused.code == 2
    assert "final=true says that this is it" in refused.err
    assert not (tmp_path / "t" / "test_readings.jsonl").exists()
    for _ in range(2):
        read = cli("mode=evaluate", file, "split=test", "final=true", "out=x")
        assert read.code == 0, read.err
    notes = (tmp_path / "t" / "test_readings.jsonl").read_text().splitlines()
    assert len(notes) == 2
    test = json.loads((tmp_path / "x" / "result.json").read_text())
    assert json.loads(notes[0])["ap"] == test["ap"] != first["ap"]


@pytest.mark.parametrize(
    ("args", "told"),
    [
        (("mode=train", "cell=nasfpn", "split=test"), "scores on val or search"),
        (("mode=train", "cell=nasfpn", "evaluator=toy"), "evaluator=proxy is needed"),
        (("mode=train", "cell=nasfpn", "evaluator.folds=2"), "folds=null is needed"),
        (("mode=evaluate",), "checkpoint=None: a checkpoint.pt of mode=train"),
        (("mode=evaluate", "checkpoint=broken.pt"), "is no checkpoint of mode=train"),
        (("mode=finalists", "runs=nowhere/*"), "among 0 paths"),
        (
            ("mode=finalists", "runs=nowhere/*", "top=0"),
            "top=0: it must be a whole number from 1 on",
        ),
    ],
)
def test_mistakes_are_one_line(
    cli: Cli, tiny: Tiny, tmp_path: Path, args: tuple[str, ...], told: str
) -> None:
    (tmp_path / "broken.pt").write_text("no weights")
    result = cli(*tiny, *EXTRA, *args)
    assert result.code == 2
    assert told in result.err
    assert result.err.count("\n") == 1


def test_finalists_are_the_best_networks_trained_anew(
    cli: Cli, tiny: Tiny, tmp_path: Path
) -> None:
    search = (*tiny, *EXTRA, "space=nasfpn", "budget.trials=3")
    for searcher in ("random", "evolution"):
        done = cli(*search, f"searcher={searcher}", f"out=runs/table/{searcher}")
        assert done.code == 0, done.err
    mode = ("mode=finalists", "runs=runs/table/*", "resamples=50", "out=f")
    result = cli(*mode, "top=2")
    assert result.code == 0, result.err
    found = rows(tmp_path / "f" / "finalists.csv")
    assert [row["rank"] for row in found] == ["1", "2"] * 2
    told = ", ".join(f"{float(row['ap']):.4f}" for row in found[2:])
    assert f"runs/table/random: AP {told}" in result.out
    trials = rows(tmp_path / "runs" / "table" / "evolution" / "trials.csv")
    rewards = sorted((float(row["reward"]) for row in trials), reverse=True)
    for row, reward in zip(found[:2], rewards, strict=False):
        aps = [float(ap) for ap in row["aps"].split()]
        assert len(aps) == int(row["seeds"]) == 3
        assert float(row["reward"]) == reward
        assert float(row["ap"]) == pytest.approx(fmean(aps), abs=1e-5)
        assert float(row["ap_sd"]) == pytest.approx(stdev(aps), abs=1e-5)
        assert float(row["optimism"]) == pytest.approx(reward - float(row["ap"]))
        assert float(row["ap_low"]) <= float(row["ap_high"])
        assert row["benchmark"] != row["search_benchmark"]
    assert sum(float(row["ap"]) for row in found) > 0
    # Random and evolution's first proposals are the same networks.
    assert [row["key"] for row in found[:2]] == [row["key"] for row in found[2:]]
    own = rows(tmp_path / "runs" / "table" / "evolution" / "finalists.csv")
    assert own == found[:2]

    again = cli(*mode, "top=2")
    assert again.code == 0
    second = rows(tmp_path / "f" / "finalists.csv")
    assert [row["stored"] for row in second] == ["3"] * 4
    for row in (*found, *second):
        row.pop("stored")
    assert second == found

    paper = cli(*mode, "select=paper")
    assert paper.code == 0
    assert [row["rank"] for row in rows(tmp_path / "f" / "finalists.csv")] == ["1", "1"]
    refused = cli(*mode, "top=4")
    assert refused.code == 2
    assert "top=4: runs/table/evolution has only 3 networks" in refused.err


def test_noise_tells_what_spreads_an_ap(cli: Cli, tiny: Tiny, tmp_path: Path) -> None:
    noise = ("noise.cells=[fpn_vanilla,nasfpn]", "noise.resamples=40")
    result = cli(
        *tiny, *EXTRA, "evaluator.epochs=6", "mode=check", "what=noise", *noise, "out=n"
    )
    assert result.code == 0, result.err
    told = json.loads((tmp_path / "n" / "check.json").read_text())
    by_name = {bar["name"]: bar["measured"] for bar in told["bars"]}
    aps = {}
    for cell in ("fpn_vanilla", "nasfpn"):
        mean, *each = by_name[f"AP of {cell}"].replace("(", "").replace(")", "").split()
        aps[cell] = [float(ap) for ap in each]
        assert float(mean) == pytest.approx(fmean(aps[cell]), abs=2e-4)
    variances = [stdev(row) ** 2 for row in aps.values()]
    sd = float(by_name["one AP"].split()[1])
    assert sd == pytest.approx(fmean(variances) ** 0.5, abs=2e-4)
    (pair,) = [name for name in by_name if name.startswith("fpn_vanilla - nasfpn")]
    paired = [a - b for a, b in zip(*aps.values(), strict=True)]
    assert float(by_name[pair].split()[1]) == pytest.approx(stdev(paired), abs=2e-4)
    refused = cli(*tiny, *EXTRA, "mode=check", "what=noise", "noise.seeds=[0]")
    assert refused.code == 2
    assert "noise.seeds=[0]: it must be a list of 2 different" in refused.err
