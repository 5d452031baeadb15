"""The supernet on a tiny real task: training, resume, what it proposes and spends."""

import csv
import json
import sys
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from omegaconf import DictConfig, OmegaConf
from torch import nn

import searchers
from fpnbench.cli.build import attach, build_evaluator, build_searcher, build_space
from fpnbench.detect.cost import detector_cost
from fpnbench.graph.canonical import canonical, digest
from fpnbench.graph.errors import UserError
from fpnbench.graph.protocols import Space
from fpnbench.search.budget import parse_budget
from fpnbench.search.loop import Task
from fpnbench.search.trial import Trial
from fpnbench.train.fit import build_detector, derived_seed
from fpnbench.train.module import TrainBatches
from fpnbench.train.proxy import ProxyTrainer
from fpnbench.train.shared import recalculate_norms, shared_scores
from fpnbench.train.shared_paths import draw

pytest.importorskip("nni")

EPOCHS, PATHS, BATCHES = 2, 4, 2
SHORT = (
    "space=nasfpn_3to6",
    "searcher=supernet",
    f"searcher.epochs={EPOCHS}",
    f"searcher.paths={PATHS}",
    f"searcher.norm_batches={BATCHES}",
    "evaluator.accelerator=cpu",
)
Case = tuple[DictConfig, Space, ProxyTrainer]


class Kill(BaseException):
    """What a kill is to code: nothing may catch it."""


@pytest.fixture(scope="module")
def kept() -> dict[str, Any]:
    return {}


@pytest.fixture
def case(
    conf: Callable[..., DictConfig],
    tiny: tuple[str, ...],
    kept: dict[str, Any],
    tmp_path_factory: pytest.TempPathFactory,
) -> Case:
    if "case" not in kept:
        cache = tmp_path_factory.mktemp("cache")
        cfg = conf(*SHORT, *tiny, f"evaluator.cache={cache}")
        kept["case"] = cfg, build_space(cfg), build_evaluator(cfg)
    found: Case = kept["case"]
    return found


@pytest.fixture
def whole(case: Case, kept: dict[str, Any], tmp_path_factory: Any) -> Path:
    """The folder of a run that was never stopped, with three proposals in `kept`."""
    if "folder" not in kept:
        kept["folder"] = tmp_path_factory.mktemp("whole") / "searcher"
        searcher = started(case, kept["folder"])
        kept["proposed"] = [searcher.ask().choices for _ in range(3)]
        kept["spent"] = searcher.spent()
    folder: Path = kept["folder"]
    return folder


def started(case: Case, folder: Path | None, **settings: Any) -> Any:
    cfg, space, evaluator = case
    changed = OmegaConf.merge(cfg, {"searcher": settings})
    searcher: Any = build_searcher(changed)  # type: ignore[arg-type]
    searcher.attach(evaluator)
    searcher.start(space, 0, folder)
    return searcher


def table(path: Path) -> list[dict[str, str]]:
    with path.open(newline="") as file:
        return list(csv.DictReader(file))


def without_seconds(path: Path) -> list[dict[str, str]]:
    return [{k: v for k, v in row.items() if k != "seconds"} for row in table(path)]


def numbers(row: dict[str, str]) -> tuple[int, ...]:
    return tuple(map(int, row["choices"].split()))


def test_the_best_paths_are_proposed_and_none_twice(
    whole: Path, kept: dict[str, Any]
) -> None:
    rows = table(whole / "paths.csv")
    assert len(rows) == PATHS
    ranked = sorted(rows, key=lambda row: (-float(row["ap"]), float(row["loss"])))
    assert kept["proposed"] == [numbers(row) for row in ranked[:3]]


def test_what_it_takes_is_counted_by_hand(
    case: Case, whole: Path, kept: dict[str, Any]
) -> None:
    """MACs by the detector that would be trained: 3 a trained image, 1 a seen one."""
    _, space, evaluator = case
    setting = evaluator.settings[0]

    def macs(choices: tuple[int, ...]) -> int:
        form = canonical(space.decode(choices).restrict(evaluator.levels))
        head = build_detector(setting, form).head
        sizes = setting.channels, setting.backbone_cost
        assert isinstance(head, nn.Module)
        cost = detector_cost(form, *sizes, head, setting.image_px)
        assert cost.backbone.macs > 0
        return cost.pyramid.macs + cost.predictor.macs

    seed = derived_seed("supernet", 0)
    steps = len(setting.train) // 4 * EPOCHS
    drawn = [draw(space.decisions, "fair", seed, step) for step in range(steps)]
    trained = sum(3 * 4 * macs(choices) for choices in drawn)
    rows = table(whole / "paths.csv")
    each = BATCHES * 4 + len(setting.val)
    scored = sum(each * macs(numbers(row)) for row in rows)
    seconds, images, gmacs = kept["spent"]
    assert images == steps * 4 + PATHS * each
    assert gmacs == pytest.approx((trained + scored) / 1e9)
    told = [*table(whole / "epochs.csv"), *rows]
    assert seconds == pytest.approx(sum(float(row["seconds"]) for row in told))


