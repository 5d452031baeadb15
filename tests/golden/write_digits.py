"""Write tests/golden/digits*.json: python tests/golden/write_digits.py.

The scenes are part of every benchmark on digits: the files change only together with a
line in CHANGELOG. They hold the digest of the first scenes of each side, seed 0.
"""

import json
from pathlib import Path
from typing import get_args

from fpnbench.train.context import Context, ContextDigits
from fpnbench.train.digits import Digits

PARTS = ("train", "val", "test")
IMAGES = dict.fromkeys(PARTS, 9)


def digests() -> dict[str, str]:
    """Return the content digest of nine scenes of every side."""
    source = Digits(
        name="digits",
        seed=0,
        image_px=128,
        images=IMAGES,
        sizes=(12, 16, 20, 28, 40, 56),
        objects=(3, 7),
    )
    return {part: source.split(part).digest for part in PARTS}


def context_digests() -> dict[str, dict[str, str]]:
    """Return the same of every context."""
    found = {}
    for context in get_args(Context):
        source = ContextDigits(
            name="digits_context",
            context=context,
            seed=0,
            image_px=192,
            images=IMAGES,
            small_sizes=(12, 16, 20, 24),
            cue_sizes=(76, 84, 92),
            large_sizes=(60, 64, 68, 72),
            smalls=(1, 3),
            gap=60,
        )
        found[context] = {part: source.split(part).digest for part in PARTS}
    return found


if __name__ == "__main__":
    for name, values in (("digits", digests()), ("digits_context", context_digests())):
        path = Path(__file__).with_name(f"{name}.json")
        path.write_text(json.dumps(values, indent=1) + "\n")
