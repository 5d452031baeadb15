"""PPO for 2 000 trials on the toy evaluator: do its curves look as NAS-FPN's Fig. 5?

Run it again to continue; `results.csv` has a row for every 50 trials of a run.

    python experiments/ppo_toy/ppo_toy.py     # about ten minutes on one core
"""

from pathlib import Path
from statistics import fmean

import numpy as np
import pandas as pd
import torch
from hydra import compose, initialize_config_dir
from rich.progress import track

from fpnbench.cli.build import build_evaluator, build_searcher, build_space
from fpnbench.graph.canonical import canonical, digest
from fpnbench.report.style import BLUE, FAINT, TEAL, panels, save
from fpnbench.search.trial import Trial

HERE = Path(__file__).resolve().parent
CONF = HERE.parents[1] / "conf"
SEARCHERS, SEEDS, TRIALS, BIN = ("ppo", "ppo_paper"), range(5), 2000, 50
COLUMNS = ["searcher", "seed", "trials", "reward", "entropy", "unique"]
KEY = ["searcher", "seed"]


def run(name, seed):
    """Search the toy function `seed`; yield a row for every bin of trials.

    Entropy: of the controller's decisions along the proposals, nats a decision, as a
    share of that of uniform draws.
    """
    toy = ["evaluator=toy", f"evaluator.toy_seed={seed}", f"searcher={name}"]
    cfg = compose("config", ["space=nasfpn", *toy])
    space, evaluator, searcher = (
        build(cfg) for build in (build_space, build_evaluator, build_searcher)
    )
    most = float(np.mean([np.log(len(each.options)) for each in space.decisions]))
    searcher.start(space, seed, None)
    known, rewards, entropies = {}, [], []
    for number in range(TRIALS):
        choices = searcher.ask().choices
        with torch.no_grad():
            _, entropy = searcher._controller(torch.tensor([choices]))
        entropies.append(float(entropy.mean()) / most)
        network = canonical(space.decode(choices).restrict(evaluator.levels))
        key, epochs = digest(network), evaluator.epochs
        status = "repeat" if key in known else "evaluation"
        if key not in known:
            known[key] = evaluator.value(network, epochs)
        rewards.append(known[key])
        searcher.tell(Trial(number, choices, key, epochs, status, known[key], None))
        if (number + 1) % BIN == 0:
            means = (fmean(each[-BIN:]) for each in (rewards, entropies))
            yield [name, seed, number + 1, *means, len(known)]


def figure(table, path):
    """Draw reward, entropy and different networks over trials, a line a run."""
    drawn, axes = panels(3, (4.2, 3.5), "PPO on five toy functions, nasfpn")
    colours = dict(zip(SEARCHERS, (BLUE, TEAL), strict=True))
    labels = ("mean reward of 50 trials", "entropy, share of uniform's", "different")
    axes[2].plot([0, TRIALS], [0, TRIALS], color=FAINT, label="all different")
    for axis, column, label in zip(axes, COLUMNS[3:], labels, strict=True):
        for (name, seed), part in table.groupby(KEY, sort=False):
            told = name if seed == 0 else None
            style = {"color": colours[name], "alpha": 0.75, "label": told}
            axis.plot(part["trials"], part[column], **style, linewidth=1.3)
        axis.set_xlabel("trials", fontsize=10)
        axis.set_ylabel(label, fontsize=10)
    axes[1].set_ylim(0, 1.02)
    axes[2].set_ylabel("different networks", fontsize=10)
    axes[2].legend(frameon=False, fontsize=9)
    save(drawn, path)


def changes(table):
    """Return each run's first and last fifth: reward, entropy, share of new ones."""
    fifth = TRIALS // BIN // 5
    for case, part in table.groupby(KEY, sort=False):
        row = dict(zip(KEY, case, strict=True))
        for column in ("reward", "entropy"):
            row |= {f"{column}_first": part[column].iloc[:fifth].mean()}
            row |= {f"{column}_last": part[column].iloc[-fifth:].mean()}
        unique = part["unique"].tolist()
        row |= {"new_first": unique[fifth - 1] / fifth / BIN}
        row |= {"new_last": (unique[-1] - unique[-1 - fifth]) / fifth / BIN}
        yield row


def main():
    """Run what is missing, print what changed and draw."""
    torch.set_num_threads(1)
    path = HERE / "results.csv"
    table = pd.read_csv(path) if path.exists() else pd.DataFrame(columns=COLUMNS)
    have = set(table[KEY].itertuples(index=False, name=None))
    wanted = [(name, seed) for seed in SEEDS for name in SEARCHERS]
    with initialize_config_dir(str(CONF), version_base=None):
        for case in track([each for each in wanted if each not in have], "runs"):
            rows = pd.DataFrame(run(*case), columns=COLUMNS).round(4)
            table = pd.concat([table, rows]) if len(table) else rows
            table.to_csv(path, index=False)
    print(pd.DataFrame(changes(table)).round(3).to_string(index=False))
    figure(table, HERE / "ppo_toy.png")


if __name__ == "__main__":
    main()
