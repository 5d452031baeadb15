"""The loop on a tiny space, with a searcher that asks what it is given."""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import pytest

from fpnbench.graph.decision import Choices, Decision
from fpnbench.graph.errors import UserError
from fpnbench.graph.genotype import Genotype, Node
from fpnbench.graph.ops import Conv, Input
from fpnbench.graph.protocols import EvaluationError, Space
from fpnbench.graph.score import Score
from fpnbench.search.budget import parse_budget
from fpnbench.search.ledger import Ledger
from fpnbench.search.loop import Dedup, Interrupted, Known, Task, search
from fpnbench.search.reward import average_precision
from fpnbench.search.store import Place, ScoreStore
from fpnbench.search.trial import Proposal, Trial

LIMITS = {"max_failures": 3, "max_repeats": 4}
WIDTHS = (8, 16, 24, 32)


class TinySpace:
    """The width of one convolution counts, the second decision changes nothing."""

    name = "tiny"
    decisions = (Decision("width", WIDTHS), Decision("idle", (0, 1, 2)))

    def decode(self, choices: Choices) -> Genotype:
        conv = Conv(WIDTHS[choices[0]], 1, "none", bias=False)
        nodes = (Node(Input(3), ()), Node(conv, (0,)), Node(conv, (1,)))
        return Genotype(nodes, ((3, 1), (4, 2)))


@dataclass
class Script:
    """A searcher that proposes a list over and over and remembers what it is told."""

    proposals: Sequence[Proposal]
    asked: int = 0
    told: list[Trial] = field(default_factory=list)
    folder: Path | None = None

    def start(self, space: Space, seed: int, folder: Path | None) -> None:
        self.folder = folder

    def ask(self) -> Proposal:
        self.asked += 1
        return self.proposals[(self.asked - 1) % len(self.proposals)]

    def tell(self, trial: Trial) -> None:
        self.told.append(trial)

    def spent(self) -> tuple[float, int, float]:
        return 0.0, 0, 0.0


@dataclass
class Widths:
    """AP = width / 100; can be told to fail."""

    errors: dict[int, BaseException] = field(default_factory=dict)
    scores: dict[int, float] = field(default_factory=dict)
    calls: list[tuple[Genotype, int, int]] = field(default_factory=list)
    benchmark: str = "widths"
    epochs: int = 6
    seed: int = 11
    levels: tuple[int, ...] = (3,)
    shared: bool = True
    too_wide: int = 99

    def check(self, genotype: Genotype) -> None:
        op = genotype.nodes[1].op
        assert isinstance(op, Conv)
        if op.width >= self.too_wide:
            raise UserError(f"{op.width} channels are too many")

    def __call__(self, genotype: Genotype, epochs: int, seed: int) -> Score:
        self.calls.append((genotype, epochs, seed))
        op = genotype.nodes[1].op
        assert isinstance(op, Conv)
        if op.width in self.errors:
            raise self.errors[op.width]
        ap = self.scores.get(op.width, op.width / 100)
        none = (None, None, None, None, None)
        return Score(ap, *none, 1, 1, None, 2.0, 30, 0.5)


def ask(*widths: int, epochs: int | None = None) -> list[Proposal]:
    return [Proposal((WIDTHS.index(width), 0), epochs) for width in widths]


def ledger_of(*trials: Trial) -> Ledger:
    ledger = Ledger(
        decisions=TinySpace.decisions,
        benchmark="widths",
        folder=None,
        url=None,
        study="t",
    )
    for trial in trials:
        ledger.append(trial)
    return ledger


def go(
    proposals: Sequence[Proposal],
    evaluator: Widths | None = None,
    ledger: Ledger | None = None,
    dedup: Dedup = "replay",
    store: ScoreStore | None = None,
    known: Sequence[Known] = (),
    **limits: float,
) -> tuple[str, Script, Ledger, list[str]]:
    searcher, warnings = Script(proposals), []
    ledger = ledger or ledger_of()
    reward = average_precision
    task = Task(TinySpace(), evaluator or Widths(), reward, dedup, store, known)
    budget = parse_budget({**LIMITS, **limits})
    ending = search(task, searcher, ledger, budget, seed=0, warn=warnings.append)
    return ending.name, searcher, ledger, warnings


def test_scores_are_recorded_charged_and_told() -> None:
    evaluator = Widths()
    ending, searcher, ledger, _ = go(ask(8, 24), evaluator, evaluations=2)
    assert ending == "done"
    assert [trial.reward for trial in ledger.trials()] == [0.08, 0.24]
    first = ledger.trials()[0]
    assert (first.status, first.number, first.epochs) == ("evaluation", 0, 6)
    assert (first.seconds, first.images, first.gmacs) == (2.0, 30, 0.5)
    assert tuple(searcher.told) == ledger.trials()


