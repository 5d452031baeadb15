"""The instruments: labels that nothing tells but the cue, and cues out of reach."""

import importlib.util
import json
from functools import cache
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from scipy.stats import binom
from sklearn.datasets import load_digits
from sklearn.linear_model import LogisticRegression
from sklearn.neighbors import KNeighborsClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from fpnbench.cli.build import build, build_source
from fpnbench.cli.checks.assignment import bars, measure
from fpnbench.detect.detector import Detector
from fpnbench.detect.pyramid import FeaturePyramid
from fpnbench.graph.errors import UserError
from fpnbench.train.context import Layout, categories, compose_context
from fpnbench.train.data import search_split
from fpnbench.train.digits import FORMS, SIDES, Digits

GOLDEN = Path(__file__).parents[1] / "golden"
spec = importlib.util.spec_from_file_location("writer", GOLDEN / "write_digits.py")
writer = importlib.util.module_from_spec(spec)
spec.loader.exec_module(writer)

CONTEXTS = ("none", "down", "up", "both")
LAYOUT = Layout(192, (12, 16, 20, 24), (76, 84, 92), (60, 64, 68, 72), (1, 3), 60)
COARSE = 16  # what 1/16 of the resolution leaves of an image's side
PARTS = {"train": 320, "val": 160}
LEARNERS = {
    "logistic": make_pipeline(StandardScaler(), LogisticRegression(C=0.01)),
    "neighbours": make_pipeline(StandardScaler(), KNeighborsClassifier(5)),
}
every_context = pytest.mark.parametrize("context", CONTEXTS)


def scene(number, context="both", cue=0, mark=0, part="train", layout=LAYOUT):
    """Compose scene `number`; whatever cue and bar, the rest is drawn alike."""
    digits = load_digits_once()
    form = SIDES[part][number % len(SIDES[part])]
    chosen = slice(FORMS[form], FORMS[form + 1])
    told = {"context": context, "cue": cue, "mark": mark}
    rng = np.random.default_rng((part == "val", number))
    return compose_context(*(a[chosen] for a in digits), **told, layout=layout, rng=rng)


