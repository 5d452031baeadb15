"""The interfaces that meet in the middle: spaces make genotypes, evaluators score."""

from typing import Protocol, runtime_checkable

from fpnbench.graph.decision import Choices, Decision
from fpnbench.graph.genotype import Genotype
from fpnbench.graph.score import Score


class Space(Protocol):
    """A search space: decisions, and how a choice vector becomes a network."""

    name: str
    decisions: tuple[Decision, ...]

    def decode(self, choices: Choices) -> Genotype:
        """Build the network of a choice vector; every vector decodes.

        Raises:
            UserError: a vector of the wrong length or out of range.
        """
        ...


@runtime_checkable
class CountedSpace(Space, Protocol):
    """A space that can tell how many choice vectors give one network: optional.

    Its number of different networks, and a uniform draw of them, follow from it.
    """

    def multiplicity(self, choices: Choices) -> int:
        """Count the choice vectors whose network has the key of this one's, exactly.

        Raises:
            UserError: as `decode`.
        """
        ...


class Evaluator(Protocol):
    """Scores networks; a score depends on key, `epochs` and `seed` alone.

    Attributes:
        benchmark: id of everything that decides a score but genotype, epochs and seed;
            scores of different benchmarks are never compared.
        epochs: the fidelity used when a proposal names none.
        seed: the evaluator's own seed, independent of the searcher's.
        levels: outputs that are read, as far as a genotype has them; others are dropped
            before it is made canonical.
        shared: whether its scores are kept for other runs; not worth it if they cost
            nothing.
    """

    benchmark: str
    epochs: int
    seed: int
    levels: tuple[int, ...]
    shared: bool

    def check(self, genotype: Genotype) -> None:
        """Refuse a canonical genotype that cannot be scored here; computes nothing.

        Raises:
            UserError: a backbone level is missing, the image is too small, ...
        """
        ...

    def __call__(self, genotype: Genotype, epochs: int, seed: int) -> Score:
        """Score one canonical genotype.

        Raises:
            EvaluationError: the network could not be scored (loss is NaN, ...); the
                trial fails, the search goes on.
        """
        ...


class EvaluationError(RuntimeError):
    """One network could not be scored; says why in one line.

    Attributes:
        images: trained on and scored until then; likewise `gmacs`, see `Score`.
    """

    def __init__(self, reason: str, images: int = 0, gmacs: float = 0.0) -> None:
        """Say why, and what it cost."""
        super().__init__(reason)
        self.images, self.gmacs = images, gmacs
