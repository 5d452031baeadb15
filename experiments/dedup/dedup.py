"""What should become of a network that is proposed again? An ablation on noisy toys.

Run i of every policy has searcher seed i, toy function i and noise seed i: runs are
paired. A run is judged by the true value of the network that it would choose (the
highest reward told, of retrained networks the last, which is a mean). Run it again to
continue; `results.csv` grows by a row a run and length.

    python experiments/dedup/dedup.py        # about two hours on one core
"""

import csv
import sys
from itertools import product
from pathlib import Path
from statistics import pstdev

import torch
from hydra import compose, initialize_config_dir

from fpnbench.cli.build import build_evaluator, build_searcher, build_space
from fpnbench.cli.output import best_trial
from fpnbench.graph.canonical import canonical
from fpnbench.search.budget import parse_budget, tally_of
from fpnbench.search.ledger import Ledger
from fpnbench.search.loop import Task, search
from fpnbench.search.reward import average_precision
from fpnbench.search.searcher import uniform_choices

HERE = Path(__file__).resolve().parent
CONF = HERE.parents[1] / "conf"
SMALL = ["space.levels=[3,4,5]", "space.intermediate_levels=[4,5]"]
SPACES = {"nasfpn": [], "nasfpn_small": [*SMALL, "space.intermediates=1"]}
"""The paper's space, and one of 8 294 400 vectors in which searchers repeat more."""
SEARCHERS = ("evolution", "ppo")
POLICIES, ICCS, SEEDS = ("replay", "retrain", "resample"), (0.7, 0.5), range(50)
LENGTHS = (60, 300)
DRAWS = 200
"""Random networks from which a toy function's spread is known."""
COLUMNS = ["space", "searcher", "dedup", "icc", "seed", "evaluations", "true", "told"]
COLUMNS += ["best_true", "trials", "repeats", "networks", "status"]


def run(space_name, searcher_name, policy, icc, seed):
    """Search once; yield a row for each length."""
    given = ["space=nasfpn", *SPACES[space_name]]
    cfg = compose("config", [*given, f"searcher={searcher_name}"])
    space = build_space(cfg)

    def toy(noise):
        toy = ["evaluator=toy", f"evaluator.toy_seed={seed}"]
        toy += [f"evaluator.noise={noise}", f"evaluator.seed={1000 * seed}"]
        return build_evaluator(compose("config", toy))

    def network(choices):
        return canonical(space.decode(choices).restrict(exact.levels))

    exact = toy(0.0)
    draws = (uniform_choices(space.decisions, 10_000 + seed, n) for n in range(DRAWS))
    spread = pstdev(exact.value(network(choices), exact.epochs) for choices in draws)
    # ICC = true variance / (true variance + noise variance)
    noisy = toy(spread * ((1 - icc) / icc) ** 0.5)
    ledger = Ledger(
        decisions=space.decisions, benchmark="", folder=None, url=None, study="s"
    )
    task = Task(space, noisy, average_precision, policy)
    limits = {"evaluations": max(LENGTHS), "max_failures": 10, "max_repeats": 200}
    ending = search(task, build_searcher(cfg), ledger, parse_budget(limits), seed=seed)
    known = {}
    for length in LENGTHS:
        trials = until(ledger.trials(), length)
        best, tally = best_trial(trials), tally_of(trials)
        for trial in trials:
            if trial.key not in known:
                value = exact.value(network(trial.choices), exact.epochs)
                known[trial.key] = value
        row = [space_name, searcher_name, policy, icc, seed, length]
        row += [known[best.key], best.reward, max(known.values())]
        yield [*row, tally.trials, tally.repeats, len(tally.keys), ending.name]


def until(trials, evaluations):
    """Return the trials up to so many evaluations."""
    count = 0
    for place, trial in enumerate(trials, 1):
        count += trial.status == "evaluation"
        if count == evaluations:
            return trials[:place]
    return trials


def main():
    """Run what is missing in `results.csv`."""
    torch.set_num_threads(1)
    path = HERE / "results.csv"
    done = set()
    if path.is_file():
        with path.open() as file:
            done = {tuple(list(row.values())[:6]) for row in csv.DictReader(file)}
    cases = product(SPACES, SEEDS, ICCS, SEARCHERS, POLICIES)
    with path.open("a", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        if not path.stat().st_size:
            writer.writerow(COLUMNS)
        for space, seed, icc, searcher, policy in cases:
            case = (space, searcher, policy, str(icc), str(seed), str(max(LENGTHS)))
            if case in done:
                continue
            writer.writerows(run(space, searcher, policy, icc, seed))
            file.flush()
            print(*case, file=sys.stderr, flush=True)


if __name__ == "__main__":
    with initialize_config_dir(str(CONF), version_base="1.3"):
        main()
