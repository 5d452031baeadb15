"""`make dashboard` opens optuna-dashboard on the ledger of a run."""

import http.client
import importlib.util
import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).resolve().parent.parent
# -o: what is installed is taken as it is.
MAKE = ("make", "-o", f"{sys.prefix}/.run-ready", f"VENV={sys.prefix}", "dashboard")
WAIT_S = 90


def free_port() -> int:
    with socket.socket() as there:
        there.bind(("127.0.0.1", 0))
        return int(there.getsockname()[1])


def ask(port: int, path: str, server: subprocess.Popen[str]) -> Any:
    """Get a page as JSON, as soon as the server is there."""
    until = time.monotonic() + WAIT_S
    while server.poll() is None and time.monotonic() < until:
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=10)
        try:
            connection.request("GET", path)
            return json.load(connection.getresponse())
        except ConnectionError:
            time.sleep(0.2)
        finally:
            connection.close()
    raise AssertionError(f"no dashboard: {server.poll()}")


def test_a_ledger_is_shown_as_it_is(
    cli: Callable[..., Any], tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    if importlib.util.find_spec("optuna_dashboard") is None:
        pytest.skip("optuna-dashboard is not installed (make setup installs it)")
    toy = ("evaluator=toy", "searcher=random", "space=nasfpn", "out=run")
    assert cli(*toy, "budget.trials=3").code == 0
    port = free_port()
    server = subprocess.Popen(
        [*MAKE, f"DIR={tmp_path}/run", f"PORT={port}"],
        cwd=ROOT,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
        text=True,
    )
    request.addfinalizer(server.wait)
    request.addfinalizer(lambda: os.killpg(server.pid, signal.SIGTERM))
    (study,) = ask(port, "/api/studies", server)["study_summaries"]
    assert study["study_name"] == "search"
    trials = ask(port, f"/api/studies/{study['study_id']}", server)["trials"]
    assert [trial["state"] for trial in trials] == ["Complete"] * 3
    assert {"cell0.input1", "cell0.op"} <= {p["name"] for p in trials[0]["params"]}


@pytest.mark.parametrize("folder", ["", "DIR=nowhere"])
def test_a_folder_without_a_ledger_is_told(folder: str) -> None:
    done = subprocess.run(
        [*MAKE, folder] if folder else MAKE,
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 2
    assert "there is no ledger.sqlite in the folder" in done.stderr
