"""The checks themselves: bars are held where they should be, and only there."""

from pathlib import Path

import pytest
from hydra import initialize_config_dir

from fpnbench.cli.checks import ap, oracles
from fpnbench.graph.errors import UserError

CONF = str(Path(__file__).parents[2] / "conf")


def run_oracles(cfg):
    with initialize_config_dir(CONF, version_base=None):
        return oracles.run(cfg)


def test_every_oracle_comes_out(conf, monkeypatch) -> None:
    monkeypatch.setattr(oracles, "DRAWS", 3)
    bars = run_oracles(conf())
    assert len(bars) == 10
    assert [bar.name for bar in bars if not bar.held] == []


def test_an_oracle_that_is_off_fails(conf, monkeypatch) -> None:
    monkeypatch.setattr(oracles, "DRAWS", 1)
    monkeypatch.setattr(oracles, "CARDINALITIES", {"nasfpn": "1.0000e+01"})
    failed = [bar.name for bar in run_oracles(conf()) if not bar.held]
    assert failed == ["|nasfpn|"]


@pytest.mark.parametrize(
    ("overrides", "epochs", "aps", "bar", "held"),
    [
        (["data=aquarium"], 6, [0.049, 0.050, 0.052], ">= 0.050", True),
        (["data=aquarium"], 6, [0.049, 0.049, 0.049], ">= 0.050", False),
        (["data=aquarium", "image_px=320"], 12, [0.07], ">= 0.075", False),
        (["data=aquarium_published"], 6, [0.09], ">= 0.090", True),
        (["data=aquarium"], 7, [0.0], "none stated", True),
        (["data=aquarium", "repeats=2"], 6, [0.0], "none stated", True),
        (["data=aquarium", "cell_name=nasfpn"], 6, [0.0], "none stated", True),
        (["data=digits"], 6, [0.0], "none stated", True),
    ],
)
def test_bars_belong_to_a_preset(conf, overrides, epochs, aps, bar, held) -> None:
    cfg = conf(*overrides)
    cfg.cell = cfg.cell or ap.REFERENCE
    found = ap.hold(cfg, epochs, aps)
    assert (found.bar, found.held) == (bar, held)


def test_ap_needs_an_evaluator_that_trains(conf) -> None:
    with pytest.raises(UserError, match="evaluator=proxy"):
        ap.run(conf("evaluator=toy"))