def test_the_evaluator_gets_the_canonical_graph_of_the_levels_it_reads() -> None:
    evaluator = Widths()
    go(ask(8), evaluator, trials=1)
    genotype, epochs, seed = evaluator.calls[0]
    assert genotype.levels == (3,)
    assert len(genotype.nodes) == 2
    assert (epochs, seed) == (6, 11)


def test_the_same_network_is_never_trained_twice() -> None:
    evaluator = Widths()
    same = [Proposal((1, 0)), Proposal((1, 2)), Proposal((2, 0)), Proposal((1, 0))]
    _, _, ledger, _ = go(same, evaluator, trials=4)
    assert len(evaluator.calls) == 2
    statuses = [trial.status for trial in ledger.trials()]
    assert statuses == ["evaluation", "repeat", "evaluation", "repeat"]
    again = ledger.trials()[1]
    assert again.repeat_of == 0
    assert again.reward == ledger.trials()[0].reward
    assert (again.seconds, again.images, again.gmacs) == (0.0, 0, 0.0)


def test_another_fidelity_is_another_evaluation() -> None:
    evaluator = Widths()
    proposals = [*ask(8), *ask(8, epochs=12), *ask(8, epochs=6)]
    _, _, ledger, _ = go(proposals, evaluator, trials=3)
    assert [epochs for _, epochs, _ in evaluator.calls] == [6, 12]
    assert ledger.trials()[2].repeat_of == 0


@pytest.mark.parametrize(
    ("error", "reason"),
    [
        (EvaluationError("the loss is NaN\nin epoch 2"), "the loss is NaN in epoch 2"),
        (RuntimeError("out of memory"), "RuntimeError: out of memory"),
        (MemoryError(), "MemoryError"),
    ],
)
def test_a_failure_is_told_with_its_reason_and_the_search_goes_on(
    error: Exception, reason: str
) -> None:
    ending, searcher, ledger, _ = go(ask(8, 16, 24), Widths({16: error}), trials=3)
    assert ending == "done"
    failed = ledger.trials()[1]
    assert (failed.status, failed.reward) == ("failed", None)
    assert failed.reason.startswith(reason)
    assert 0 < failed.seconds <= failed.wall_s
    assert searcher.told[1] == failed
    assert searcher.told[2].reward == 0.24


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_a_reward_that_is_no_number_is_a_failure_and_charged(value: float) -> None:
    _, _, ledger, _ = go(ask(8), Widths(scores={8: value}), trials=1)
    trial = ledger.trials()[0]
    assert (trial.status, trial.reward, trial.score) == ("failed", None, None)
    assert trial.reason == f"the reward is {value}"
    assert trial.images == 30


def test_a_failure_is_charged_what_was_computed_until_then() -> None:
    error = EvaluationError("the loss is NaN", images=20, gmacs=0.25)
    _, _, ledger, _ = go(ask(8, 16), Widths({8: error}), trials=3)
    first, _, again = ledger.trials()
    assert (first.images, first.gmacs) == (20, 0.25)
    assert (again.images, again.gmacs) == (0, 0.0)


def test_networks_that_do_not_fit_are_infeasible_where_others_fit() -> None:
    evaluator = Widths(too_wide=24)
    ending, searcher, ledger, _ = go(ask(32, 24, 8, 32), evaluator, trials=4)
    assert ending == "done"  # though 3 failures in a row would end a run
    wide, also, fits, again = ledger.trials()
    assert (wide.status, also.status, again.status) == ("infeasible",) * 3
    assert wide.reason == "32 channels are too many"
    assert (wide.reward, wide.seconds, wide.images) == (None, 0.0, 0)
    assert again.repeat_of == wide.number
    assert wide.key != also.key
    assert fits.status == "evaluation"
    assert len(evaluator.calls) == 1
    assert tuple(searcher.told) == ledger.trials()


@pytest.mark.parametrize(
    ("evaluator", "said"),
    [
        (Widths(too_wide=8), "no network of the space tiny fits: 8 channels are too"),
        (Widths(levels=(5, 6)), r"fits: the detector reads levels \[5, 6\], the"),
    ],
)
def test_a_space_of_which_nothing_fits_is_refused_before_anything_is_asked(
    evaluator: Widths, said: str
) -> None:
    ledger, searcher = ledger_of(), Script(ask(8))
    task = Task(TinySpace(), evaluator, average_precision)
    budget = parse_budget({**LIMITS, "trials": 1})
    with pytest.raises(UserError, match=said):
        search(task, searcher, ledger, budget, seed=0)
    assert (searcher.asked, ledger.trials()) == (0, ())


