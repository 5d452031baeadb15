"""What a person reads when something went wrong: one line, and the exit code."""

import re
import sys
import traceback

from hydra.errors import HydraException
from omegaconf.errors import OmegaConfBaseException

from fpnbench.graph.errors import UserError

INTERRUPTED = 130
USER = (UserError, HydraException, OmegaConfBaseException)
"""Exceptions that are the user's mistake; Hydra's and OmegaConf's own arise while a
configuration is composed or read, never from our code."""
NOISE = (
    "full_key:",
    "object_type=",
    "reference_type",
    "Config search path",
    "provider=",
)
APPEND = re.compile(r"To append to your .* use \+.*")
"""Hydra's advice on a misspelt key, which would only hide the mistake."""
KEYS = "Keys stand in conf/config.yaml and in the yaml of each group"


def explain(error: BaseException, *, debug: bool) -> int:
    """Print the reason as one line on stderr and return the exit code.

    Args:
        error: what ended the program.
        debug: print the traceback of an unexpected error, too.
    """
    if isinstance(error, KeyboardInterrupt):
        print("interrupted", file=sys.stderr)
        return INTERRUPTED
    if isinstance(error, USER):
        print(f"error: {one_line(error)}", file=sys.stderr)
        return 2
    print(f"failed: {type(error).__name__}: {one_line(error)}", file=sys.stderr)
    if debug:
        traceback.print_exception(error)
    else:
        print("debug=true shows where", file=sys.stderr)
    return 1


def one_line(error: BaseException) -> str:
    """Return the message of an exception without line breaks.

    Hydra adds lines about its own internals, which are left out, and lists what is
    allowed by indented lines.
    """
    text = ""
    for line in str(error).splitlines():
        word = APPEND.sub(KEYS, line.strip())
        if not word or word.startswith(NOISE):
            continue
        comma = ", " if line.startswith("\t") else "; "
        text += (" " if text.endswith((":", ".")) else comma) * bool(text) + word
    return text or type(error).__name__
