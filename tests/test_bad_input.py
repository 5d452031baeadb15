"""Mistakes of a user's: one clear line, exit 2, nothing lost."""

import json
import shlex
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

Cli = Callable[..., Any]
ROOT = Path(__file__).resolve().parent.parent
TOY = ("evaluator=toy", "searcher=random", "budget.trials=2")
SET = (
    *("searcher=random", "budget.trials=1", "data=coco_folder"),
    *("data.held_out=0.5", "image_px=64", "evaluator.epochs=1", "evaluator.threads=1"),
)


def refused(done: Any) -> str:
    """Return the one line that a mistake is answered with."""
    assert "Traceback" not in done.err + done.out
    assert done.code == 2, done.err
    assert done.err.startswith("error: ")
    assert done.err.count("\n") == 1
    return str(done.err.strip())


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("space=mnasfpm",), ("space/mnasfpm", "connsearch, handcrafted, mnasfpn")),
        (("budgt.trials=3",), ("budgt",)),
        (("searcher.sample=3",), ("sample",)),
        (("+sercher=ppo",), ("+sercher=ppo", "no key sercher")),
        (("+searcher.sample=3",), ("RandomSearch", "argument 'sample'")),
        (("seed",), ("missing EQUAL",)),
        (("space=null",), ("must be a string",)),
        (("~space",), ("space",)),
        (("space._target_=spaces.nowhere.Space",), ("spaces.nowhere",)),
        (("budget.trials=0",), ("budget.trials=0", "whole number above zero")),
        (("budget.evaluations=-1",), ("budget.evaluations=-1",)),
        (("budget.trials=abc",), ("budget.trials=abc",)),
        (("seed=abc",), ("seed=abc",)),
        (("mode=check", "what=nothing"), ("what=nothing", "toy")),
        (("mode=check",), ("what= is missing: one of ap, assignment,",)),
        (("mode=draw",), ("cell= is missing", "fpn_vanilla")),
        (("mode=draw", "cell=nofpn"), ("cell=nofpn", "fpn_vanilla")),
    ],
    ids=lambda value: " ".join(value) if value[0][0] in "sb+me" else "",
)
def test_a_wrong_word_on_the_command_line(
    cli: Cli, arguments: tuple[str, ...], said: tuple[str, ...]
) -> None:
    line = refused(cli(*TOY, *arguments))
    assert all(words in line for words in said), line


RANDOM = "evaluator=toy searcher=random budget.trials=2"
EVOLUTION = "evaluator=toy searcher=evolution budget.trials=2"
TRAINED = "searcher=random budget.trials=1"
VALUES = {
    f"{EVOLUTION} searcher.population=abc": "it must be a whole number",
    f"{EVOLUTION} searcher.population=null": "it must be a whole number",
    f"{EVOLUTION} searcher.population=2.5": "it must be a whole number",
    f"{EVOLUTION} searcher.population=true": "it must be a whole number",
    f"{RANDOM} evaluator.noise=abc": "it must be a number from 0 on",
    f"{RANDOM} evaluator.noise=nan": "it must be a number from 0 on",
    f"{RANDOM} evaluator.channels=null": "it must be a mapping of whole numbers to",
    f"{RANDOM} evaluator.seed=null": "it must be a whole number",
    f"{RANDOM} data.seed=-1": "it must be a whole number from 0 on",
    f"{RANDOM} space.levels=5": "it must be a list of whole numbers",
    f"{RANDOM} space.levels=[3,x]": "it must be a list of whole numbers",
    f"{RANDOM} space.intermediates=abc": "it must be a whole number",
    f"{RANDOM} ledger.study=5": "it must be text",
    f"{RANDOM} repeats=null": "it must be a whole number from 1 on",
    f"{RANDOM} debug=abc": "it must be true or false",
    f"{TRAINED} recipe.batch=abc": "it must be a whole number",
    f"{TRAINED} recipe.optimizer=lion": "it must be one of adamw, sgd",
    f"{TRAINED} recipe.milestones=[half]": "it must be a list of numbers",
    f"{TRAINED} recipe.clip=-1": "it must be a number from 0 on",
    f"{TRAINED} data.held_out=abc": "it must be a number",
    f"{TRAINED} data.flip=1": "it must be true or false",
    f"{TRAINED} evaluator.threads=0": "it must be a whole number from 1 on",
    f"{TRAINED} evaluator.threads=abc": "it must be a whole number from 1 on",
    f"{TRAINED} evaluator.accelerator=abacus": "it must be one of auto, cpu, gpu,",
    f"{TRAINED} detector.width=abc": "it must be a whole number from 1 on",
    f"{TRAINED} detector.suppression.nms_iou=abc": "it must be a number",
    f"{TRAINED} backbone.levels=abc": "it must be a list of whole numbers",
    f"{TRAINED} backbone.name=null": "it must be text",
    "mode=check what=toy toy.trials=abc": "it must be a whole number from 1 on",
    "mode=check what=toy toy.seeds=0": "it must be a whole number from 1 on",
}


