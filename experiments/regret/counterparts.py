"""Searchers of NNI and Optuna, with their own loops, on the tables of `mode=regret`.

Sizes, noise and table are those of conf/mode/regret.yaml; KEY=VALUE changes them. The
file has the columns of `regret.csv`; run again to continue it.

    python experiments/regret/counterparts.py others.csv [regret.seeds=5 ...]
    python run.py mode=regret regret.others=[others.csv]
"""

import copy
import logging
import sys
from functools import partial
from pathlib import Path

import nni
import optuna
from hydra import compose, initialize_config_dir
from nni.mutable import Categorical, MutableDict
from nni.nas.execution import SequentialExecutionEngine
from nni.nas.space import ExecutableModelSpace, ModelStatus
from nni.nas.strategy import Random, RegularizedEvolution
from rich.console import Console

from fpnbench.cli.regret import checked, run_all
from fpnbench.search.tabular import nas_bench_graph

CONF = Path(__file__).resolve().parents[2] / "conf"


class TableSpace(ExecutableModelSpace):
    """A table as NNI's strategies see a model space: categorical decisions."""

    def __init__(self, run):
        super().__init__()
        self.run, self.sample, self.evaluator = run, None, None
        self.mutables = MutableDict(
            {
                each.name: Categorical(range(len(each.options)), label=each.name)
                for each in run.table.decisions
            }
        )

    def leaf_mutables(self, is_leaf):
        """Return the decisions."""
        return self.mutables.leaf_mutables(is_leaf)

    def check_contains(self, sample):
        """Return why a sample is none of this space, if so."""
        return self.mutables.check_contains(sample)

    def freeze(self, sample):
        """Return one architecture."""
        self.validate(sample)
        frozen = copy.copy(self)
        frozen.status, frozen.sample = ModelStatus.Frozen, dict(sample)
        frozen.metrics = type(self.metrics)()
        return frozen

    def execute(self):
        """Look the architecture up; one that the table does not hold fails."""
        names = [each.name for each in self.run.table.decisions]
        _, reward, _ = self.run.score(tuple(self.sample[name] for name in names))
        if reward is None:
            raise RuntimeError("the table holds no such network")
        nni.report_final_result(reward)


class Engine(SequentialExecutionEngine):
    """NNI's engine in one process, until the run is over."""

    def __init__(self, run):
        super().__init__(continue_on_failure=True)
        self.run = run

    def budget_available(self):
        """Say whether another model may be submitted."""
        return not self.run.over


def nni_strategy(make, run, seed):
    """Let a strategy of NNI's explore; without a `NasExperiment`, which is a server."""
    make(seed=seed)(TableSpace(run), Engine(run))


def optuna_tpe(run, seed):
    """Let Optuna's TPE explore by ask and tell, with its defaults."""
    study = optuna.create_study(
        direction="maximize", sampler=optuna.samplers.TPESampler(seed=seed)
    )
    while not run.over:
        trial = study.ask()
        choices = tuple(
            trial.suggest_categorical(each.name, range(len(each.options)))
            for each in run.table.decisions
        )
        _, reward, _ = run.score(choices)
        state = optuna.trial.TrialState.FAIL if reward is None else None
        study.tell(trial, reward, state)


RUNNERS = {
    "nni_random": partial(nni_strategy, Random),
    # Its defaults, population 100 and sample 25, are those of evolution_paper.
    "nni_evolution": partial(nni_strategy, RegularizedEvolution),
    # Those of our evolution.
    "nni_evolution_20": partial(
        nni_strategy, partial(RegularizedEvolution, population_size=20, sample_size=10)
    ),
    "optuna_tpe": optuna_tpe,
}


def main():
    """Run what the file lacks."""
    path, *changed = sys.argv[1:]
    logging.getLogger("nni").setLevel(logging.CRITICAL)
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    with initialize_config_dir(str(CONF), version_base=None):
        keys = checked(compose("config", ["mode=regret", *changed]))
    run_all(nas_bench_graph(keys["table"]), keys, RUNNERS, Path(path), Console())


if __name__ == "__main__":
    main()
