"""One evaluation, really trained, on a handful of digit scenes."""

import math
from dataclasses import replace

import numpy as np
import pytest
import torch

from fpnbench.cli.build import build_evaluator
from fpnbench.graph.canonical import canonical
from fpnbench.graph.errors import UserError
from fpnbench.graph.protocols import EvaluationError
from fpnbench.graph.score import Score
from fpnbench.graph.trace import trace
from fpnbench.search.feasible import what_is_read
from fpnbench.search.searcher import uniform_choices
from fpnbench.train.fit import build_detector, detect_all, train_and_score
from fpnbench.train.module import ProxyModule
from fpnbench.train.proxy import ProxyTrainer
from fpnbench.train.records import WeightedAP, unpack


@pytest.fixture
def proxy(conf, tiny, tmp_path):
    def make(*overrides: str) -> ProxyTrainer:
        torch.set_num_threads(1)
        made = build_evaluator(
            conf(*tiny, "evaluator.epochs=2", f"evaluator.cache={tmp_path}", *overrides)
        )
        assert isinstance(made, ProxyTrainer)
        return made

    return make


@pytest.fixture
def cell(make_cell):
    return canonical(make_cell("fpn_vanilla", width=16).restrict((3, 4, 5, 6)))


def facts(score: Score) -> Score:
    """Everything but times."""
    curve = tuple(replace(point, cost_s=0.0) for point in score.curve)
    return replace(score, cost_s=0.0, curve=curve)


def test_score_depends_on_key_epochs_and_seed_alone(proxy, cell, make_cell) -> None:
    evaluate = proxy()
    other = canonical(make_cell("nasfpn", width=16).restrict((3, 4, 5, 6)))
    before = torch.random.get_rng_state()
    first = facts(evaluate(cell, 2, 0))
    evaluate(other, 1, 0)
    torch.rand(3)
    assert facts(evaluate(cell, 2, 0)) == first
    assert facts(proxy()(cell, 2, 0)) == first
    assert facts(evaluate(cell, 2, 1)).loss != first.loss
    torch.random.set_rng_state(before)
    evaluate(cell, 1, 0)
    assert torch.equal(torch.random.get_rng_state(), before)
    state = np.random.get_state()[1].copy()  # noqa: NPY002
    evaluate(cell, 1, 0)
    assert (np.random.get_state()[1] == state).all()  # noqa: NPY002


