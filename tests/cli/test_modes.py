"""`mode=space`, `mode=cost` and `mode=check`."""

import json
import sys
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from fpnbench.cli import check
from fpnbench.report.bar import Bar, Findings

Cli = Callable[..., Any]


@pytest.mark.parametrize(
    ("space", "cardinality", "paper"),
    [
        ("nasfpn", 247_210_809_753_600_000, None),
        ("mnasfpn", 95_547_097_424_634_827_126_104_318_279_680_000, 1e31),
    ],
)
def test_a_space_is_counted_exactly_beside_its_paper(
    cli: Cli, tmp_path: Path, space: str, cardinality: int, paper: float | None
) -> None:
    done = cli("mode=space", f"space={space}", "mode.draws=20", "out=run")
    assert done.code == 0
    told = json.loads((tmp_path / "run" / "space.json").read_text())
    assert told["cardinality"] == str(cardinality)
    assert told["paper_cardinality"] == paper
    sizes = 1
    for decision in told["decisions"]:
        assert decision["name"] in done.out
        sizes *= len(decision["options"])
    assert sizes == cardinality


def test_the_parts_of_a_detector_add_up(cli: Cli, tmp_path: Path) -> None:
    done = cli("mode=cost", "cell=mnasfpn", "image_px=320", "repeats=4", "out=run")
    assert done.code == 0
    told = json.loads((tmp_path / "run" / "cost.json").read_text())
    parts = [told[name] for name in ("backbone", "pyramid", "predictor")]
    for amount in ("macs", "params"):
        assert told[amount] == sum(part[amount] for part in parts)
    # MnasFPN's head x4 at 320 px has 0.1924 GMAC with MobileNetV2's channels (facts
    # 3.5); Lite0's are close.
    assert told["pyramid"]["macs"] / 1e9 == pytest.approx(0.1924, rel=0.05)


@pytest.fixture
def fake_check(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Callable[[object], None]:
    """Make `what=fake` a check that returns what it is given."""

    def make(result: object) -> None:
        fake = ModuleType("fpnbench.cli.checks.fake")
        monkeypatch.setattr(fake, "run", lambda cfg: result, raising=False)
        monkeypatch.setitem(sys.modules, fake.__name__, fake)
        monkeypatch.setattr(check, "CHECKS", tmp_path)
        (tmp_path / "fake.py").touch()

    return make


@pytest.mark.parametrize("held", [True, False])
def test_a_check_ends_with_0_if_every_bar_held_else_1(
    cli: Cli, tmp_path: Path, fake_check: Callable[[object], None], held: bool
) -> None:
    fake_check([Bar("first", "> 0", "1", True), Bar("second", "> 1", "1.5", held)])
    done = cli("mode=check", "what=fake", "out=run")
    assert done.code == (0 if held else 1)
    assert ("FAILED" in done.out) is not held
    told = json.loads((tmp_path / "run" / "check.json").read_text())
    assert told["held"] is held
    assert told["bars"][0] == {
        **{"name": "first", "bar": "> 0", "measured": "1", "held": True}
    }
    assert not (tmp_path / "run" / "check.csv").exists()


def test_a_check_may_write_the_table_that_it_measured(
    cli: Cli, tmp_path: Path, fake_check: Callable[[object], None]
) -> None:
    rows = [{"cell": "panet", "ap": 0.5}, {"cell": "bifpn", "ap": None}]
    fake_check(Findings([Bar("first", "> 0", "1", True)], {"epochs": 6}, rows))
    assert cli("mode=check", "what=fake", "out=run").code == 0
    told = json.loads((tmp_path / "run" / "check.json").read_text())
    assert (told["about"], told["rows"]) == ({"epochs": 6}, rows)
    written = (tmp_path / "run" / "check.csv").read_text()
    assert written == "cell,ap\npanet,0.5\nbifpn,\n"
