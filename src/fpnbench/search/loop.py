"""The loop: ask, decode, canonical, find, evaluate, reward, append, tell."""

import math
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from statistics import fmean
from typing import Literal

from fpnbench.graph.canonical import canonical, digest
from fpnbench.graph.decision import Choices, cardinality, check_choices
from fpnbench.graph.errors import UserError
from fpnbench.graph.genotype import Genotype
from fpnbench.graph.protocols import EvaluationError, Evaluator, Space
from fpnbench.graph.score import Score
from fpnbench.search.budget import Budget, Ending, tally_of
from fpnbench.search.feasible import check_space, what_is_read
from fpnbench.search.ledger import Ledger
from fpnbench.search.resume import replay
from fpnbench.search.reward import Reward
from fpnbench.search.searcher import Searcher
from fpnbench.search.store import Place, ScoreStore
from fpnbench.search.trial import Proposal, Status, Trial

NOTHING = 0.0, 0, 0.0
"""(seconds, images, gmacs) that a searcher has spent before it is first asked."""
Dedup = Literal["replay", "retrain", "resample"]
"""What becomes of a repeat, a network known at the same epochs.

`replay` tells the recorded reward again, at no charge; `retrain` trains it with the
next evaluator seed, charges that, and tells the mean; `resample` asks the searcher for
another proposal.
"""


class Interrupted(BaseException):
    """The user wants to stop.

    Not a `KeyboardInterrupt`, which Lightning turns into `SystemExit(1)`.
    """


@dataclass(frozen=True, slots=True)
class Known:
    """A cell that is scored before the searcher is asked.

    Attributes:
        name: of the cell.
        genotype: what it decodes to, all levels.
        choices: its vector in the run's space, empty if it is of another space.
    """

    name: str
    genotype: Genotype
    choices: Choices


@dataclass(frozen=True, slots=True)
class Task:
    """What a search is about: where networks come from and what they are worth.

    Attributes:
        dedup: what becomes of a network that was scored before, see `Dedup`.
        store: scores of all runs; None: every network is evaluated.
        known: cells that are scored first.
    """

    space: Space
    evaluator: Evaluator
    reward: Reward
    dedup: Dedup = "replay"
    store: ScoreStore | None = None
    known: Sequence[Known] = ()


def search(
    task: Task,
    searcher: Searcher,
    ledger: Ledger,
    budget: Budget,
    *,
    seed: int,
    folder: Path | None = None,
    on_trial: Callable[[Trial], None] = lambda trial: None,
    warn: Callable[[str], None] = lambda message: None,
) -> Ending:
    """Run a search until its budget ends it, after replaying what `ledger` holds.

    Args:
        task: space, evaluator and reward.
        searcher: not yet started.
        ledger: every finished trial is appended to it before the searcher is told.
        budget: the limits.
        seed: the searcher's seed; the evaluator has its own.
        folder: the searcher's place for checkpoints.
        on_trial: called after every new trial.
        warn: called with a line if the replay differs from the record.

    Raises:
        UserError: whatever the space or evaluator refuses as the user's mistake.
    """
    check_space(task.space, task.evaluator)
    size = cardinality(task.space.decisions)
    tally = tally_of(ledger.trials())
    try:
        searcher.start(task.space, seed, folder)
        replay(searcher, ledger.trials(), warn)
        before = time.perf_counter()
        while True:
            # Before it was asked, nothing: what an interrupted start has left is part
            # of its first proposal, as it would be without the interruption.
            asked = tally.trials > len(task.known)
            spent = searcher.spent() if asked else NOTHING
            if ending := budget.ending(tally, spent, size):
                break
            if tally.trials < len(task.known):
                trial = run_known(task, ledger, tally.trials)
            else:
                trial = run_next(task, ledger, searcher, tally.trials, budget)
            now = time.perf_counter()
            trial, before = replace(trial, wall_s=now - before), now
            ledger.append(trial)
            if trial.choices:
                searcher.tell(trial)
            tally.add(trial)
            on_trial(trial)
    except (Interrupted, KeyboardInterrupt):
        return Ending("interrupted", "stopped by the user")
    return ending


def run_known(task: Task, ledger: Ledger, number: int) -> Trial:
    """Score one of the cells that come first."""
    cell = task.known[number]
    genotype = what_is_read(cell.genotype, task.evaluator)
    asked = Trial(
        number,
        cell.choices,
        digest(genotype),
        task.evaluator.epochs,
        "failed",
        None,
        None,
        cell=cell.name,
    )
    return run_trial(task, ledger, asked, genotype)


