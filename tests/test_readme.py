"""README's commands compose, and its example of a searcher searches."""

import re
import shlex
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from omegaconf import DictConfig, OmegaConf

from fpnbench.graph.decision import Decision
from fpnbench.search.trial import Trial
from searchers.evolution import RegularizedEvolution

README = (Path(__file__).resolve().parent.parent / "README.md").read_text()
BLOCKS = re.findall(r"```(\w+)\n(.*?)```", README, re.DOTALL)


def commands() -> list[list[str]]:
    """Arguments of every `python run.py` line; a sweep is cut to its first value."""
    shell = "".join(text for kind, text in BLOCKS if kind == "sh").replace("\\\n", "")
    words = [shlex.split(line, comments=True) for line in shell.splitlines()]
    return [
        [word.split(",")[0] for word in line[2:] if word != "--multirun"]
        for line in words
        if line[:2] == ["python", "run.py"]
    ]


@pytest.mark.parametrize("overrides", commands(), ids=" ".join)
def test_a_command_of_the_readme_composes(
    overrides: list[str], conf: Callable[..., DictConfig]
) -> None:
    OmegaConf.to_container(conf(*overrides), resolve=True)


def test_there_are_commands_in_the_readme() -> None:
    assert len(commands()) >= 4


class Hill:
    """A space whose best choice vector is the one of all last options."""

    name = "hill"
    decisions = tuple(Decision(f"d{n}", (0, 1, 2)) for n in range(6))


def test_the_readme_s_searcher_climbs() -> None:
    (code,) = [text for _, text in BLOCKS if "class HillClimb" in text]
    names: dict[str, object] = {}
    exec(code, names)
    searcher = names["HillClimb"]()  # type: ignore[operator]
    searcher.start(Hill(), 0, None)
    rewards = []
    for number in range(200):
        choices = searcher.ask().choices
        rewards.append(float(sum(choices)))
        trial = Trial(number, choices, "", 1, "evaluation", rewards[-1], None)
        searcher.tell(trial)
    assert max(rewards) == 12
    assert max(rewards) > rewards[0]


def test_the_readme_s_ten_lines_of_python_search_twice_alike() -> None:
    """The loop by hand asks for what the search asked for, and scores it alike."""
    (code,) = [text for _, text in BLOCKS if "fpnbench.load(" in text]
    assert len([line for line in code.splitlines() if line]) <= 15
    names: dict[str, Any] = {}
    told = []
    tell = RegularizedEvolution.tell

    def spied(searcher: RegularizedEvolution, trial: Trial) -> None:
        told.append((trial.choices, trial.reward))
        tell(searcher, trial)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(RegularizedEvolution, "tell", spied)
        exec(code, names)
    assert names["ending"].name == "done"
    assert len(told) == 80
    assert told[:40] == told[40:]
    assert names["best"].reward == max(reward for _, reward in told)