def test_score_says_what_it_cost(proxy, cell) -> None:
    evaluate = proxy()
    score = evaluate(cell, 2, 0)
    train, val = (len(side.records) for side in evaluate.sides[0])
    assert train + val == 16
    trained = 2 * (train // 4 * 4)
    assert score.images == trained + val
    pyramid = trace(cell, {3: 40, 4: 112, 5: 320}, 64)
    assert score.macs > pyramid.macs  # backbone and predictor come on top
    per_image = score.train_gmacs * 1e9 / (3 * trained + val)
    assert pyramid.macs < per_image < score.macs  # the frozen backbone is not computed
    assert [point.epoch for point in score.curve] == [1, 2]
    assert score.curve[-1].ap == score.ap
    assert score.curve[0].ap is None
    assert 0 <= score.ap <= 1


def test_training_lowers_the_loss(proxy, cell) -> None:
    curve = proxy()(cell, 6, 0).curve
    assert curve[-1].loss < 0.8 * curve[0].loss


def test_trained_backbone(proxy, cell) -> None:
    evaluate = proxy("backbone=resnet10", "evaluator.epochs=1")
    other = evaluate._backbone.channels
    assert set(other) == {3, 4, 5}
    score = evaluate(cell, 1, 0)
    assert facts(evaluate(cell, 1, 0)) == facts(score)
    trained = score.images - len(evaluate.sides[0][1].records)
    assert score.train_gmacs * 1e9 == pytest.approx(
        score.macs * (3 * trained + len(evaluate.sides[0][1].records))
    )


def test_workers_change_nothing(proxy, cell) -> None:
    """Each of two processes prepares its share; every image is scored once."""
    one, two = (proxy("recipe.batch=2", f"recipe.workers={n}") for n in (0, 2))
    assert facts(two(cell, 1, 0)) == facts(one(cell, 1, 0))


def test_loss_that_is_not_finite_fails_the_trial(proxy, cell) -> None:
    evaluate = proxy("recipe.lr=1e30", "recipe.clip=0")
    with pytest.raises(EvaluationError, match=r"loss.* is (nan|inf)") as failed:
        evaluate(cell, 3, 0)
    # it ends behind its first epoch, of three batches of four out of twelve images
    trained = len(evaluate.sides[0][0].records) // 4 * 4
    assert failed.value.images == trained
    one = facts(proxy()(cell, 1, 0))
    a_pass = one.train_gmacs / (3 * trained + len(evaluate.sides[0][1].records))
    assert failed.value.gmacs == pytest.approx(3 * trained * a_pass)


def test_other_errors_of_a_training_carry_their_cost_too(
    proxy, cell, monkeypatch
) -> None:
    evaluate, batches = proxy(), []

    def stop(module, batch, index):
        batches.append(index)
        if len(batches) == 3:
            raise MemoryError("too large")
        return step(module, batch, index)

    step = ProxyModule.training_step
    monkeypatch.setattr(ProxyModule, "training_step", stop)
    with pytest.raises(EvaluationError, match=r"^MemoryError: too large$") as failed:
        evaluate(cell, 2, 0)
    assert failed.value.images == 2 * 4


@pytest.mark.parametrize("space", ["nasfpn", "mnasfpn", "connsearch", "handcrafted"])
def test_an_image_that_no_stride_divides_is_trained_and_scored(
    proxy, make_space, space
) -> None:
    """75 pixels: maps of 10, 5, 3 and 2 cells, as TensorFlow's SAME rounds."""
    evaluate = proxy("image_px=75", "data.image_px=75", "evaluator.epochs=1")
    made = make_space(space, width=16)
    draws = uniform_choices(made.decisions, 0, 0)
    genotype = what_is_read(made.decode(draws), evaluate)
    score = evaluate(genotype, 1, 0)
    assert 0 <= score.ap <= 1
    assert math.isfinite(score.loss)
    pyramid = trace(genotype, evaluate._backbone.channels, 75)
    sides = [row.shape[1:] for row in pyramid.rows]
    assert {(10, 10), (5, 5), (3, 3)} <= set(sides)
    smaller = trace(genotype, evaluate._backbone.channels, 64)
    assert pyramid.macs > smaller.macs


@pytest.mark.parametrize("kind", ["cuda", "gpu"])
def test_an_accelerator_that_is_not_there_is_said_at_once(
    proxy, monkeypatch, kind
) -> None:
    for module in (torch.cuda, torch.backends.mps):
        monkeypatch.setattr(module, "is_available", lambda: False)
    with pytest.raises(UserError, match=f"evaluator.accelerator={kind}: there is none"):
        proxy(f"evaluator.accelerator={kind}")


def test_what_cannot_be_scored_is_said_before_the_cache_is_filled(
    proxy, cell, tmp_path
) -> None:
    with pytest.raises(UserError, match="image_px=32 is smaller than the stride of P6"):
        proxy("image_px=32", "data.image_px=32")(cell, 1, 0)
    evaluate = proxy("backbone.levels=[4,5]")
    with pytest.raises(UserError, match=r"takes backbone levels \[3, 4, 5\].*\[4, 5\]"):
        evaluate(cell, 1, 0)
    assert not list(tmp_path.glob("features-*"))


@pytest.mark.parametrize(
    ("override", "same"),
    [
        ("evaluator.seed=5", True),
        ("evaluator.epochs=7", True),
        ("evaluator.threads=1", True),
        ("repeats=3", True),
        ("seed=9", True),
        ("data.split_seed=1", False),
        ("data.seed=1", False),
        ("recipe.lr=1e-3", False),
        ("detector.prior=0.02", False),
        ("detector.levels=[3,4,5]", False),
        ("detector=retinanet", False),
        ("image_px=96", False),
        ("backbone.frozen=false", False),
    ],
)
def test_benchmark_changes_with_what_decides_a_score(proxy, override, same) -> None:
    assert (proxy().benchmark == proxy(override).benchmark) is same


def test_final_sides_are_all_of_train_and_val(proxy) -> None:
    evaluate = proxy()
    final = evaluate.for_final("val")
    assert [len(side.records) for side in final.sides[0]] == [16, 8]
    assert final.benchmark != evaluate.benchmark
    assert len(evaluate.sides[0][0].records) < 16


def test_folds_score_every_photo_by_a_network_that_has_not_seen_its_group(
    proxy,
) -> None:
    sides = proxy("evaluator.folds=3").sides
    assert len(sides) == 3
    scored = [record.image_id for _, val in sides for record in val.records]
    everything = proxy().for_final("val").sides[0][0].records
    assert sorted(scored) == sorted(record.image_id for record in everything)
    for train, val in sides:
        assert len(train.records) + len(val.records) == len(everything)
        groups = [{record.group for record in side.records} for side in (train, val)]
        assert not groups[0] & groups[1]
    sizes = [len(val.records) for _, val in sides]
    assert max(sizes) - min(sizes) <= 2


def test_the_score_of_folds_is_the_ap_of_all_photos_at_the_cost_of_all(
    proxy, cell
) -> None:
    evaluate = proxy("evaluator.folds=2", "evaluator.records=true")
    kept = []
    evaluate.keep = lambda *args: kept.append(args)
    score = evaluate(cell, 2, 0)
    ((genotype, epochs, seed, data),) = kept
    assert (genotype, epochs, seed) == (cell, 2, 0)
    records = unpack(data)
    assert len(records.objects_IK) == 16
    ones = np.ones(16, int)
    assert WeightedAP(records)(ones) == pytest.approx(score.ap, abs=1e-12)
    images = [len(train.records) // 4 * 4 * 2 for train, _ in evaluate.sides]
    assert score.images == sum(images) + 16
    assert evaluate.benchmark != proxy().benchmark
    assert evaluate.benchmark != proxy("evaluator.folds=4").benchmark


@pytest.mark.parametrize("folds", [1, 0, 99])
def test_folds_need_two_parts_and_a_group_for_each(proxy, folds) -> None:
    with pytest.raises(UserError, match=f"evaluator.folds={folds}: it must be from 2"):
        proxy(f"evaluator.folds={folds}")


def test_detections_of_a_trained_network_come_again_from_its_weights(
    proxy, cell
) -> None:
    (setting,) = proxy().settings
    trained = train_and_score(setting, cell, 2, 0)
    other = build_detector(setting, cell)
    other.load_state_dict(trained.detector.state_dict())
    for ours, theirs in zip(
        detect_all(setting, other), trained.detections, strict=True
    ):
        torch.testing.assert_close(ours.boxes_xyxy_N4, theirs.boxes_xyxy_N4)
        torch.testing.assert_close(ours.scores_N, theirs.scores_N)