def run_next(
    task: Task, ledger: Ledger, searcher: Searcher, number: int, budget: Budget
) -> Trial:
    """Score what the searcher proposes; `resample` asks again for what is known."""
    asked, genotype = decode(task, searcher.ask(), number)
    asks = 1
    while task.dedup == "resample" and ledger.find(asked.key, asked.epochs):
        if asks == budget.max_repeats:
            break
        asked, genotype = decode(task, searcher.ask(), number)
        asks += 1
    return run_trial(task, ledger, replace(asked, asks=asks), genotype)


def decode(task: Task, proposal: Proposal, number: int) -> tuple[Trial, Genotype]:
    """Turn a proposal into a trial to be filled in, and its canonical network.

    A network that does not fit the evaluator, while others of the space do, is
    infeasible.
    """
    choices = check_choices(task.space.decisions, proposal.choices)
    whole = task.space.decode(choices)
    epochs = task.evaluator.epochs if proposal.epochs is None else proposal.epochs
    status: Status = "failed"  # until it is scored
    reason = ""
    try:
        genotype = what_is_read(whole, task.evaluator)
    except UserError as error:
        genotype, status, reason = canonical(whole), "infeasible", str(error)
    key = digest(genotype)
    asked = Trial(number, choices, key, epochs, status, None, None, reason=reason)
    return asked, genotype


def run_trial(task: Task, ledger: Ledger, asked: Trial, genotype: Genotype) -> Trial:
    """Score one network, or tell again what is known of it.

    With `retrain` it is scored with the next evaluator seed, and the mean of all its
    scores' rewards is told. A network that failed is not tried again.
    """
    before = ledger.find(asked.key, asked.epochs)
    if asked.status == "infeasible" and not before:
        return asked
    scored = [trial for trial in before if trial.status == "evaluation"]
    if before and (task.dedup != "retrain" or not scored):
        return repeat(asked, before[0])
    asked = replace(asked, evaluator_seed=task.evaluator.seed + len(scored))
    began = time.perf_counter()
    try:
        score, stored = measure(task, asked, genotype)
        rewards = [task.reward(each.score) for each in scored if each.score is not None]
        reward = fmean([*rewards, task.reward(score)])
        return evaluation(replace(asked, stored=stored), score, reward)
    except UserError:
        raise
    except Exception as error:
        return failure(asked, error, time.perf_counter() - began)


def measure(task: Task, asked: Trial, genotype: Genotype) -> tuple[Score, bool]:
    """Return a network's score, and whether it came from the store."""
    seed, epochs = asked.evaluator_seed, asked.epochs
    place = Place(asked.key, task.evaluator.benchmark, seed, epochs)
    if task.store is not None and (known := task.store.find(place)):
        return known, True
    score = task.evaluator(genotype, epochs, seed)
    if task.store is not None:
        task.store.add(place, score)
    return score, False


def evaluation(trial: Trial, score: Score, reward: float) -> Trial:
    """Record a new score and charge its cost; a reward must be a finite number."""
    finite = math.isfinite(reward)
    return replace(
        trial,
        status="evaluation" if finite else "failed",
        reward=reward if finite else None,
        score=score if finite else None,
        reason="" if finite else f"the reward is {reward}",
        seconds=score.cost_s,
        images=score.images,
        gmacs=score.train_gmacs,
    )


def repeat(trial: Trial, known: Trial) -> Trial:
    """Tell the recorded outcome of the same network again, without a charge.

    The outcome of a failure is a failure.
    """
    return replace(
        trial,
        status="repeat" if known.status == "evaluation" else known.status,
        reward=known.reward,
        score=known.score,
        repeat_of=known.number,
        reason=known.reason,
    )


def failure(trial: Trial, error: Exception, seconds: float) -> Trial:
    """Record why a network could not be scored, charged with what it really cost.

    Any exception fails its trial alone (one network may need too much memory while
    the others fit); a broken set-up ends the run by `budget.max_failures`.
    """
    text, images, gmacs = " ".join(str(error).split()), 0, 0.0
    if isinstance(error, EvaluationError):
        images, gmacs = error.images, error.gmacs
    else:
        text = f"{type(error).__name__}: {text}"
    return replace(
        trial, reason=text[:500], seconds=seconds, images=images, gmacs=gmacs
    )
