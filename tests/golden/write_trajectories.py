"""Write trajectories.json: `python tests/golden/write_trajectories.py`.

The file may change only when a searcher's algorithm, its numbers in its yaml, the
toy function or the encoding of a space changes on purpose; CHANGELOG says
so. PPO's proposals also depend on torch's rounding: its pinned version.
"""

import json
from pathlib import Path

from hydra import compose, initialize_config_dir

from fpnbench.cli.build import build_evaluator, build_searcher, build_space
from fpnbench.graph.canonical import canonical, digest
from fpnbench.search.trial import Trial

ROOT = Path(__file__).resolve().parents[2]
FILE = Path(__file__).with_name("trajectories.json")
LENGTH = 50
SEARCHERS = ("random", "evolution", "evolution_paper", "ppo", "ppo_paper")


def trajectory(name: str) -> list[list[int]]:
    """Return the first choice vectors of a searcher at seed 0 on the toy."""
    with initialize_config_dir(str(ROOT / "conf"), version_base=None):
        group = ["space=nasfpn", f"searcher={name}", "evaluator=toy", "image_px=256"]
        cfg = compose("config", overrides=group)
    space, searcher = build_space(cfg), build_searcher(cfg)
    evaluator = build_evaluator(cfg)
    searcher.start(space, 0, None)
    seen = []
    for number in range(LENGTH):
        choices = searcher.ask().choices
        seen.append(list(choices))
        form = canonical(space.decode(choices).restrict(evaluator.levels))
        score = evaluator(form, evaluator.epochs, evaluator.seed)
        key = digest(form)
        epochs = evaluator.epochs
        trial = Trial(number, choices, key, epochs, "evaluation", score.ap, score)
        searcher.tell(trial)
    return seen


def main() -> None:
    """Write the file."""
    rows = [
        f"{json.dumps(name)}: [\n"
        + ",\n".join(json.dumps(choices) for choices in trajectory(name))
        + "\n]"
        for name in SEARCHERS
    ]
    FILE.write_text("{\n" + ",\n".join(rows) + "\n}\n")


if __name__ == "__main__":
    main()
