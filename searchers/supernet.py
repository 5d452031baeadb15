"""Weight-sharing supernet: all networks of a space trained as one, one path a step.

Source: Guo et al. 2020, single-path one-shot (arXiv 1904.00420). After training, any
searcher looks for good paths by shared weights: random search, evolution over the
supernet (as Guo et al.), or PPO (ENAS's idea, Pham et al. 2018, arXiv 1802.03268); the
best are proposed to the ordinary evaluator. The training is NNI's (`supernet_nni.py`).
"""

from pathlib import Path

from fpnbench.detect.shared import SharedDetector
from fpnbench.detect.shared_bank import Kernel
from fpnbench.graph.canonical import key
from fpnbench.graph.decision import Choices
from fpnbench.graph.errors import UserError
from fpnbench.graph.protocols import Evaluator, Space
from fpnbench.graph.sharing import Share
from fpnbench.search.searcher import Searcher, SharesEvaluator
from fpnbench.search.trial import Proposal, Trial
from fpnbench.train.proxy import ProxyTrainer
from fpnbench.train.shared import PathScore, Sampling, SupernetSettings, shared_scores
from fpnbench.train.shared_fit import EPOCHS, Epoch, Progress
from fpnbench.train.shared_paths import (
    PathTable,
    ScoredPath,
    claim,
    foretell,
    read_table,
    total,
)
from searchers.supernet_nni import train_supernet


class Supernet:
    """Trains the supernet at the first ask, then proposes its best paths in order.

    With `folds`, supernet and paths are those of the first one.
    """

    def __init__(
        self,
        search: Searcher,
        epochs: int,
        share: Share,
        sampling: Sampling,
        kernel: Kernel,
        norm_batches: int,
        paths: int,
        progress: Progress = lambda what, done, total: None,
    ) -> None:
        """Take the settings.

        Args:
            search: looks for paths; its reward is AP by shared weights.
            epochs: see `SupernetSettings`; likewise `share`, `sampling`, `kernel`.
            share: see there.
            sampling: see there.
            kernel: see there.
            norm_batches: see `shared_scores`.
            paths: that are looked at before the first proposal, and again whenever
                all their networks were tried.
            progress: told how far training and scoring are.

        Raises:
            UserError: a value out of its range.
        """
        if norm_batches < 0 or paths < 1:
            raise UserError(
                f"supernet: norm_batches={norm_batches} must be >= 0, paths={paths} "
                "must be >= 1"
            )
        if isinstance(search, SharesEvaluator):
            kind = type(search).__name__
            raise UserError(f"searcher.search={kind} trains weights of its own")
        self._settings = SupernetSettings(epochs, share, sampling, kernel)
        self._search, self._norm_batches, self._paths = search, norm_batches, paths
        self._progress = progress
        self._evaluator: ProxyTrainer | None = None
        self._table, self._epochs = PathTable(None), list[Epoch]()

    def attach(self, evaluator: Evaluator) -> None:
        """Take the evaluator whose task the supernet is trained for.

        Raises:
            UserError: it trains no networks.
        """
        if not isinstance(evaluator, ProxyTrainer):
            kind = type(evaluator).__name__
            raise UserError(
                f"searcher=supernet trains weights for evaluator=proxy, {kind} has none"
            )
        self._evaluator = evaluator

    def foretell(self, space: Space) -> tuple[int, float]:
        """Return images and about the gmacs that come before the first proposal."""
        epochs, batches = self._settings.epochs, self._norm_batches
        return foretell(self._task, space, epochs, batches, self._paths)

    def start(self, space: Space, seed: int, folder: Path | None) -> None:
        """Begin a run, or go on with what `folder` holds.

        Raises:
            UserError: no evaluator was attached, the space has no decisions, or the
                folder holds another's supernet.
        """
        self._space, self._seed, self._folder = space, seed, folder
        self._weights: SharedDetector | None = None
        if folder is not None:
            claim(folder, self._task, space, self._settings, seed)
        self._table = PathTable(folder)
        self._epochs = self._read_epochs()
        self._search.start(space, seed, None)
        for row in self._table.rows:
            self._search.ask()
            self._search.tell(_trial(row))
        self._wanted, self._tried = self._paths, set[str]()

    def ask(self) -> Proposal:
        """Propose the best path whose network was not tried yet.

        When there is none, as many more are looked at; a space of which all is tried
        gets its best once more.
        """
        for _ in range(2):
            self._look(self._wanted)
            best = self._table.best(self._wanted, self._tried)
            if best is not None:
                self._tried.add(best.key)
                return Proposal(best.choices)
            self._wanted += self._paths
        best = self._table.best(self._wanted, ())
        assert best is not None
        return Proposal(best.choices)

    def tell(self, trial: Trial) -> None:
        """Note that the network is known."""
        self._tried.add(trial.key)

    def spent(self) -> tuple[float, int, float]:
        """Return (seconds, images, gmacs) of training and of scoring paths."""
        return total(self._epochs, self._table.rows)

    @property
    def val_queries(self) -> int:
        """Networks that were scored on search-val by shared weights."""
        return sum(row.images > 0 for row in self._table.rows)

    @property
    def _task(self) -> ProxyTrainer:
        if self._evaluator is None:
            raise UserError("searcher=supernet needs an evaluator that trains networks")
        return self._evaluator

    def _look(self, count: int) -> None:
        """Let the inner search look at paths until there are so many."""
        while len(self._table.rows) < count:
            proposal = self._search.ask()
            if proposal.epochs is not None:
                raise UserError("searcher.search asks for epochs: paths have none")
            choices = proposal.choices
            form = self._space.decode(choices).restrict(self._task.levels)
            row = self._table.add(choices, key(form), self._score)
            self._search.tell(_trial(row))
            self._progress("paths by shared weights", len(self._table.rows), count)

    def _read_epochs(self) -> list[Epoch]:
        """Return the epochs of trainings so far, an interrupted one's, too."""
        return read_table(self._folder / EPOCHS, Epoch) if self._folder else []

    def _score(self, choices: Choices) -> PathScore:
        if self._weights is None:
            task = self._task, self._space, self._settings, self._seed, self._folder
            try:
                self._weights, self._epochs = train_supernet(*task, self._progress)
            except BaseException:  # a training that was cut short is charged, too
                self._epochs = self._read_epochs()
                raise
        task_ = self._task, self._space, self._weights
        return next(shared_scores(*task_, [choices], self._norm_batches))


def _trial(row: ScoredPath) -> Trial:
    """Tell a path as a trial whose reward is its AP."""
    return Trial(row.number, row.choices, row.key, 0, "evaluation", row.ap, None)
