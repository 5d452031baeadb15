"""Entry point: `python run.py KEY=VALUE ...`; without `mode=` it searches.

Exit codes: 0 done, 2 the user's mistake (one line on stderr), 1 anything else (the
reason first, a traceback only with `debug=true`), 130 after SIGINT.
"""

import os
import re
import sys
from importlib import import_module
from pathlib import Path

# Hydra's own handler would print its errors in several lines and exit with 1.
os.environ["HYDRA_FULL_ERROR"] = "1"

import hydra
from hydra.core.hydra_config import HydraConfig
from omegaconf import DictConfig

from fpnbench.cli.errors import INTERRUPTED, explain
from fpnbench.cli.values import check_added, check_values
from fpnbench.graph.errors import UserError

_codes: list[int] = []


@hydra.main(version_base="1.3", config_path="conf", config_name="config")
def _job(cfg: DictConfig) -> None:
    """Run one job; under `--multirun` a failed job does not stop the others."""
    hydra_cfg = HydraConfig.get()
    try:
        check_added(hydra_cfg.overrides.task, hydra_cfg.runtime.choices)
        check_values(cfg)
        # Not pkgutil's resolve_name, which hides why a module cannot be imported.
        module, name = cfg.mode._target_.rsplit(".", 1)
        code = getattr(import_module(module), name)(cfg)
    except Exception as error:
        code = explain(error, debug=cfg.debug)
    _codes.append(code)
    if code == INTERRUPTED:
        sys.exit(code)


def main() -> int:
    """Compose the configuration, run its jobs and return the worst exit code."""
    # Hydra would take `cell=` for a choice of a group, because of the folder conf/cell.
    sys.argv = [re.sub("^cell=", "cell_name=", argument) for argument in sys.argv]
    # Beside the checkout, from whatever folder it is called.
    data = Path(__file__).resolve().parent.parent / "shared" / "data"
    os.environ.setdefault("FPNBENCH_DATA", os.path.relpath(data))
    try:
        _job()
    except KeyboardInterrupt as error:
        return explain(error, debug=False)
    except Exception as error:
        # Jobs answer for their own errors: this one arose while composing them, where
        # Hydra raises plain ValueErrors, too (`space=null`).
        return explain(UserError(str(error)), debug=False)
    return max(_codes, default=0)


if __name__ == "__main__":
    sys.exit(main())