def test_a_network_that_failed_fails_again_without_a_charge() -> None:
    evaluator = Widths({8: EvaluationError("the loss is NaN")})
    _, _, ledger, _ = go(ask(8, 16), evaluator, trials=3)
    again = ledger.trials()[2]
    assert len(evaluator.calls) == 2
    assert (again.status, again.repeat_of, again.seconds) == ("failed", 0, 0.0)
    assert again.reason == "the loss is NaN"


def test_a_mistake_of_the_users_ends_the_run_and_keeps_what_is_known() -> None:
    ledger = ledger_of()
    with pytest.raises(UserError, match="no such file"):
        go(ask(8, 16), Widths({16: UserError("no such file")}), ledger, trials=5)
    assert len(ledger.trials()) == 1


@pytest.mark.parametrize("signal", [Interrupted(), KeyboardInterrupt()])
def test_an_interrupt_keeps_what_is_finished(signal: BaseException) -> None:
    ending, _, ledger, _ = go(ask(8, 16), Widths({16: signal}), trials=5)
    assert ending == "interrupted"
    assert len(ledger.trials()) == 1


def test_a_searcher_that_repeats_itself_stalls_and_a_broken_one_stops() -> None:
    ending, _, ledger, _ = go(ask(8), trials=100)
    assert (ending, len(ledger.trials())) == ("stalled", 5)
    broken = Widths({width: EvaluationError("no") for width in WIDTHS})
    ending, _, ledger, _ = go(ask(8, 16, 24, 32), broken, trials=100)
    assert (ending, len(ledger.trials())) == ("failures", 3)


def test_a_space_of_which_all_is_known_ends_exhausted() -> None:
    every = [Proposal((first, second)) for first in range(4) for second in range(3)]
    ending, _, ledger, _ = go(every, trials=100)
    assert (ending, len(ledger.trials())) == ("exhausted", 12)


def test_a_continued_run_equals_an_uninterrupted_one() -> None:
    order = ask(8, 24, 8, 16, 32, 24)
    _, whole, full, _ = go(order, trials=6)
    ledger = ledger_of()
    go(order, ledger=ledger, trials=2)
    evaluator = Widths()
    ending, rest, ledger, warnings = go(order, evaluator, ledger, trials=6)

    assert ending == "done"
    assert timeless(ledger.trials()) == timeless(full.trials())
    assert timeless(rest.told) == timeless(whole.told)
    assert len(evaluator.calls) == 2
    assert not warnings


def test_what_an_interrupted_start_has_spent_does_not_end_a_run_without_a_trial():
    class Trained(Script):
        """Went through half of its own training before it was killed."""

        def spent(self) -> tuple[float, int, float]:
            return 99.0, 0, 0.0

    searcher, ledger = Trained(ask(8, 16, 24)), ledger_of()
    task = Task(TinySpace(), Widths(), average_precision)
    ending = search(
        task, searcher, ledger, parse_budget({**LIMITS, "seconds": 50}), seed=0
    )
    assert (ending.name, len(ledger.trials())) == ("done", 1)


def test_a_finished_run_is_over_at_once() -> None:
    ledger = ledger_of()
    go(ask(8, 24), ledger=ledger, trials=2)
    evaluator = Widths()
    ending, searcher, ledger, _ = go(ask(8, 24), evaluator, ledger, trials=2)
    assert (ending, searcher.asked, evaluator.calls) == ("done", 2, [])


def test_a_replay_that_differs_is_said_once_and_the_record_is_kept() -> None:
    ledger = ledger_of()
    go(ask(8, 24, 16), ledger=ledger, trials=3)
    before = ledger.trials()
    _, searcher, ledger, warnings = go(ask(8, 32, 32, 32), ledger=ledger, trials=4)
    assert ledger.trials()[:3] == before
    assert tuple(searcher.told[:3]) == before
    assert len(warnings) == 1
    assert warnings[0].startswith("trial 1 was recorded with choices [2, 0]")


def test_a_replay_at_other_epochs_is_said() -> None:
    ledger = ledger_of()
    go(ask(8, 24, epochs=2), ledger=ledger, trials=2)
    _, _, ledger, warnings = go(ask(8, 24, epochs=4), ledger=ledger, trials=2)
    (line,) = warnings
    assert "trial 0 was recorded" in line
    assert "at 4 epochs" in line


@dataclass
class Noisy(Widths):
    """AP = width / 100 + the evaluator seed / 1000."""

    def __call__(self, genotype: Genotype, epochs: int, seed: int) -> Score:
        score = super().__call__(genotype, epochs, seed)
        return replace(score, ap=score.ap + seed / 1000)


def timeless(trials: Sequence[Trial]) -> list[Trial]:
    return [replace(trial, wall_s=0.0) for trial in trials]