SMALL = "data.train_images=8 data.objects=[1,2] data.sizes=[12,16]"
FIT = {
    # a cell or a space with levels that the backbone lacks
    "mode=cost cell=nasfpn backbone.levels=[4,5]": (
        "the pyramid takes backbone levels [3, 4, 5], the backbone has [4, 5]"
    ),
    f"{TRAINED} {SMALL} space=mnasfpn backbone.levels=[3,4]": (
        "no network of the space mnasfpn fits: the pyramid takes backbone levels"
    ),
    # or none that the head reads
    "mode=cost cell=nasfpn detector.levels=[8]": (
        "the detector reads levels [8], the pyramid has [3, 4, 5, 6, 7]"
    ),
    f"{RANDOM} space=mnasfpn evaluator.levels=[7]": (
        "no network of the space mnasfpn fits: the detector reads levels [7], the "
        "pyramid has [3, 4, 5, 6]"
    ),
    f"{RANDOM} space=handcrafted evaluator.levels=[9]": "the detector reads levels [9]",
    # an image smaller than the largest stride
    "mode=cost cell=nasfpn image_px=63": (
        "image_px=63 is smaller than the stride of P6, 64 pixels"
    ),
    f"{RANDOM} space=nasfpn image_px=127": (
        "image_px=127 is smaller than the stride of P7, 128 pixels"
    ),
    f"{TRAINED} {SMALL} space=mnasfpn image_px=32": (
        "image_px=32 is smaller than the stride of P6, 64 pixels"
    ),
    # numbers that no space can have
    f"{RANDOM} space=connsearch space.in_degree=1": "in_degree is 1, allowed: 2, or",
    f"{RANDOM} space=mnasfpn space.intermediates=-1": "intermediates=-1 must be >= 0",
    f"{RANDOM} space=nasfpn space.intermediates=-1": "intermediates=-1 must be >= 0",
    # and what is read before it is built
    "mode=cost cell=nasfpn detector.levels=5": "must be a list of whole numbers",
    "mode=report runs=5": "no finished run",
    "mode=cost cell=5": "cell=5: there is no such cell",
    "mode=draw cell=nasfpn space.nowhere=1": "nowhere",
}


def test_what_does_not_fit_together_is_said_before_anything_is_computed(
    cli: Cli, tmp_path: Path
) -> None:
    for line, said in FIT.items():
        assert said in refused(cli(*shlex.split(line))), line
    assert not list(tmp_path.glob("**/features-*"))
    assert not list(tmp_path.glob("**/trials.csv"))


def test_data_are_looked_for_beside_the_checkout(
    cli: Cli, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("FPNBENCH_DATA")
    absent = "data.source.annotations.train=nothing.json"
    line = refused(cli(*TRAINED.split(), "data=aquarium", absent))
    place = next(word for word in line.split() if "aquarium" in Path(word).parts)
    expected = ROOT.parent / "shared" / "data" / "aquarium"
    assert (tmp_path / place).resolve().is_relative_to(expected)
    assert "cannot be read" in line or "set FPNBENCH_DATA" in line


def test_a_value_of_a_wrong_kind_is_named_with_what_is_allowed(
    cli: Cli, tmp_path: Path
) -> None:
    for line, said in VALUES.items():
        key, value = line.split()[-1].split("=")
        told = refused(cli(*line.split()))
        shown = f"error: {key}=" + f"{value}:" * (value[0] != "[")
        assert told.lower().startswith(shown), (line, told)
        assert said in told, (line, told)
    assert not list(tmp_path.glob("**/ledger.sqlite"))


def test_a_folder_that_cannot_be_written(cli: Cli, tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    line = refused(cli(*TOY, "out=file/run"))
    assert "out=file/run cannot be written: Not a directory" in line


def test_a_ledger_of_another_space(cli: Cli, tmp_path: Path) -> None:
    assert cli(*TOY, "space=nasfpn", "out=one").code == 0
    (tmp_path / "two").mkdir()
    shutil.copy(tmp_path / "one" / "ledger.sqlite", tmp_path / "two")
    before = (tmp_path / "two" / "ledger.sqlite").read_bytes()
    line = refused(cli(*TOY, "space=mnasfpn", "out=two"))
    assert "is of another space: it has 27 decisions" in line
    assert (tmp_path / "two" / "ledger.sqlite").read_bytes() == before


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"choices": [0, 0]}, "choices has 2 entries, the space has 1 decisions"),
        ({"choices": [99]}, "choice 99 for"),
        ({"format": 99}, "has format 99, this version reads 1"),
        ({"space": "nospace"}, "space nospace is not one of connsearch, handcrafted"),
        ({"choices": None}, "choices must be a list of whole numbers"),
        ({"space_args": None}, "space_args=null: it must be a mapping"),
        ({"space_args": {"levels": 5}}, "space.levels=5: it must be a list of whole"),
    ],
    ids=lambda value: next(iter(value)) if isinstance(value, dict) else "",
)
def test_a_cell_that_is_none(
    cli: Cli, tmp_path: Path, change: dict[str, Any], said: str
) -> None:
    cell = {"format": 1, "space": "handcrafted", "choices": [0]} | change
    (tmp_path / "cell.json").write_text(json.dumps(cell))
    line = refused(cli("mode=draw", "cell=cell.json"))
    assert "cell.json" in line or "space" in change
    assert said in line