@cache
def load_digits_once():
    digits = load_digits()
    return (digits.images.astype(np.int64) * 255 // 16).astype(np.uint8), digits.target


def named(found, context, *words):
    """The boxes of the classes whose name begins with one of the words."""
    names = [categories(context)[label] for label in found.labels]
    boxes = zip(found.boxes_xyxy, names, strict=True)
    return [box for box, name in boxes if name.startswith(words)]


def crop(pixels, box, side):
    """What lies in a box, made `side` pixels wide and high, as a row of numbers."""
    part = Image.fromarray(pixels).crop(tuple(map(int, box)))
    return np.asarray(part.resize((side, side), Image.Resampling.BILINEAR)).ravel()


def at_sixteenth(pixels, box):
    """The same of the image at 1/16 of its resolution."""
    small = np.asarray(Image.fromarray(pixels).reduce(COARSE))
    x1, y1, x2, y2 = (*(box[:2] // COARSE), *(-(-box[2:] // COARSE)))
    return crop(small, (x1, y1, x2, y2), 8)


OWN = {
    "down": lambda found: crop(found.pixels, named(found, "both", "small")[0], 12),
    "up": lambda found: at_sixteenth(found.pixels, named(found, "both", "large")[0]),
}
TELLS = {
    "down": lambda found: crop(found.pixels, named(found, "both", "0", "1")[0], 8),
    "up": lambda found: crop(found.pixels, named(found, "both", "-", "|")[0], 6),
}


@cache
def many_scenes(part, count):
    """Scenes of `both` with a small digit, and their cues and marks: fair coins."""
    told = np.random.default_rng(len(part)).integers(0, 2, (count, 2))
    made = [scene(n, "both", *both, part=part) for n, both in enumerate(told)]
    kept = [n for n, found in enumerate(made) if named(found, "both", "small")]
    return [made[n] for n in kept], told[kept]


def hits(context, look, learner):
    """How many labels of new hands are right, and of how many; a scene asks once.

    Whatever is learned from what does not tell a coin is right as often as a coin.
    """
    rows, truths = {}, {}
    for part, count in PARTS.items():
        scenes, told = many_scenes(part, count)
        rows[part] = np.array([look(found) for found in scenes], float)
        truths[part] = told[:, 0 if context == "down" else 1]
    learner.fit(rows["train"], truths["train"])
    right = learner.predict(rows["val"]) == truths["val"]
    return int(right.sum()), len(right)


@pytest.mark.parametrize("learner", LEARNERS)
@pytest.mark.parametrize("context", OWN)
def test_a_label_cannot_be_read_where_it_must_not_be(context, learner):
    right, count = hits(context, OWN[context], LEARNERS[learner])
    low, high = binom.interval(0.99, count, 0.5)
    assert low <= right <= high


@pytest.mark.parametrize("context", TELLS)
def test_a_label_can_be_read_from_what_tells_it(context):
    """So the learner is able, and the test above can fail."""
    right, count = hits(context, TELLS[context], LEARNERS["logistic"])
    assert right > 0.9 * count


def names_of(found):
    return [categories("both")[label] for label in found.labels]


@pytest.mark.parametrize("number", range(6))
def test_the_other_cue_changes_its_square_and_the_small_ones_labels(number):
    one, other = (scene(number, cue=cue) for cue in (0, 1))
    (cue,) = named(one, "both", "0", "1")
    moved = (one.boxes_xyxy != other.boxes_xyxy).any(1)
    assert {names_of(one)[i] for i in np.flatnonzero(moved)} <= {"0"}
    ys, xs = np.nonzero(one.pixels != other.pixels)
    assert max(np.ptp(xs), np.ptp(ys)) < max(cue[2:] - cue[:2]) + 1
    for x1, y1, x2, y2 in named(one, "both", "small"):
        away = max(x1 - xs.max(), xs.min() - x2 + 1, y1 - ys.max(), ys.min() - y2 + 1)
        assert away > LAYOUT.gap
    swap = {"0": "1", "small with 0": "small with 1"}
    assert names_of(other) == [swap.get(name, name) for name in names_of(one)]
    assert {*swap} <= {*names_of(one)}


@pytest.mark.parametrize("number", range(6))
def test_the_other_mark_changes_a_few_pixels_that_are_gone_at_a_sixteenth(number):
    one, other = (scene(number, mark=mark) for mark in (0, 1))
    assert (one.boxes_xyxy == other.boxes_xyxy).all()
    changed = np.argwhere(one.pixels != other.pixels)
    assert len(changed) == 8
    for name in ("large", "-"):
        ((x1, y1, x2, y2),) = named(one, "both", name)
        assert ((changed >= (y1, x1)) & (changed < (y2, x2))).all()
    small = [np.asarray(Image.fromarray(s.pixels).reduce(COARSE)) for s in (one, other)]
    assert (small[0] == small[1]).all()
    swap = {"-": "|", "large with -": "large with |"}
    assert names_of(other) == [swap.get(name, name) for name in names_of(one)]
    assert {*swap} <= {*names_of(one)}


@pytest.mark.parametrize("number", range(6))
def test_the_finest_level_has_a_location_in_the_middle_of_a_mark(number):
    ((x1, y1, x2, y2),) = named(scene(number), "both", "-")
    assert ((x1 + x2) / 2 % 8, (y1 + y2) / 2 % 8) == (4, 4)


@pytest.fixture
def fine_logits(conf, make_cell):
    """P3's class scores of a network of random weights at the small digits' places."""

    def score(cell, found):
        torch.set_num_threads(1)
        cfg = conf("data=digits_context")
        backbone = build(cfg.backbone)()
        torch.manual_seed(0)
        pyramid = FeaturePyramid(make_cell(cell), backbone.channels)
        classes = len(categories("both"))
        head = build(cfg.detector)(
            in_channels=pyramid.out_channels,
            num_classes=classes,
            levels=(3, 4, 5, 6),
            image_px=192,
        )
        image = torch.from_numpy(found.pixels)[None, None].repeat(1, 3, 1, 1) / 255
        with torch.no_grad():
            logits = Detector(backbone, pyramid, head).eval()({0: image}).logits_BAK
        fine = logits[0, : 24 * 24].reshape(24, 24, classes)
        boxes = [b // 8 for b in named(found, "both", "small")]
        return torch.cat(
            [fine[y1 : y2 + 1, x1 : x2 + 1].flatten() for x1, y1, x2, y2 in boxes]
        )

    return score


@pytest.mark.parametrize(("cell", "sees"), [("no_fusion", 0), ("fpn_vanilla", 1)])
def test_the_finest_level_alone_does_not_reach_the_cue(fine_logits, cell, sees):
    with torch.random.fork_rng():
        for number in range(3):
            one, other = (fine_logits(cell, scene(number, cue=cue)) for cue in (0, 1))
            moved = (one - other).abs().max() / one.std()
            assert (moved > 1e-4) == bool(sees)


def test_scenes_are_the_recorded_bytes():
    golden = json.loads((GOLDEN / "digits_context.json").read_text())
    assert writer.context_digests() == golden


@pytest.fixture
def train(conf):
    """The training side of the preset, few scenes."""

    def split(context, *more):
        few = ("data.train_images=16", f"data.context={context}", *more)
        return build_source(conf("data=digits_context", *few)).split("train")

    return split


@every_context
def test_records_are_sound(train, context):
    found = train(context)
    assert found.categories == categories(context)
    seen = set()
    for record in found.records:
        names = [found.categories[label] for label in record.labels]
        marks = sum(name in ("-", "|") for name in names)
        assert marks == (context in ("up", "both"))
        boxes = record.boxes_xyxy[: len(names) - marks]
        sides = (boxes[:, 2:] - boxes[:, :2]).max(1)
        assert (sides > 8).all()
        assert (boxes >= 0).all()
        assert (boxes <= 192).all()
        assert (sides > 24).sum() == 2  # cue and large one
        assert 1 <= (sides <= 24).sum() <= 3
        seen |= set(record.labels.tolist())
        for i, (x1, y1, x2, y2) in enumerate(boxes.tolist()):
            for u1, v1, u2, v2 in boxes[:i].tolist():
                assert x1 >= u2 or x2 <= u1 or y1 >= v2 or y2 <= v1
    assert len(seen) == len(found.categories) or context == "none"


def test_things_stand_alike_whatever_is_asked(train):
    sets = [train(context) for context in ("down", "up", "both")]
    for down, *others in zip(*(found.records for found in sets), strict=True):
        for record in others:  # these have a mark more
            assert (record.boxes_xyxy[:-1] == down.boxes_xyxy).all()
    assert len({found.digest for found in sets}) == 3


def test_hands_are_those_of_the_plain_digits(train):
    plain = Digits("digits", 0, 64, {"train": 16}, (12,), (1, 1)).split("train")
    found = train("both")
    assert [r.group for r in found.records] == [r.group for r in plain.records]
    sides = search_split(found, 0, 0.25)
    hands = [{r.group for r in side.records} for side in sides]
    assert hands[0].isdisjoint(hands[1])


@every_context
def test_the_preset_holds_the_bars_of_the_audit(conf, context):
    result, _ = measure(conf("data=digits_context", f"data.context={context}"))
    assert [bar.name for bar in bars(result) if not bar.held] == []


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ("data.small_sizes=[]", r"data\.small_sizes=\[\]: 4 to 192 pixels"),
        ("data.cue_sizes=[300]", r"data\.cue_sizes=\[300\]: 4 to 192 pixels"),
        ("data.large_sizes=[96]", r"data\.large_sizes=\[96\]: 92 pixels are left"),
        ("data.large_sizes=[12]", r"data\.large_sizes: a digit of 12 pixels"),
        ("data.smalls=[3,2]", r"data\.smalls=\[3, 2\]: \[fewest, most\]"),
        ("data.gap=70", r"data\.gap=70: 0 to 68 pixels"),
        ("data.train_images=0", "0 train images, an empty split"),
        ("data.context=sideways", "sideways: it must be one of none, down, up, both"),
    ],
)
def test_impossible_settings_are_refused(train, wrong, message):
    with pytest.raises(UserError, match=message):
        train("both", wrong)


def test_an_unknown_context_is_one_line(cli):
    done = cli("mode=check", "what=assignment", "data=digits_context", "data.context=x")
    assert done.code == 2
    allowed = "it must be one of none, down, up, both"
    assert done.err.strip() == f"error: data.context=x: {allowed}"
