"""The loop: ask, decode, canonical, find, evaluate, reward, append, tell."""

import math
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

from fpnbench.graph.canonical import canonical, digest
from fpnbench.graph.decision import cardinality, check_choices
from fpnbench.graph.errors import UserError
from fpnbench.graph.protocols import EvaluationError, Evaluator, Space
from fpnbench.graph.score import Score
from fpnbench.search.budget import Budget, Ending, tally_of
from fpnbench.search.ledger import Ledger
from fpnbench.search.resume import replay
from fpnbench.search.reward import Reward
from fpnbench.search.searcher import Searcher
from fpnbench.search.trial import Proposal, Trial


class Interrupted(BaseException):
    """The user wants to stop.

    Not a `KeyboardInterrupt`, which Lightning turns into `SystemExit(1)`.
    """


@dataclass(frozen=True, slots=True)
class Task:
    """What a search is about: where networks come from and what they are worth."""

    space: Space
    evaluator: Evaluator
    reward: Reward


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
    size = cardinality(task.space.decisions)
    tally = tally_of(ledger.trials())
    try:
        searcher.start(task.space, seed, folder)
        replay(searcher, ledger.trials(), warn)
        before = time.perf_counter()
        while not (ending := budget.ending(tally, searcher.spent(), size)):
            trial = run_trial(task, ledger, searcher.ask(), tally.trials)
            now = time.perf_counter()
            trial, before = replace(trial, wall_s=now - before), now
            ledger.append(trial)
            searcher.tell(trial)
            tally.add(trial)
            on_trial(trial)
    except (Interrupted, KeyboardInterrupt):
        return Ending("interrupted", "stopped by the user")
    return ending


def run_trial(task: Task, ledger: Ledger, proposal: Proposal, number: int) -> Trial:
    """Score one proposal, or tell again what is known of its network."""
    choices = check_choices(task.space.decisions, proposal.choices)
    genotype = canonical(task.space.decode(choices).restrict(task.evaluator.levels))
    epochs = task.evaluator.epochs if proposal.epochs is None else proposal.epochs
    asked = Trial(number, choices, digest(genotype), epochs, "failed", None, None)
    if known := ledger.find(asked.key, epochs):
        return repeat(asked, known)
    began = time.perf_counter()
    try:
        score = task.evaluator(genotype, epochs, task.evaluator.seed)
        return evaluation(asked, score, task.reward(score))
    except UserError:
        raise
    except Exception as error:
        return failure(asked, error, time.perf_counter() - began)


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
    text = " ".join(str(error).split())
    if not isinstance(error, EvaluationError):
        text = f"{type(error).__name__}: {text}"
    return replace(trial, reason=text[:500], seconds=seconds)
