"""Ledger: what one run asked and was told; alone knows Optuna's study and storage.

One durable write per finished trial: a frozen trial is added with its parameters under
their readable names (`optuna-dashboard` opens the file as it is), raw metrics beside
them. Optuna's own trial number is the order of telling, ours the order of asking.
"""

from collections.abc import Sequence
from dataclasses import asdict, fields
from pathlib import Path
from typing import Any

import optuna
from optuna.distributions import CategoricalDistribution
from optuna.exceptions import StorageInternalError
from optuna.storages import BaseStorage, InMemoryStorage, RDBStorage
from optuna.trial import FrozenTrial, TrialState, create_trial
from sqlalchemy.exc import SQLAlchemyError

from fpnbench.graph.decision import Decision
from fpnbench.graph.errors import UserError
from fpnbench.graph.score import read_score
from fpnbench.search.trial import Trial

SPACE, BENCHMARK = "decisions", "benchmark"
"""Attributes of the study: what its trials chose from, and what scored them."""


class Ledger:
    """All finished trials of one run, kept in an Optuna study.

    Args:
        decisions: the space's decisions.
        benchmark: id of what scores the trials.
        folder: the run folder, what `{folder}` in `url` stands for.
        url: an SQLAlchemy URL; None keeps everything in memory.
        study: name of the study within the storage.

    Raises:
        UserError: the storage cannot be opened, or holds a run of another space or
            benchmark.
    """

    def __init__(
        self,
        *,
        decisions: Sequence[Decision],
        benchmark: str,
        folder: Path | None,
        url: str | None,
        study: str,
    ) -> None:
        optuna.logging.set_verbosity(optuna.logging.WARNING)
        self._decisions = tuple(decisions)
        self._url = url.format(folder=folder) if url else "memory"
        try:
            self._storage: BaseStorage = (
                RDBStorage(self._url) if url else InMemoryStorage()
            )
            self._study = optuna.create_study(
                storage=self._storage,
                study_name=study,
                direction="maximize",
                load_if_exists=True,
            )
            frozen = self._study.get_trials(deepcopy=False)
            if frozen:
                self._check(benchmark)
            else:
                self._study.set_user_attr(SPACE, _plain(self._decisions))
                self._study.set_user_attr(BENCHMARK, benchmark)
        except (SQLAlchemyError, StorageInternalError) as error:
            raise _unusable(self._url, error) from error
        recorded = sorted(map(_thaw, frozen), key=lambda trial: trial.number)
        self._trials: list[Trial] = recorded
        self._of: dict[tuple[str, int], list[Trial]] = {}
        for trial in recorded:
            self._of.setdefault((trial.key, trial.epochs), []).append(trial)

    def append(self, trial: Trial) -> None:
        """Record a finished trial; when this returns, it is on the disk.

        Raises:
            UserError: the storage cannot be written (disk full, read-only, ...).
        """
        try:
            self._study.add_trial(_freeze(trial, self._decisions))
        except (SQLAlchemyError, StorageInternalError) as error:
            raise _unusable(self._url, error) from error
        self._trials.append(trial)
        self._of.setdefault((trial.key, trial.epochs), []).append(trial)

    def trials(self) -> tuple[Trial, ...]:
        """Return every recorded trial, in order of asking."""
        return tuple(sorted(self._trials, key=lambda trial: trial.number))

    def find(self, key: str, epochs: int) -> Sequence[Trial]:
        """Return the trials of this network at this fidelity, in order of telling."""
        return self._of.get((key, epochs), ())

    def close(self) -> None:
        """Let go of the storage's files and connections."""
        self._storage.remove_session()
        if isinstance(self._storage, RDBStorage):
            self._storage.engine.dispose()

    def _check(self, benchmark: str) -> None:
        ours, theirs = _plain(self._decisions), self._study.user_attrs[SPACE]
        if theirs != ours:
            raise UserError(
                f"the ledger {self._url} is of another space: it has "
                f"{len(theirs)} decisions ({_some(theirs)}), this space has "
                f"{len(ours)} ({_some(ours)})"
            )
        recorded = self._study.user_attrs[BENCHMARK]
        if recorded != benchmark:
            raise UserError(
                f"the ledger {self._url} holds scores of benchmark {recorded}, the "
                f"evaluator is {benchmark}: data, detector or recipe changed"
            )


def recorded_trials(url: str | None, study: str, folder: Path) -> tuple[Trial, ...]:
    """Read the trials of a run, in order of asking; the ledger is not written.

    Args:
        url: as `Ledger` takes it, likewise `study`.
        study: name of the study.
        folder: the run folder.

    Raises:
        UserError: there is no such ledger, or it cannot be read.
    """
    if url is None:
        raise UserError(f"the ledger of {folder} was kept in memory and is gone")
    place = url.format(folder=folder)
    file = place.removeprefix("sqlite:///")
    if file != place and not Path(file).is_file():
        raise UserError(f"the ledger {place} cannot be used: there is no such file")
    try:
        storage = RDBStorage(place)
        frozen = optuna.load_study(study_name=study, storage=storage).get_trials()
        storage.remove_session()
        storage.engine.dispose()
    except KeyError as error:
        raise UserError(f"the ledger {place} has no study {study}") from error
    except (SQLAlchemyError, StorageInternalError) as error:
        raise _unusable(place, error) from error
    return tuple(sorted(map(_thaw, frozen), key=lambda trial: trial.number))


def _unusable(url: str, error: Exception) -> UserError:
    # Optuna wraps SQLAlchemy's error, which wraps the driver's: the one to read
    wrapped = error if isinstance(error, SQLAlchemyError) else error.__cause__
    cause = getattr(wrapped, "orig", None) or wrapped or error
    return UserError(f"the ledger {url} cannot be used: {cause}")


def _plain(decisions: Sequence[Decision]) -> list[list[Any]]:
    return [[entry.name, list(entry.options)] for entry in decisions]


def _some(decisions: Sequence[Sequence[Any]]) -> str:
    return ", ".join(name for name, _ in decisions[:3]) + ", ..."


def _freeze(trial: Trial, decisions: Sequence[Decision]) -> FrozenTrial:
    """Turn a trial into Optuna's; what Optuna has no place for goes into attributes."""
    attributes = asdict(trial)
    reward = attributes.pop("reward")
    # A known cell of another space has no choices.
    decisions = decisions if trial.choices else ()
    picks = zip(decisions, trial.choices, strict=True)
    return create_trial(
        state=TrialState.FAIL if reward is None else TrialState.COMPLETE,
        value=reward,
        params={decision.name: decision.options[pick] for decision, pick in picks},
        distributions={
            decision.name: CategoricalDistribution(decision.options)
            for decision in decisions
        },
        user_attrs=attributes,
    )


def _thaw(frozen: FrozenTrial) -> Trial:
    """Read back what `_freeze` wrote."""
    # Fields that came later have defaults.
    names = {entry.name for entry in fields(Trial)} - {"reward"}
    values = {name: v for name, v in frozen.user_attrs.items() if name in names}
    if (score := values["score"]) is not None:
        values["score"] = read_score(score)
    values["choices"] = tuple(values["choices"])
    return Trial(reward=frozen.value, **values)
