"""Any sampler of Optuna's: TPE, NSGA-II, Gaussian process, ...

The study lives in memory and holds what was told. A sampler is built anew for every
proposal, seeded by (seed, n), so that a run resumes by replaying its trials; what a
sampler keeps between proposals, as NSGA-II its generations, stands in the study.
"""

import warnings
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Literal

import optuna
from optuna.distributions import BaseDistribution, CategoricalDistribution
from optuna.exceptions import ExperimentalWarning
from optuna.samplers import BaseSampler
from optuna.trial import TrialState, create_trial

from fpnbench.graph.decision import Choices
from fpnbench.graph.errors import UserError
from fpnbench.graph.protocols import Space
from fpnbench.search.searcher import Scale, generator, uniform_choices
from fpnbench.search.trial import Proposal, Trial


class Fixed(CategoricalDistribution):
    """A distribution that is compared with itself at once, and never copied.

    A sampler built anew compares the distributions of all trials again, option by
    option: three quarters of the time of a proposal after 200 trials.
    """

    def __eq__(self, other: object) -> bool:
        return self is other or bool(super().__eq__(other))

    __hash__ = CategoricalDistribution.__hash__

    def __deepcopy__(self, memo: object) -> "Fixed":
        return self


Objective = Literal["reward", "macs", "params", "latency_ms"]
"""The reward is maximised, a cost of the score minimised."""


class OptunaSampler:
    """Asks an Optuna sampler.

    Every decision is categorical, over the indices of its options. Failures are told as
    FAIL, which all of Optuna's samplers pass over. A proposal that is still out is
    unknown to the sampler, so that one that is never told (`dedup: resample`) leaves no
    trace. Cells that were told without being asked for belong to no generation.
    """

    def __init__(
        self,
        sampler: Callable[..., BaseSampler],
        first: int,
        objectives: Sequence[Objective],
    ) -> None:
        """Choose the sampler.

        Args:
            sampler: makes one; is called with `seed`.
            first: proposals at the beginning that are those of random search.
            objectives: what is optimised.

        Raises:
            UserError: there is no objective, or one twice; or the sampler refuses its
                settings.
        """
        if not objectives or len(set(objectives)) < len(objectives):
            told = ", ".join(objectives)
            raise UserError(f"objectives=[{told}]: it must name one or more, each once")
        self._make, self._first, self._objectives = sampler, first, objectives
        try:
            self._sampler(0)
        except (TypeError, ValueError) as error:
            raise UserError(f"searcher.sampler: {error}") from error

    def start(self, space: Space, seed: int, folder: Path | None) -> None:
        """Begin a run."""
        self._decisions, self._seed, self._asked = space.decisions, seed, 0
        self._distributions: dict[str, BaseDistribution] = {
            decision.name: Fixed(range(len(decision.options)))
            for decision in space.decisions
        }
        optuna.logging.set_verbosity(optuna.logging.WARNING)
        self._study = optuna.create_study(
            directions=[
                "maximize" if name == "reward" else "minimize"
                for name in self._objectives
            ]
        )
        self._scale = Scale()
        self._out: list[tuple[Choices, dict[str, Any]]] = []

    def ask(self) -> Proposal:
        """Propose what the sampler does; at first what random search does."""
        number = self._asked
        self._asked += 1
        seed = int(generator(self._seed, number).integers(2**32))
        self._study.sampler = self._sampler(seed)
        asked = self._study.ask(self._distributions)
        choices = tuple(asked.params[name] for name in self._distributions)
        if number < self._first:
            choices = uniform_choices(self._decisions, self._seed, number)
        # Asked also then: this is what gives the trial its generation.
        frozen = self._study.get_trials(deepcopy=False)[asked.number]
        self._out.append((choices, dict(frozen.system_attrs)))
        self._study.tell(asked, state=TrialState.FAIL)
        return Proposal(choices)

    def tell(self, trial: Trial) -> None:
        """Add a trial to the study, with what the sampler noted when it was asked for.

        Raises:
            UserError: the trial has no value of an objective.
        """
        places = (i for i, (asked, _) in enumerate(self._out) if asked == trial.choices)
        place = next(places, 0)
        noted = self._out.pop(place)[1] if self._out else {}
        failed = trial.reward is None
        self._study.add_trial(
            create_trial(
                state=TrialState.FAIL if failed else TrialState.COMPLETE,
                values=None if failed else self._values(trial),
                params=dict(zip(self._distributions, trial.choices, strict=True)),
                distributions=self._distributions,
                system_attrs=noted,
            )
        )

    def spent(self) -> tuple[float, int, float]:
        """Return (seconds, images, gmacs): none outside of trials."""
        return 0.0, 0, 0.0

    def _sampler(self, seed: int) -> BaseSampler:
        with warnings.catch_warnings():
            # Told once for each proposal of a sampler that the user has named.
            warnings.simplefilter("ignore", ExperimentalWarning)
            return self._make(seed=seed)

    def _values(self, trial: Trial) -> list[float]:
        values = []
        for name in self._objectives:
            value = (
                trial.reward if name == "reward" else getattr(trial.score, name, None)
            )
            if value is None:
                told = ", ".join(self._objectives)
                raise UserError(
                    f"searcher.objectives=[{told}]: trial {trial.number} has no {name}"
                )
            values.append(self._scale(value) if name == "reward" else float(value))
        return values
