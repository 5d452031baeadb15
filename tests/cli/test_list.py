"""`mode=list`: everything that can be chosen, a line each."""

import csv
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from fpnbench.cli.list import first_sentence

CONF = Path(__file__).parents[2] / "conf"
Cli = Callable[..., Any]


def test_every_choice_stands_on_a_line_of_its_own(cli: Cli, tmp_path: Path) -> None:
    done = cli("mode=list", "image_px=128", "width=64", "out=run")
    assert (done.code, done.err) == (0, "")
    with (tmp_path / "run" / "list.csv").open(newline="") as file:
        rows = {(row["group"], row["name"]): row for row in csv.DictReader(file)}
    files = [*CONF.glob("*/*.yaml"), *(CONF / "cell").glob("*.json")]
    assert set(rows) == {(path.parent.name, path.stem) for path in files}
    assert all(len(row["about"]) > 10 for row in rows.values())
    lines = [line.split() for line in done.out.splitlines() if line[:2] == "  "]
    assert [words[0] for words in lines] == [name for _, name in rows]
    # Exact, where a float would round; facts 2.
    assert rows["space", "nasfpn"]["vectors"] == "247210809753600000"
    # One 1x1 convolution with bias, 320 to 64 channels, on a map of 4 x 4.
    lone = rows["cell", "c5_only"]
    assert (lone["macs"], lone["params"]) == (str(16 * 320 * 64), str(320 * 64 + 64))
    assert "0.3 MMAC 0.021 M" in done.out
    assert "128 px, repeats=1, width=64, channels C2 24, C3 40, C4 112" in done.out


def test_one_group_is_listed_alone_and_nothing_is_written(
    cli: Cli, tmp_path: Path
) -> None:
    done = cli("mode=list", "what=searcher")
    assert done.code == 0
    assert "evolution" in done.out
    assert "nasfpn" not in done.out
    assert list(tmp_path.iterdir()) == []


def test_a_space_that_cannot_be_built_hides_no_other(cli: Cli, tmp_path: Path) -> None:
    broken = tmp_path / "own" / "space" / "broken.yaml"
    broken.parent.mkdir(parents=True)
    broken.write_text("# Not there.\n_target_: nowhere.Space\n")
    done = cli("--config-dir", "own", "mode=list", "what=space")
    assert done.code == 0
    lines = {line.split()[0]: line.split()[1:] for line in done.out.splitlines()[1:]}
    assert lines["broken"] == ["Not", "there."]
    assert lines["nasfpn"][:2] == ["2.472e+17", "vectors"]


def test_configurations_from_elsewhere_are_listed(cli: Cli, tmp_path: Path) -> None:
    mine = tmp_path / "own" / "searcher" / "mine.yaml"
    mine.parent.mkdir(parents=True)
    mine.write_text("# Draws what I like. Nothing else.\n_target_: mine.Mine\n")
    for words in (("--config-dir", "own"), (f"hydra.searchpath=[{tmp_path}/own]",)):
        done = cli(*words, "mode=list", "what=searcher")
        line = next(line for line in done.out.splitlines() if "mine" in line)
        assert line.split(maxsplit=1) == ["mine", "Draws what I like."]
        assert "ppo_paper" in done.out


def test_an_unknown_group_is_refused_with_those_there_are(cli: Cli) -> None:
    done = cli("mode=list", "what=spaces")
    assert done.code == 2
    assert done.err.startswith("error: what=spaces is not one of backbone, cell, data,")
    assert done.err.count("\n") == 1


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("# One. Two.\na: 1\n", "One."),
        (
            "# @package _global_\n# A (B et al. 20),\n# v1.5. No.\n",
            "A (B et al. 20), v1.5.",
        ),
        ("# No end\na: 1 # No. More.\n# No.\n", "No end"),
    ],
)
def test_the_first_sentence_of_a_yaml_tells_what_it_is(
    text: str, sentence: str
) -> None:
    assert first_sentence(text) == sentence
