"""What `make` installs: every package is pinned, and NNI starts with these pins."""

import re
import subprocess
import sys
from importlib.metadata import requires
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).resolve().parent.parent


def needed(name: str, extras: frozenset[str], seen: dict[str, frozenset[str]]) -> None:
    """Collect into `seen` what a distribution needs on this machine, recursively."""
    extras |= seen.get(name, frozenset())
    if seen.get(name) == extras:
        return
    seen[name] = extras
    for line in requires(name) or []:
        one = Requirement(line)
        if not one.marker or any(
            one.marker.evaluate({"extra": extra}) for extra in extras | {""}
        ):
            needed(canonicalize_name(one.name), frozenset(one.extras), seen)


def test_everything_that_is_installed_is_pinned_exactly() -> None:
    pytest.importorskip("nni")
    seen: dict[str, frozenset[str]] = {}
    needed("fpnbench", frozenset({"dev", "nni", "bench", "dashboard"}), seen)
    pins = re.findall(r"^([\w-]+)==", (ROOT / "constraints.txt").read_text(), re.M)
    assert len(seen) > 60
    assert not set(seen) - {"fpnbench"} - set(pins)


def test_nni_starts_without_a_warning() -> None:
    pytest.importorskip("nni")
    code = "import nni.nas; from filelock import FileLock"
    subprocess.run([sys.executable, "-W", "error", "-c", code], check=True, timeout=60)


def test_make_help_lists_every_target_of_the_readme() -> None:
    lines = subprocess.run(
        ["make", "help"], cwd=ROOT, capture_output=True, text=True, check=True
    ).stdout
    listed = set(re.findall(r"^make (\w+)", lines, re.M))
    told = set(re.findall(r"\bmake ([a-z]+)\b", (ROOT / "README.md").read_text()))
    assert listed == {*("run", "test", "setup", "check", "slow", "dashboard", "help")}
    assert told & listed >= {"run", "test", "setup"}
