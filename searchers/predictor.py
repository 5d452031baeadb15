# ruff: noqa: N803, N806
"""Predictor: an ensemble of regressors on one-hot choices says what to try next.

Source: White et al. 2021, BANANAS: Bayesian Optimization with Neural Architectures for
Neural Architecture Search (arXiv 1910.11858): random networks first; then an ensemble
is fitted to all that is known, candidates are mutations of the best networks, and the
acquisition function (independent Thompson sampling, or expected improvement) takes one.
Differs: any scikit-learn regressor instead of a network on the path encoding; a fit for
every proposal, not for every ten; some random candidates beside the mutations.

Arrays end in their axes: M members, N networks (K of them known), F ones and zeros.
"""

from collections.abc import Callable, Sequence
from math import pi
from pathlib import Path
from typing import Any, Literal, get_args

import numpy as np
from numpy.typing import NDArray
from scipy.special import ndtr

from fpnbench.graph.decision import Choices, Decision
from fpnbench.graph.errors import UserError
from fpnbench.graph.protocols import Space
from fpnbench.search.searcher import Scale, generator, uniform_choices
from fpnbench.search.trial import Proposal, Trial
from searchers.evolution import mutate

Acquisition = Literal["thompson", "improvement"]
Floats = NDArray[np.float64]


class Predictor:
    """Proposes the candidate of which an ensemble of regressors promises most.

    A failure counts as the lowest reward so far. What is told or still out is no
    candidate; of a network told twice the last reward counts.
    """

    def __init__(
        self,
        regressor: Callable[..., Any],
        members: int,
        first: int,
        parents: int,
        mutated: int,
        random: int,
        acquisition: Acquisition,
    ) -> None:
        """Set the algorithm.

        Args:
            regressor: makes a scikit-learn regressor; is called with `random_state`.
            members: regressors of the ensemble, each fitted to a bootstrap sample.
            first: proposals at the beginning that are those of random search.
            parents: best networks whose mutations are candidates.
            mutated: candidates that are one mutation away from a parent.
            random: candidates that are uniform draws.
            acquisition: what is maximised over the candidates.

        Raises:
            UserError: a count is too small, there is no such acquisition, or the
                regressor refuses its settings.
        """
        if min(members, first, parents, mutated) < 1 or random < 0:
            raise UserError(
                f"members={members}, first={first}, parents={parents} and "
                f"mutated={mutated} must be >= 1, random={random} >= 0"
            )
        if acquisition not in get_args(Acquisition):
            allowed = ", ".join(get_args(Acquisition))
            raise UserError(f"acquisition={acquisition} is not one of {allowed}")
        try:
            regressor(random_state=0).fit(np.array([[0.0], [1.0]]), np.arange(2.0))
        except (TypeError, ValueError) as error:
            raise UserError(f"searcher.regressor: {error}") from error
        self._make, self._members, self._first = regressor, members, first
        self._parents, self._mutated, self._random = parents, mutated, random
        self._acquisition = acquisition

    def start(self, space: Space, seed: int, folder: Path | None) -> None:
        """Begin a run."""
        self._decisions, self._seed, self._asked = space.decisions, seed, 0
        self._known: dict[Choices, float | None] = {}
        self._out: set[Choices] = set()
        self._scale = Scale()

    def ask(self) -> Proposal:
        """Propose a uniform draw at first, then what the ensemble promises most of."""
        number = self._asked
        self._asked += 1
        rng, candidates = generator(self._seed, number), list[Choices]()
        if number >= self._first:
            candidates = self._candidates(rng)
        if candidates:
            choices = self._most_promising(candidates, rng)
        else:
            choices = uniform_choices(self._decisions, self._seed, number)
        self._out.add(choices)
        return Proposal(choices)

    def tell(self, trial: Trial) -> None:
        """Remember a trial."""
        self._out.discard(trial.choices)
        reward = None if trial.reward is None else self._scale(trial.reward)
        self._known[trial.choices] = reward

    def spent(self) -> tuple[float, int, float]:
        """Return (seconds, images, gmacs): a fit takes milliseconds, uncharged."""
        return 0.0, 0, 0.0

    def _candidates(self, rng: np.random.Generator) -> list[Choices]:
        """Draw mutations of the best networks and random ones, none of them known."""
        known = {c: value for c, value in self._known.items() if value is not None}
        best = sorted(known, key=known.__getitem__, reverse=True)[: self._parents]
        if not best:
            return []
        drawn = [
            mutate(self._decisions, best[n % len(best)], rng)
            for n in range(self._mutated)
        ]
        sizes = [len(decision.options) for decision in self._decisions]
        uniform = rng.integers(sizes, size=(self._random, len(sizes))).tolist()
        drawn += map(tuple, uniform)
        fresh = dict.fromkeys(drawn)
        return [c for c in fresh if c not in self._known and c not in self._out]

    def _most_promising(
        self, candidates: Sequence[Choices], rng: np.random.Generator
    ) -> Choices:
        """Fit the ensemble to what is known and take the best of the candidates."""
        known = [value for value in self._known.values() if value is not None]
        values = [min(known) if v is None else v for v in self._known.values()]
        values_K = np.array(values)
        encoded_NF = one_hot(self._decisions, [*self._known, *candidates])
        count = len(values_K)
        predicted = []
        for _ in range(self._members):
            drawn = rng.integers(count, size=count)
            member = self._make(random_state=int(rng.integers(2**31)))
            member.fit(encoded_NF[drawn], values_K[drawn])
            predicted.append(member.predict(encoded_NF))
        predicted_MN = np.array(predicted)
        promise_N = thompson(predicted_MN[:, count:], rng)
        if self._acquisition == "improvement":
            # Over the best prediction: a regressor that shrinks, as all do, would
            # promise no improvement over the best reward.
            best = predicted_MN[:, :count].mean(axis=0).max()
            promise_N = expected_improvement(predicted_MN[:, count:], best)
        return candidates[int(promise_N.argmax())]


def one_hot(decisions: Sequence[Decision], vectors: Sequence[Choices]) -> Floats:
    """Return a row of zeros and ones for each vector, a one for each decision."""
    sizes = np.array([len(decision.options) for decision in decisions])
    starts = np.cumsum(sizes) - sizes
    encoded = np.zeros((len(vectors), int(sizes.sum())))
    np.put_along_axis(encoded, np.array(vectors) + starts, 1.0, axis=1)
    return encoded


def thompson(predicted_MN: Floats, rng: np.random.Generator) -> Floats:
    """Draw a value of each candidate from a normal of the members' mean and deviation.

    Source: White et al. 2021, section 4: independent Thompson sampling.
    """
    drawn_N: Floats = rng.normal(predicted_MN.mean(axis=0), predicted_MN.std(axis=0))
    return drawn_N


def expected_improvement(predicted_MN: Floats, best: float) -> Floats:
    """Return E[max(value - best, 0)] of each candidate, its value normal.

    Of mean m and deviation s: (m - best) F(z) + s f(z), with z = (m - best) / s.
    """
    gain_N, deviation_N = predicted_MN.mean(axis=0) - best, predicted_MN.std(axis=0)
    safe_N = np.where(deviation_N > 0, deviation_N, 1.0)
    z_N = gain_N / safe_N
    density_N = np.exp(-(z_N**2) / 2) / np.sqrt(2 * pi)
    improvement_N: Floats = gain_N * ndtr(z_N) + deviation_N * density_N
    return np.where(deviation_N > 0, improvement_N, np.maximum(gain_N, 0.0))
