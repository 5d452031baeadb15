"""Environment: what a run was computed with, so that differences can be explained."""

import platform
import subprocess
import sys
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

PACKAGES = (
    "fpnbench",
    "torch",
    "torchvision",
    "timm",
    "pytorch-lightning",
    "hydra-core",
    "optuna",
    "numpy",
    "pycocotools",
    "scikit-learn",
)
CHECKOUT = Path(__file__).parents[3]


def environment() -> dict[str, Any]:
    """Return versions, processor, GPU, threads and git state."""
    # only an evaluator that trains has imported torch
    torch = sys.modules.get("torch")
    gpu = torch is not None and torch.cuda.is_available()
    return {
        "python": platform.python_version(),
        "packages": {name: _version(name) for name in PACKAGES},
        "system": f"{platform.system()} {platform.machine()}",
        "cpu": _cpu(),
        "gpu": torch.cuda.get_device_name(0) if torch and gpu else None,
        "threads": torch.get_num_threads() if torch else None,
        "git_commit": _git("rev-parse", "HEAD"),
        "git_dirty": bool(_git("status", "--porcelain", "--untracked-files=no")),
    }


def _version(name: str) -> str | None:
    try:
        return version(name)
    except PackageNotFoundError:
        return None


def _cpu() -> str:
    """Return the processor's name; Linux tells it in /proc only."""
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return platform.processor()
    found = [line.split(":", 1)[1].strip() for line in lines if "model name" in line]
    return found[0] if found else platform.processor()


def _git(*arguments: str) -> str | None:
    """Return what git says about the checkout, None outside of one."""
    command = ["git", "-C", str(CHECKOUT), *arguments]
    try:
        done = subprocess.run(command, capture_output=True, text=True, check=True)
    except (OSError, subprocess.CalledProcessError):
        return None
    return done.stdout.strip()
