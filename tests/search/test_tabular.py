"""Tables: regret counted by hand, and what NAS-Bench-Graph says of itself."""

import sys
from itertools import product
from statistics import pstdev

import numpy as np
import pytest

from fpnbench.graph.decision import Decision
from fpnbench.graph.errors import UserError
from fpnbench.search.tabular import Run, Table, explore, nas_bench_graph
from fpnbench.search.trial import Proposal

# (0, 0) and (0, 1) are one network, (1, 1) is none.
KEYS = {(0, 0): "a", (0, 1): "a", (1, 0): "b", (2, 0): "c", (2, 1): "d"}
VALUES = {"a": 0.2, "b": 0.9, "c": 0.5, "d": 0.4}


@pytest.fixture
def table() -> Table:
    decisions = (Decision("x", (0, 1, 2)), Decision("y", (0, 1)))
    return Table("small", decisions, KEYS, VALUES)


class Script:
    """Proposes a list of vectors, over and over, and keeps what it is told."""

    def __init__(self, vectors):
        self.vectors, self.told = vectors, []

    def start(self, space, seed, folder):
        self.started = (space.decisions, seed, folder)

    def ask(self):
        return Proposal(self.vectors[len(self.told) % len(self.vectors)])

    def tell(self, trial):
        self.told.append(trial)


def begun(table: Table, **settings) -> Run:
    return Run(table, **{"max_repeats": 10, "seed": 0, "noise": 0.0, **settings})


def test_a_run_is_counted_by_hand(table):
    script = Script([(0, 1), (1, 1), (0, 0), (2, 1), (1, 0)])
    run = begun(table, evaluations=3, seed=7)
    explore(run, script, 7)
    # The failure and the repeat cost nothing; the run ends with its third network.
    assert [tuple(step) for step in run.course()] == [
        (1, 1, pytest.approx(0.7), pytest.approx(0.7)),
        (2, 4, pytest.approx(0.5), pytest.approx(0.5)),
        (3, 5, 0.0, 0.0),
    ]
    assert [t.status for t in script.told] == [
        *("evaluation", "failed", "repeat", "evaluation", "evaluation")
    ]
    assert [t.reward for t in script.told] == [0.2, None, 0.2, 0.4, 0.9]
    assert [t.repeat_of for t in script.told] == [None, None, 0, None, None]
    assert [t.number for t in script.told] == list(range(5))
    assert script.told[1].reason
    assert script.started == (table.decisions, 7, None)


def test_a_searcher_that_has_settled_keeps_its_regret(table):
    script = Script([(2, 0), (2, 0), (1, 1)])
    run = begun(table, evaluations=4, max_repeats=6)
    explore(run, script, 0)
    steps = run.course()
    assert len(script.told) == 7
    assert [step.evaluation for step in steps] == [1, 2, 3, 4]
    assert [step.regret for step in steps] == pytest.approx([0.4] * 4)
    assert [step.trials for step in steps] == [1, 7, 7, 7]


def test_an_incumbent_is_chosen_by_what_was_observed(table):
    told = {}
    for seed in range(40):
        run = begun(table, evaluations=4, seed=seed, noise=0.5)
        rewards = {key: run.score(vector)[1] for vector, key in KEYS.items()}
        chosen = max(rewards, key=rewards.__getitem__)
        assert run.steps[-1].regret == pytest.approx(0.9 - VALUES[chosen])
        assert run.steps[-1].regret_seen == 0.0
        told[seed] = rewards
    assert {key: told[3][key] for key in "abcd"} != {k: told[4][k] for k in "abcd"}
    noise = [told[seed][key] - VALUES[key] for seed in told for key in VALUES]
    # 160 draws: the standard error of their spread is .028.
    assert np.std(noise) == pytest.approx(0.5, abs=0.1)
    assert np.mean(noise) == pytest.approx(0.0, abs=0.12)


def test_noise_depends_on_seed_and_network_alone(table):
    orders = list(KEYS), list(reversed(KEYS))
    first, second = (
        {vector: run.score(vector)[1] for vector in order}
        for order in orders
        for run in [begun(table, evaluations=4, seed=5, noise=0.3)]
    )
    assert first == second
    assert first[0, 0] == first[0, 1]


def test_a_table_knows_its_best_and_its_spread_over_vectors(table):
    assert table.best == 0.9
    assert table.sd == pytest.approx(pstdev([0.2, 0.2, 0.9, 0.5, 0.4]))
    with pytest.raises(UserError, match=r"\(1, 0\) .* is no pyramid"):
        table.decode((1, 0))


def test_a_run_without_a_valid_network_is_told(table):
    run = begun(table, evaluations=2)
    explore(run, Script([(1, 1)]), 0)
    assert run.trials == 10
    with pytest.raises(UserError, match="no valid network"):
        run.course()


def test_an_unknown_table_is_refused_with_those_that_are_there():
    with pytest.raises(UserError, match="proteins is not one of cora, citeseer"):
        nas_bench_graph("proteins")


def test_a_missing_package_is_told_with_its_extra(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setitem(sys.modules, "nas_bench_graph", None)
    with pytest.raises(UserError, match=r"pip install 'fpnbench\[bench\]'"):
        nas_bench_graph("cora")


def test_nas_bench_graph_is_as_its_paper_says():
    package = pytest.importorskip("nas_bench_graph")
    table = nas_bench_graph("cora")
    sizes = [len(decision.options) for decision in table.decisions]
    assert sizes == [9] * 5
    # The paper: 26 206 different architectures.
    assert len(table.values) == len(set(table.keys.values())) == 26_206
    assert len(table.keys) == 9**5 - 9
    skip = table.decisions[1].options.index("skip")
    every = set(product(range(9), repeat=5))
    assert every - set(table.keys) == {(link, *[skip] * 4) for link in range(9)}
    # The example of its documentation, whose links [0, 1, 2, 1] are [0, 1, 1, 2] with
    # the last two operations exchanged.
    asked = package.Arch([0, 1, 2, 1], ["gcn", "gin", "fc", "cheb"]).valid_hash()
    link, *operations = (each.options.index for each in table.decisions)
    named = zip(operations, ("gcn", "gin", "cheb", "fc"), strict=True)
    vector = (link("0112"), *(index(name) for index, name in named))
    known = package.light_read("cora")[asked]["valid_perf"]
    assert table.values[table.keys[vector]] == known
