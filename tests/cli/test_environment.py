import subprocess
import sys
from pathlib import Path

import pytest

from fpnbench.cli import environment as module
from fpnbench.cli.environment import environment


def test_versions_and_processor_are_told() -> None:
    told = environment()
    assert told["python"] == ".".join(map(str, sys.version_info[:3]))
    assert all(told["packages"].values())
    assert told["cpu"]


def test_outside_of_a_checkout_there_is_no_commit(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "CHECKOUT", tmp_path)
    assert environment()["git_commit"] is None


def test_a_changed_file_makes_the_commit_dirty(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def git(*arguments: str) -> str:
        who = ("-c", "user.name=a", "-c", "user.email=a@b.c")
        command = ["git", "-C", str(tmp_path), *who, *arguments]
        done = subprocess.run(command, check=True, capture_output=True, text=True)
        return done.stdout.strip()

    monkeypatch.setattr(module, "CHECKOUT", tmp_path)
    git("init", "-q")
    (tmp_path / "a").write_text("1")
    git("add", "a")
    git("commit", "-q", "-m", "first")
    clean = environment()
    assert clean["git_commit"] == git("rev-parse", "HEAD")
    assert clean["git_dirty"] is False
    (tmp_path / "a").write_text("2")
    assert environment()["git_dirty"] is True


def test_the_gpu_is_told_where_there_is_one(monkeypatch: pytest.MonkeyPatch) -> None:
    import torch

    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    assert environment()["gpu"] is None
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "get_device_name", lambda index: f"GPU {index}")
    assert environment()["gpu"] == "GPU 0"
