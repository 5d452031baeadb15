"""Budget: when a run ends. Limits on what it may use, and a tally of what it used.

Every trial is exactly one of evaluation, repeat and failure; the three sum to `trials`.
"""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, fields
from typing import Literal

from fpnbench.graph.decision import Choices
from fpnbench.graph.errors import UserError
from fpnbench.search.trial import Trial

DEFAULT_SECONDS = 150.0
"""Charged seconds of a run that was given no limit at all."""

EndName = Literal["done", "exhausted", "stalled", "failures", "interrupted"]
Spent = tuple[float, int, float]
"""(seconds, images, gmacs) used by the searcher itself."""


@dataclass(frozen=True, slots=True)
class Ending:
    """How a run ended, and why in words."""

    name: EndName
    reason: str


@dataclass(slots=True)
class Tally:
    """What a run used so far; trials are added in order of telling.

    Attributes:
        seconds: charged seconds of the trials; likewise `images`, `gmacs`.
        store_hits: evaluations whose score came from the store.
        idle_in_row: proposals since the last evaluation.
        failures_in_row: failures in a row; infeasible trials say nothing about
            whether evaluation works and are passed over.
        choices: distinct vectors asked for; `keys`: distinct networks.
    """

    trials: int = 0
    evaluations: int = 0
    repeats: int = 0
    failures: int = 0
    store_hits: int = 0
    seconds: float = 0.0
    images: int = 0
    gmacs: float = 0.0
    wall_s: float = 0.0
    idle_in_row: int = 0
    failures_in_row: int = 0
    choices: set[Choices] = field(default_factory=set)
    keys: set[str] = field(default_factory=set)

    def add(self, trial: Trial) -> None:
        """Count one more trial."""
        self.trials += 1
        self.seconds += trial.seconds
        self.images += trial.images
        self.gmacs += trial.gmacs
        self.wall_s += trial.wall_s
        self.store_hits += trial.stored
        if trial.choices:
            self.choices.add(trial.choices)
        self.keys.add(trial.key)
        evaluated, repeated = trial.status == "evaluation", trial.status == "repeat"
        self.evaluations += evaluated
        self.repeats += repeated
        self.failures += not (evaluated or repeated)
        self.idle_in_row = 0 if evaluated else self.idle_in_row + trial.asks
        if trial.status != "infeasible":
            failed = not (evaluated or repeated)
            self.failures_in_row = self.failures_in_row + 1 if failed else 0


def tally_of(trials: Iterable[Trial]) -> Tally:
    """Count trials, in order of telling."""
    tally = Tally()
    for trial in trials:
        tally.add(trial)
    return tally


@dataclass(frozen=True, slots=True)
class Budget:
    """Limits of a run, None for no limit; whichever is reached first ends it.

    Attributes:
        gmacs: 1e9 MACs of training and scoring; `seconds`: charged, not wall time.
        max_failures: failures in a row after which something is broken.
        max_repeats: trials in a row without an evaluation after which the searcher
            has nothing new to say.
    """

    trials: int | None
    evaluations: int | None
    images: int | None
    gmacs: float | None
    seconds: float | None
    max_failures: int
    max_repeats: int

    def used(self, tally: Tally, spent: Spent) -> dict[str, float]:
        """Return the used share of every limit that is set, 1 when it is reached."""
        amounts = {
            "trials": tally.trials,
            "evaluations": tally.evaluations,
            "images": tally.images + spent[1],
            "gmacs": tally.gmacs + spent[2],
            "seconds": tally.seconds + spent[0],
        }
        limits = {name: getattr(self, name) for name in amounts}
        return {name: amounts[name] / limits[name] for name in amounts if limits[name]}

    def ending(self, tally: Tally, spent: Spent, cardinality: int) -> Ending | None:
        """Say whether the run is over after the trials counted in `tally`.

        Args:
            tally: what the trials used.
            spent: what the searcher itself used.
            cardinality: number of choice vectors of the space.
        """
        for name, share in self.used(tally, spent).items():
            if share >= 1:
                limit = f"{getattr(self, name):,g} {name}"
                return Ending("done", f"the budget of {limit} is used up")
        if len(tally.choices) == cardinality:
            return Ending("exhausted", f"all {cardinality} choice vectors are known")
        if tally.failures_in_row >= self.max_failures:
            return Ending("failures", f"{tally.failures_in_row} failures in a row")
        if tally.idle_in_row >= self.max_repeats:
            idle = f"{tally.idle_in_row} trials in a row without an evaluation"
            return Ending("stalled", idle)
        return None


def parse_budget(values: Mapping[str, object]) -> Budget:
    """Read the `budget` node of a configuration.

    Without any limit on trials, evaluations, images, gmacs or seconds, a run gets
    `DEFAULT_SECONDS`.

    Raises:
        UserError: an unknown key, or a value that is not a number above zero.
    """
    names = [entry.name for entry in fields(Budget)]
    if unknown := sorted(set(values) - set(names)):
        allowed = ", ".join(names)
        raise UserError(f"budget.{unknown[0]} is not known; budget takes {allowed}")
    whole, real = _above_zero(int), _above_zero(float)
    read = {
        name: (real if name in ("gmacs", "seconds") else whole)(name, values.get(name))
        for name in names
    }
    for name in ("max_failures", "max_repeats"):
        if read[name] is None:
            raise UserError(f"budget.{name}=null: it must be a whole number above zero")
    if not any(read[name] for name in names if not name.startswith("max_")):
        read["seconds"] = DEFAULT_SECONDS
    return Budget(**read)  # type: ignore[arg-type]


def _above_zero(kind: type) -> Callable[[str, object], float | None]:
    kinds = (int, float) if kind is float else (int,)
    noun = "a number" if kind is float else "a whole number"

    def read(name: str, value: object) -> float | None:
        # bool is an int to Python, not to a user who types budget.trials=true
        if value is None:
            return None
        if isinstance(value, bool) or not isinstance(value, kinds) or not value > 0:
            raise UserError(f"budget.{name}={value}: it must be {noun} above zero")
        return value

    return read
