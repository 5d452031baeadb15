"""`fpnbench.load_pyramid`: cheap to import, checked at its door, in other detectors."""

import json
import re
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from fpnbench import load_pyramid
from fpnbench.detect.pyramid import FeaturePyramid
from fpnbench.graph.errors import UserError

ROOT = Path(__file__).resolve().parent.parent
CHANNELS = {3: 8, 4: 16, 5: 32}


def example(file: str, word: str) -> dict[str, Any]:
    """Run the one Python example of a page that has this word; return its names."""
    blocks = re.findall(r"```python\n(.*?)```", (ROOT / file).read_text(), re.DOTALL)
    (code,) = [text for text in blocks if word in text]
    names: dict[str, Any] = {}
    with torch.random.fork_rng():
        torch.manual_seed(0)
        exec(code, names)
    return names


def maps(channels: Mapping[int, int], height: int, width: int) -> dict[int, Tensor]:
    """Maps of two images whose finest level has this height and width."""
    sides = {lv: 2 ** (lv - min(channels)) for lv in channels}
    return {
        lv: torch.randn(2, count, -(-height // sides[lv]), -(-width // sides[lv]))
        for lv, count in channels.items()
    }


def test_import_costs_nothing_until_a_pyramid_is_asked_for() -> None:
    code = (
        "import sys, fpnbench\n"
        "heavy = {'torch', 'hydra', 'omegaconf', 'numpy', 'optuna'}\n"
        "assert not heavy & set(sys.modules), heavy & set(sys.modules)\n"
        "from fpnbench import load_pyramid\n"
        "assert 'torch' in sys.modules\n"
        "print(load_pyramid('fpn', {3: 8, 4: 8, 5: 8}, 8, 1))"
    )
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", code], capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout == "LoadedPyramid(fpn, 1 @ 8: C3 C4 C5 -> P3 P4 P5 P6 P7)\n"


def test_the_package_has_no_other_attribute() -> None:
    import fpnbench

    with pytest.raises(AttributeError, match="save_pyramid"):
        fpnbench.save_pyramid  # noqa: B018


@pytest.mark.parametrize(
    "name", sorted(path.stem for path in (ROOT / "conf" / "cell").glob("*.json"))
)
def test_every_cell_gives_its_levels_at_their_size(name: str) -> None:
    module = load_pyramid(name, CHANNELS, width=8, repeats=1)
    outputs = module(maps(CHANNELS, 33, 47))
    assert {lv: x.shape[1] for lv, x in outputs.items()} == module.out_channels
    for level, x in outputs.items():
        step = 2 ** (level - 3)
        assert x.shape[2:] == (-(-33 // step), -(-47 // step)), level


def test_a_run_s_best_is_told_by_its_folder(tmp_path: Path) -> None:
    cell = json.loads((ROOT / "conf" / "cell" / "mnasfpn.json").read_text())
    folder = tmp_path / "my-run"
    folder.mkdir()
    (folder / "best.json").write_text(json.dumps(cell))
    module = load_pyramid(folder / "best.json", CHANNELS, width=8, repeats=5)
    told = "LoadedPyramid(my-run, 5 @ 48: C3 C4 C5 -> P3 P4 P5 P6)"
    assert repr(module) == told


def test_digits_are_levels_and_other_maps_are_left_out() -> None:
    module = load_pyramid("nasfpn", {"3": 8, "4": 16, "5": 32}, 8, 1).eval()
    feats = maps(CHANNELS, 16, 16)
    by_number = module(feats | {2: torch.randn(2, 4, 40, 40)})
    by_digit = module({str(level): x for level, x in feats.items()})
    assert list(by_number) == list(by_digit) == [3, 4, 5, 6, 7]
    for level in by_number:
        torch.testing.assert_close(by_number[level], by_digit[level])


def test_it_is_the_pyramid_that_runs_train(make_cell) -> None:
    module = load_pyramid("nasfpn", CHANNELS, width=8, repeats=2)
    same = FeaturePyramid(make_cell("nasfpn", repeats=2, width=8), CHANNELS)
    same.load_state_dict(module.pyramid.state_dict())
    feats = maps(CHANNELS, 16, 16)
    ours, theirs = module(feats), same(feats)
    for level in theirs:
        torch.testing.assert_close(ours[level], theirs[level])


@pytest.mark.parametrize(
    ("changed", "told"),
    [
        ({"path_or_name": "nasfpm"}, "nasfpm.*nasfpn"),
        ({"in_channels": {}}, r"in_channels=\{\}"),
        ({"in_channels": {3: 8, 4: 8, 5: 0}}, "5: 0"),
        ({"in_channels": {"C3": 8}}, "'C3' is no level"),
        ({"in_channels": {4: 8, 5: 8}}, r"\[3, 4, 5\].*\[4, 5\]"),
        ({"path_or_name": "simo", "in_channels": {5: 8}}, r"\[5\].*C3"),
        ({"width": 0}, "^width=0"),
        ({"width": "wide"}, "^width=wide"),
        ({"width": 8.5}, "^width=8.5"),
        ({"repeats": 0}, "^repeats=0"),
        ({"repeats": True}, "^repeats=true"),
    ],
)
def test_what_cannot_be_loaded_is_told_in_one_line(
    changed: dict[str, Any], told: str
) -> None:
    usual = {
        "path_or_name": "nasfpn",
        "in_channels": CHANNELS,
        "width": 8,
        "repeats": 1,
    }
    with pytest.raises(UserError, match=told) as caught:
        load_pyramid(**usual | changed)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("changed", "told"),
    [
        ({3: torch.zeros(2, 9, 16, 16)}, r"level 3.*\(9, 16, 16\).*\(8, 16, 16\)"),
        ({4: torch.zeros(2, 16, 7, 8)}, r"level 4.*\(16, 7, 8\).*\(16, 8, 8\)"),
        ({5: None}, r"needs levels \[3, 4, 5\], got \[3, 4\]"),
        ({"pool": torch.zeros(1)}, "'pool' is no level"),
    ],
)
def test_maps_that_do_not_fit_are_told_in_one_line(
    changed: dict[Any, Any], told: str
) -> None:
    module = load_pyramid("nasfpn", CHANNELS, width=8, repeats=1)
    feats = maps(CHANNELS, 16, 16) | changed
    given = {level: x for level, x in feats.items() if x is not None}
    with pytest.raises(UserError, match=told) as caught:
        module(given)
    assert "\n" not in str(caught.value)


def test_readme_s_retinanet_pads_to_its_strides_and_trains_one_step() -> None:
    names = example("README.md", "RetinaNet(")
    model, pyramid = names["model"].eval(), names["pyramid"]
    padded, _ = model.transform([torch.rand(3, 100, 150)])
    assert all(side % 128 == 0 for side in padded.tensors.shape[2:])
    model.train()
    model.transform.min_size, model.transform.max_size = (128,), 128
    kernels = {
        name: weight.detach().clone()
        for name, weight in pyramid.named_parameters()
        if weight.ndim == 4
    }
    generator = torch.Generator().manual_seed(0)
    images = [torch.rand(3, 128, 128, generator=generator) for _ in range(2)]
    box = torch.tensor([[20.0, 30.0, 80.0, 90.0]])
    target = {"boxes": box, "labels": torch.tensor([1])}
    losses = model(images, [target, target])
    loss = sum(losses.values())
    assert torch.isfinite(loss)
    optimiser = torch.optim.SGD(model.parameters(), lr=0.1)
    loss.backward()
    optimiser.step()
    after = dict(pyramid.named_parameters())
    still = [name for name, x in kernels.items() if torch.equal(x, after[name])]
    assert kernels
    assert not still
    model.eval()
    with torch.no_grad():
        (found,) = model(images[:1])
    assert found["boxes"].shape[1:] == (4,)


def test_the_neck_of_mmdetection_takes_and_gives_tuples() -> None:
    names = example("docs/take_away.md", "class FPNBenchNeck")
    config = example("docs/take_away.md", "neck = dict(")["neck"]
    assert config.pop("type") == "FPNBenchNeck"
    neck: nn.Module = names["FPNBenchNeck"](**config | {"repeats": 1})
    feats = maps(dict(zip(range(2, 6), config["in_channels"], strict=True)), 32, 48)
    outputs = neck(tuple(feats.values()))
    assert isinstance(outputs, tuple)
    shapes = [tuple(x.shape[1:]) for x in outputs]
    sides = [(16, 24), (8, 12), (4, 6), (2, 3), (1, 2)]
    assert shapes == [(256, *side) for side in sides]


def test_the_page_s_first_example_prints_what_it_says() -> None:
    names = example("docs/take_away.md", "print(pyramid)")
    told = re.search(
        r"print\(pyramid\)  # (.*)", (ROOT / "docs/take_away.md").read_text()
    )
    assert told is not None
    assert repr(names["pyramid"]) == told[1]
