"""Write tests/golden/digits.json: python tests/golden/write_digits.py.

The scenes are part of every benchmark on digits: the file changes only together with a
line in CHANGELOG. It holds the digest of the first scenes of each side, seed 0.
"""

import json
from pathlib import Path

from fpnbench.train.digits import Digits

PARTS = ("train", "val", "test")


def digests() -> dict[str, str]:
    """Return the content digest of nine scenes of every side."""
    source = Digits(
        name="digits",
        seed=0,
        image_px=128,
        images=dict.fromkeys(PARTS, 9),
        sizes=(12, 16, 20, 28, 40, 56),
        objects=(3, 7),
    )
    return {part: source.split(part).digest for part in PARTS}


if __name__ == "__main__":
    path = Path(__file__).with_name("digits.json")
    path.write_text(json.dumps(digests(), indent=1) + "\n")