def test_a_cell_file_that_is_not_json(cli: Cli, tmp_path: Path) -> None:
    (tmp_path / "cell.json").write_text("{")
    assert "cell.json cannot be read" in refused(cli("mode=draw", "cell=cell.json"))


def test_a_backbone_that_lacks_a_level_of_the_cell(cli: Cli) -> None:
    line = refused(cli("mode=cost", "cell=fpn_vanilla", "backbone.levels=[4,5]"))
    assert "3" in line


def test_an_unknown_timm_network(cli: Cli) -> None:
    line = refused(cli("mode=cost", "cell=fpn_vanilla", "backbone.name=resnet51"))
    assert "'resnet51'" in line
    assert "resnet50" in line


def make_set(folder: Path) -> Path:
    """Make four tiny images with one box each in COCO's layout; return the sheet."""
    images, sheets = folder / "train2017", folder / "annotations"
    images.mkdir(parents=True)
    sheets.mkdir()
    for number in range(4):
        picture = Image.new("RGB", (64, 64), (60 * number, 80, 90))
        picture.save(images / f"{number}.png")
    size = {"width": 64, "height": 64}
    entries = [{"id": n, "file_name": f"{n}.png", "scene": n, **size} for n in range(4)]
    box = {"category_id": 1, "iscrowd": 0, "bbox": [4, 8, 30, 20], "area": 600}
    boxes = [{"id": n, "image_id": n, **box} for n in range(4)]
    sheet = {
        "images": entries,
        "annotations": boxes,
        "categories": [{"id": 1, "name": "fish"}],
    }
    path = sheets / "instances_train2017.json"
    path.write_text(json.dumps(sheet))
    return path


def edited(sheet: Path, old: str, new: str) -> None:
    text = sheet.read_text()
    assert old in text
    sheet.write_text(text.replace(old, new))


def truncate(sheet: Path) -> None:
    sheet.write_text(sheet.read_text()[:100])


def empty(sheet: Path) -> None:
    content = json.loads(sheet.read_text())
    sheet.write_text(json.dumps({**content, "images": [], "annotations": []}))


def one_group(sheet: Path) -> None:
    for number in range(4):
        edited(sheet, f'"scene": {number}', '"scene": "reef"')


def remove_image(sheet: Path) -> None:
    (sheet.parents[1] / "train2017" / "2.png").unlink()


def break_image(sheet: Path) -> None:
    (sheet.parents[1] / "train2017" / "2.png").write_bytes(b"no image")


DAMAGES: dict[str, tuple[Callable[[Path], object], str]] = {
    "json": (truncate, "instances_train2017.json is not JSON"),
    "key": (lambda s: edited(s, "categories", "kinds"), "lacks the list 'categories'"),
    "category": (
        lambda s: edited(s, '"category_id": 1', '"category_id": 5'),
        "unknown category 5",
    ),
    "empty": (empty, "an empty split"),
    "nogroup": (lambda s: edited(s, '"scene"', '"place"'), "no field 'scene'"),
    "onegroup": (one_group, "data.group leaves one side"),
    "strict": (lambda s: edited(s, "[4, 8, 30", "[50, 8, 30"), "sticks out"),
    "missing": (remove_image, "2.png"),
    "broken": (break_image, "2.png"),
    "nowhere": (lambda s: shutil.rmtree(s.parents[1]), "no folder nowhere"),
}


def test_data_sets_that_are_not_as_they_must_be(cli: Cli, tmp_path: Path) -> None:
    """One sweep over all of them: torch is imported once, and every job is reached."""
    for name, (damage, _) in DAMAGES.items():
        damage(make_set(tmp_path / name))
    roots = f"data.root={','.join(DAMAGES)}"
    done = cli("--multirun", *SET, roots, "data.group=scene", "data.strict=true")
    assert done.code == 2, done.err
    lines = done.err.splitlines()
    assert len(lines) == len(DAMAGES), done.err
    for line, (name, (_, said)) in zip(lines, DAMAGES.items(), strict=True):
        assert line.startswith("error: "), line
        assert said in line, (name, line)


def test_boxes_are_clipped_once_and_a_nan_loss_fails_its_trial_alone(
    cli: Cli, tmp_path: Path
) -> None:
    edited(make_set(tmp_path / "set"), "[4, 8, 30", "[50, 8, 30")
    wild = ("recipe.lr=1e30", "recipe.clip=1e30")
    done = cli(*SET, *wild, "budget.trials=2", "data.root=set", "out=run")
    assert done.code == 0, done.err
    assert done.out.count("clipped") == 1, done.out
    told = json.loads((tmp_path / "run" / "summary.json").read_text())
    assert (told["trials"], told["failures"]) == (2, 2)
    assert "nan" in (tmp_path / "run" / "trials.csv").read_text().lower()
