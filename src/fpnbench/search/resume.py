"""Resuming: the recorded trials go through the same calls again, no state is pickled.

Source: PyGlove recovers its algorithms the same way (`DNAGenerator.recover`).
"""

from collections.abc import Callable, Mapping, Sequence

from fpnbench.graph.errors import UserError
from fpnbench.search.searcher import Searcher
from fpnbench.search.trial import Trial

Flat = Mapping[str, object]
"""A configuration as dotted keys and plain values."""


def replay(
    searcher: Searcher, trials: Sequence[Trial], warn: Callable[[str], None]
) -> None:
    """Ask and tell every recorded trial, in the order of one worker.

    The searcher is told what was recorded even where it now proposes something else
    (a float may differ in its last bit on another machine); one warning names the
    first such trial.
    """
    same = True
    for trial in trials:
        if trial.cell:
            if trial.choices:
                searcher.tell(trial)
            continue
        for _ in range(trial.asks):
            proposal = searcher.ask()
        other = proposal.epochs not in (None, trial.epochs)
        if same and (other or proposal.choices != trial.choices):
            same = False
            epochs = f" at {proposal.epochs} epochs" if other else ""
            warn(
                f"trial {trial.number} was recorded with choices "
                f"{list(trial.choices)}, the searcher now proposes "
                f"{list(proposal.choices)}{epochs}; the recorded ones are kept"
            )
        searcher.tell(trial)


def check_same_run(recorded: Flat, current: Flat, folder: str) -> None:
    """Refuse to continue a run under another configuration.

    Where `space` differs, the keys below it (`space.width`, ...) are not named.

    Raises:
        UserError: names the keys that differ, with both values.
    """
    absent = "(absent)"
    differing = [
        key
        for key in sorted({*recorded, *current})
        if recorded.get(key, absent) != current.get(key, absent)
    ]
    named = [
        f"{key}: {recorded.get(key, absent)} there, {current.get(key, absent)} now"
        for key in differing
        if key.split(".")[0] not in differing or "." not in key
    ]
    if named:
        raise UserError(
            f"{folder} holds a run of another configuration ({'; '.join(named)}); "
            "give another out="
        )
