"""experiments/proxy/collect.py on folders made by hand, and on older checks' own."""

import importlib.util
import json
import shutil
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

HOME = Path(__file__).resolve().parent.parent / "experiments" / "proxy"
HEAD = "detector.tower_depth"
ESTIMATE = {"value": 0.8, "low": 0.6, "high": 0.9}


@pytest.fixture
def collect(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    """The script, which writes into an empty folder."""
    spec = importlib.util.spec_from_file_location("collect", HOME / "collect.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    (tmp_path / "kept").mkdir()
    monkeypatch.setattr(module, "HERE", tmp_path / "kept")
    return module


class Checks:
    """Folders as `mode=check` writes them, of one preset."""

    def __init__(self, folder: Path, prefix: str, **about: Any) -> None:
        self.folder, self.prefix = folder, prefix
        self.about = {"data": "ponds", "image_px": 256, "epochs": 6, **about}

    def write(
        self, name: str, rows: list[dict[str, Any]], bars: int = 1, **about: Any
    ) -> None:
        bar = {"name": "x", "bar": "y", "measured": "9.1%", "held": True}
        told = {"what": name.split("-")[0], "held": True, "bars": [bar] * bars}
        about = {} if name == "assignment" else self.about | about
        place = self.folder / f"{self.prefix}-{name}"
        place.mkdir(parents=True)
        text = json.dumps(told | {"about": about, "rows": rows})
        (place / "check.json").write_text(text)

    def controls(self, seeds: int, failed: tuple[str, ...] = ()) -> None:
        rows = [{"seed": s, "seconds": 30 + s, "train_gmacs": 7} for s in range(seeds)]
        own = {"context": "none", "width": 64, "repeats": 1, "failed": failed}
        self.write("controls", rows, bars=9, **own)

    def signal(self) -> None:
        rows = [
            {"key": key, "seed": seed, "ap": key / 99, "cost_s": 99, "train_gmacs": 99}
            for key in range(24)
            for seed in range(3)
        ]
        own = {"space": "nasfpn", "networks": 24, "figures": {"ap": {"icc": ESTIMATE}}}
        self.write("signal-nasfpn", rows, **own)

    def orders(self, pairs: int) -> None:
        told = {"share": {"value": 0.8}, "pairs": pairs}
        judged = {"ap": told, "macs": {"share": {"value": 0.6}}}
        self.write("orders", [{"seed": s} for s in range(3)], pairs=judged)

    def length(self) -> None:
        tau = {"6": {"ap": ESTIMATE}, "macs": {"macs": ESTIMATE | {"value": 0.3}}}
        own = {"space": "nasfpn", "lengths": [6, 24], "networks": 27, "shortest": 6}
        self.write("length-nasfpn", [], figures={"all": tau}, **own)


def table(folder: Path) -> list[list[str]]:
    """The rows of decision.md, a cell each."""
    lines = (folder / "kept" / "decision.md").read_text().splitlines()[2:]
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in lines]


def test_presets_of_one_data_set_have_a_row_each_with_all_that_is_known(
    collect: ModuleType, tmp_path: Path
) -> None:
    one = Checks(tmp_path / "run", "one", benchmark="ponds-aaaaaaaa", preset={HEAD: 1})
    one.controls(3)
    one.signal()
    one.orders(23)
    one.length()
    one.write("assignment", [])
    two = Checks(tmp_path / "run", "two", benchmark="ponds-bbbbbbbb", preset={HEAD: 2})
    two.controls(1, failed=("panet > noisy",))
    collect.main([str(folder) for folder in (tmp_path / "run").iterdir()])
    assert table(tmp_path) == [
        [
            *("ponds", f"256 px, 6 epochs, {HEAD} 1, aaaaaa", "31", "7", "9.1%"),
            *("0 of 9", "nasfpn 0.80 [0.60, 0.90], without one 1.00–1.00"),
            "nasfpn 0.80 [0.60, 0.90] to 24 epochs (MACs 0.30)",
            *("80% (60%) of 23 of 23 pairs", "for claims"),
        ],
        [
            *("ponds", f"256 px, 6 epochs, {HEAD} 2, bbbbbb", "30", "7", "not run"),
            *("1 of 9", "not run", "not run", "not run"),
            "demo (partial: two-controls)",
        ],
    ]
    evidence = json.loads((tmp_path / "kept" / "evidence.json").read_text())
    known = evidence["ponds-aaaaaaaa"]["6"]
    assert known["orders"] == {"share": 0.8, "macs": 0.6, "pairs": 23}
    assert known["icc_without"] == {"nasfpn": [1, 1]}


def test_a_share_of_fewer_pairs_than_planned_is_no_ground_for_claims(
    collect: ModuleType, tmp_path: Path
) -> None:
    few = Checks(tmp_path / "kept", "few", benchmark="ponds-cccccccc")
    few.controls(3)
    few.signal()
    few.orders(22)
    collect.main([])
    ((*_, ordered, label),) = table(tmp_path)
    assert ordered == "80% (60%) of 22 of 23 pairs"
    assert label == "for method tests (partial: few-orders)"


def test_two_folders_of_one_check_are_refused(
    collect: ModuleType, tmp_path: Path
) -> None:
    for prefix in ("one", "two"):
        Checks(tmp_path / "kept", prefix, benchmark="ponds-dddddddd").controls(3)
    with pytest.raises(SystemExit, match="are one check: remove one"):
        collect.main([])


def test_checks_of_before_are_read(collect: ModuleType, tmp_path: Path) -> None:
    for path in HOME.glob("digits-*/check.json"):
        place = tmp_path / "kept" / path.parent.name
        place.mkdir()
        shutil.copy(path, place)
    collect.main([])
    (row,) = table(tmp_path)
    assert row[:2] == ["digits", "128 px, 6 epochs, b7289b"]
    assert row[5] == "4 of 9"
    assert "nasfpn 0.51 [0.27, 0.72], without one 0.33" in row[6]
    assert row[8:] == ["59% (65%) of 23 of 23 pairs", "demo"]