def test_retrain_scores_a_repeat_with_the_next_seed_and_tells_the_mean() -> None:
    evaluator = Noisy()
    same = [Proposal((1, 0)), Proposal((1, 2)), *ask(8), Proposal((1, 1))]
    _, searcher, ledger, _ = go(same, evaluator, dedup="retrain", trials=4)
    assert [seed for _, _, seed in evaluator.calls] == [11, 12, 11, 13]
    assert [trial.status for trial in ledger.trials()] == ["evaluation"] * 4
    assert [trial.evaluator_seed for trial in ledger.trials()] == [11, 12, 11, 13]
    rewards = [trial.reward for trial in searcher.told]
    assert rewards == pytest.approx([0.171, 0.1715, 0.091, 0.172])
    assert sum(trial.images for trial in ledger.trials()) == 120


def test_retrain_does_not_try_a_failed_network_again() -> None:
    evaluator = Widths({8: EvaluationError("the loss is NaN")})
    _, _, ledger, _ = go(ask(8, 16), evaluator, dedup="retrain", trials=3)
    assert len(evaluator.calls) == 2
    assert ledger.trials()[2].status == "failed"


def test_resample_asks_again_until_a_network_is_new() -> None:
    order = [Proposal((1, 0)), Proposal((1, 2)), Proposal((1, 1)), *ask(8)]
    _, searcher, ledger, _ = go(order, dedup="resample", trials=2)
    assert [trial.asks for trial in ledger.trials()] == [1, 3]
    assert [trial.status for trial in ledger.trials()] == ["evaluation"] * 2
    assert searcher.asked == 4
    assert len(searcher.told) == 2


def test_resample_that_finds_nothing_new_stalls() -> None:
    ending, searcher, ledger, _ = go(ask(8), dedup="resample", trials=9)
    assert ending == "stalled"
    assert [trial.asks for trial in ledger.trials()] == [1, 4]
    assert searcher.asked == 5


@pytest.mark.parametrize("dedup", ["retrain", "resample"])
def test_every_policy_continues_as_if_nothing_had_happened(dedup: Dedup) -> None:
    order = [Proposal((1, 0)), Proposal((1, 2)), *ask(8, 16, 24, 24, 32)]
    _, _, full, _ = go(order, Noisy(), dedup=dedup, trials=5)
    ledger = ledger_of()
    go(order, Noisy(), ledger, dedup=dedup, trials=2)
    _, _, ledger, warnings = go(order, Noisy(), ledger, dedup=dedup, trials=5)
    assert timeless(ledger.trials()) == timeless(full.trials())
    assert not warnings


def test_a_stored_score_is_charged_but_not_computed(tmp_path: Path) -> None:
    store = ScoreStore(tmp_path / "scores.sqlite", {}, print)
    first = Widths()
    _, _, empty, _ = go(ask(8, 16, 8), first, store=store, trials=3)
    assert len(first.calls) == 2
    second = Widths()
    _, searcher, full, _ = go(ask(8, 16, 8), second, store=store, trials=3)
    assert not second.calls
    assert [trial.stored for trial in full.trials()] == [True, True, False]
    unmarked = [replace(trial, stored=False) for trial in timeless(full.trials())]
    assert unmarked == timeless(empty.trials())
    assert searcher.told[0].reward == 0.08


def test_failures_are_not_stored_and_other_seeds_and_benchmarks_not_taken(
    tmp_path: Path,
) -> None:
    store = ScoreStore(tmp_path / "scores.sqlite", {}, print)
    go(ask(8), Widths({8: EvaluationError("no")}), store=store, trials=1)
    assert not list(store)
    go(ask(8), Widths(), store=store, trials=1)
    ((place),) = [row.place for row in store]
    assert (place.benchmark, place.seed, place.epochs) == ("widths", 11, 6)
    for other in (Widths(benchmark="b"), Widths(seed=12), Widths(epochs=7)):
        go(ask(8), other, store=store, trials=1)
        assert len(other.calls) == 1
    assert len(list(store)) == 4
    assert store.find(Place(place.key, "b", 11, 6)) is not None


def test_known_cells_are_scored_first_and_told_where_they_have_choices() -> None:
    space = TinySpace()
    ours = Known("ours", space.decode((2, 0)), (2, 0))
    foreign = Known("foreign", space.decode((3, 0)), ())
    order = ask(24, 8)
    _, searcher, ledger, _ = go(order, known=(foreign, ours), trials=4)
    assert [trial.cell for trial in ledger.trials()] == ["foreign", "ours", "", ""]
    assert [trial.reward for trial in ledger.trials()] == [0.32, 0.24, 0.24, 0.08]
    assert ledger.trials()[2].status == "repeat"
    assert [trial.number for trial in searcher.told] == [1, 2, 3]
    for stop in (1, 2, 3):
        partly = ledger_of(*ledger.trials()[:stop])
        _, _, again, warnings = go(order, None, partly, known=(foreign, ours), trials=4)
        assert timeless(again.trials()) == timeless(ledger.trials())
        assert not warnings