def test_a_finished_run_goes_on_without_training_or_scoring(
    case: Case, whole: Path, kept: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    def never(*_: object) -> None:
        raise AssertionError("trained again")

    monkeypatch.setattr("searchers.supernet.train_supernet", never)
    searcher = started(case, whole)
    assert searcher.spent() == kept["spent"]
    assert [searcher.ask().choices for _ in range(3)] == kept["proposed"]
    assert searcher.val_queries == PATHS


def test_killed_anywhere_it_ends_as_if_it_had_not_been(
    case: Case, whole: Path, kept: dict[str, Any], tmp_path: Path
) -> None:
    """After the first epoch, and after the second path."""
    for what, limit in (("epoch", 1), ("paths", 2), ("nothing", 0)):
        searcher = started(case, tmp_path)

        def stop(
            told: str, done: int, _: int, what: str = what, limit: int = limit
        ) -> None:
            if what in told and done == limit:
                raise Kill

        searcher._progress = stop
        if what != "nothing":
            with pytest.raises(Kill):
                searcher.ask()
            assert searcher.spent()[1] > 0  # what was trained until then is charged
    assert [searcher.ask().choices for _ in range(3)] == kept["proposed"]
    for name in ("epochs.csv", "paths.csv"):
        assert without_seconds(tmp_path / name) == without_seconds(whole / name)
    states = [torch.load(f / "weights.pt") for f in (tmp_path, whole)]
    assert states[0].keys() == states[1].keys()
    assert all(torch.equal(states[0][name], states[1][name]) for name in states[0])
    assert not (tmp_path / "training.ckpt").exists()


def test_known_networks_are_passed_over_and_more_are_looked_at(
    case: Case, whole: Path, kept: dict[str, Any], tmp_path: Path
) -> None:
    for file in whole.iterdir():
        (tmp_path / file.name).write_bytes(file.read_bytes())
    searcher = started(case, tmp_path)
    rows = table(tmp_path / "paths.csv")
    best = next(row for row in rows if numbers(row) == kept["proposed"][0])
    trial = Trial(0, numbers(best), best["key"], 6, "evaluation", 0.5, None)
    searcher.tell(trial)
    proposed = [searcher.ask().choices for _ in range(PATHS)]
    assert proposed[:2] == kept["proposed"][1:3]
    assert kept["proposed"][0] not in proposed
    assert len(set(proposed)) == PATHS  # three of those known, and a new one
    assert len(table(tmp_path / "paths.csv")) == 2 * PATHS


def test_a_score_hangs_on_no_other_path(case: Case, whole: Path) -> None:
    """Batch norms are recalculated: whatever ran before leaves no trace."""
    _, space, evaluator = case
    searcher = started(case, whole)
    searcher._score(numbers(table(whole / "paths.csv")[0]))
    vectors = [numbers(row) for row in table(whole / "paths.csv")]
    for order in (vectors, vectors[::-1]):
        scores = shared_scores(evaluator, space, searcher._weights, order, BATCHES)
        found = dict(zip(order, scores, strict=True))
        for row in table(whole / "paths.csv"):
            assert repr(found[numbers(row)].ap) == row["ap"]
            assert found[numbers(row)].loss == pytest.approx(float(row["loss"]))


def test_recalculated_norms_are_the_mean_over_the_batches(case: Case) -> None:
    _, space, evaluator = case
    setting = evaluator.settings[0]
    choices = draw(space.decisions, "uniform", 0, 0)
    form = canonical(space.decode(choices).restrict(evaluator.levels))
    detector = build_detector(setting, form)
    layer = next(m for m in detector.modules() if isinstance(m, nn.BatchNorm2d))
    layer.running_mean.fill_(1e6)  # type: ignore[union-attr]
    seen: list[torch.Tensor] = []
    layer.register_forward_hook(lambda _, inputs, __: seen.append(inputs[0]))
    assert recalculate_norms(setting, detector, 3) == 12
    means = torch.stack([x.mean((0, 2, 3)) for x in seen])
    variances = torch.stack([x.var((0, 2, 3)) for x in seen])
    assert len(seen) == 3
    assert not detector.training
    assert layer.running_mean is not None
    assert layer.running_var is not None
    torch.testing.assert_close(layer.running_mean, means.mean(0))
    torch.testing.assert_close(layer.running_var, variances.mean(0))
    assert len(TrainBatches(setting.train, setting.recipe, 0, 0)) >= 3


def test_a_fair_deck_deals_every_option_once_a_cycle(case: Case) -> None:
    decisions = case[1].decisions
    for sampling in ("fair", "uniform"):
        drawn = [draw(decisions, sampling, 3, step) for step in range(24)]  # type: ignore[arg-type]
        assert drawn == [draw(decisions, sampling, 3, step) for step in range(24)]  # type: ignore[arg-type]
        assert drawn != [draw(decisions, sampling, 4, step) for step in range(24)]  # type: ignore[arg-type]
        fair = []
        for place, decision in enumerate(decisions):
            size = len(decision.options)
            for start in range(0, 24 - size + 1, size):
                dealt = Counter(each[place] for each in drawn[start : start + size])
                fair.append(dealt == Counter(range(size)))
        assert all(fair) == (sampling == "fair")


def test_a_folder_of_another_supernet_is_refused(
    case: Case, whole: Path, conf: Callable[..., DictConfig]
) -> None:
    with pytest.raises(UserError, match=r"another share \(slot there, position now\)"):
        started(case, whole, share="position")
    cfg, _, evaluator = case
    # Another width: the same decisions, other networks.
    other = build_space(conf("space=nasfpn_3to6", "width=32"))
    with pytest.raises(UserError, match=r"another space \(nasfpn_3to6 "):
        started((cfg, other, evaluator), whole)


def test_bad_settings_are_named(case: Case) -> None:
    for name, value in (
        *(("epochs", 0), ("share", "all"), ("sampling", "x"), ("kernel", "x")),
        *(("paths", 0), ("norm_batches", -1)),
    ):
        with pytest.raises(UserError, match=f"{name}={value}"):
            started(case, None, **{name: value})


def test_it_needs_a_task_with_weights(
    case: Case, conf: Callable[..., DictConfig]
) -> None:
    cfg, space, _ = case
    searcher: Any = build_searcher(cfg)
    toy = build_evaluator(conf("evaluator=toy"))
    with pytest.raises(UserError, match="evaluator=proxy, Toy"):
        searcher.attach(toy)
    searcher.start(space, 0, None)
    with pytest.raises(UserError, match="needs an evaluator"):
        searcher.ask()


def test_a_budget_that_ends_before_the_first_proposal_is_refused(case: Case) -> None:
    cfg, space, evaluator = case
    task = Task(space, evaluator, lambda score: score.ap or 0.0)
    limits = {**dict.fromkeys(("trials", "evaluations", "seconds")), "max_failures": 10}
    # 12 images an epoch; 2 batches of 4 and 4 of search-val a path
    images = EPOCHS * 12 + PATHS * (BATCHES * 4 + 4)
    for name, value in (("images", images), ("gmacs", 1e-6)):
        budget = parse_budget({**limits, "max_repeats": 9, name: value})
        with pytest.raises(UserError, match=f"budget.{name}=.*before the first"):
            attach(build_searcher(cfg), task, budget)
    attach(
        build_searcher(cfg),
        task,
        parse_budget({**limits, "max_repeats": 9, "images": images + 1}),
    )


def test_without_nni_the_extra_is_named(
    monkeypatch: pytest.MonkeyPatch, conf: Callable[..., DictConfig]
) -> None:
    for name in ("supernet", "supernet_nni"):
        monkeypatch.delattr(searchers, name, raising=False)
        monkeypatch.delitem(sys.modules, f"searchers.{name}", raising=False)
    monkeypatch.setitem(sys.modules, "nni", None)
    with pytest.raises(UserError, match=r"pip install -e \.\[nni\]"):
        build_searcher(conf("searcher=supernet"))
    assert build_searcher(conf("searcher=random"))


def test_a_search_ends_with_its_cost_and_queries(
    case: Case, cli: Callable[..., Any], tiny: tuple[str, ...], tmp_path: Path
) -> None:
    cache = f"evaluator.cache={case[0].evaluator.cache}"
    args = (*SHORT, *tiny, cache, "budget.evaluations=2", "out=run", "store=null")
    code, out, err = cli(*args)
    assert code == 0, err
    told = json.loads((tmp_path / "run" / "summary.json").read_text())
    trials = table(tmp_path / "run" / "trials.csv")
    assert told["val_queries"] == 2 + PATHS
    spent = EPOCHS * 12 + PATHS * (BATCHES * 4 + 4)
    assert told["images"] == spent + sum(int(row["images"]) for row in trials)
    assert len({row["key"] for row in trials}) == 2
    assert 100 < told["peak_memory_mb"] < 8000
    assert "6 networks scored on it" in out


def test_digest_of_a_path_is_the_trials(case: Case, whole: Path) -> None:
    """So that what is told is known again."""
    _, space, evaluator = case
    for row in table(whole / "paths.csv"):
        read = space.decode(numbers(row)).restrict(evaluator.levels)
        assert digest(canonical(read)) == row["key"]
