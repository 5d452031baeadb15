"""SVG to PNG: size, colour, and letters without any system font."""

from pathlib import Path

import numpy as np
from PIL import Image

from fpnbench.report.png import svg_to_png

EMPTY = (
    '<svg xmlns="http://www.w3.org/2000/svg" width="40" height="20" '
    'font-family="DejaVu Sans"><rect width="40" height="20" fill="#ff0000"/>{}</svg>'
)
WORD = '<text x="4" y="16" font-size="14" fill="#000000">P3</text>'


def pixels(svg: str, path: Path, zoom: float = 2.0) -> np.ndarray:
    svg_to_png(svg, path, zoom)
    return np.asarray(Image.open(path).convert("RGB"))


def test_size_and_colour(tmp_path):
    image = pixels(EMPTY.format(""), tmp_path / "a.png", zoom=3)
    assert image.shape == (60, 120, 3)
    assert (image == (255, 0, 0)).all()


def test_letters_are_drawn(tmp_path):
    image = pixels(EMPTY.format(WORD), tmp_path / "a.png")
    black = (image.sum(axis=2) == 0).mean()
    assert 0.02 < black < 0.3


def test_same_text_same_bytes(tmp_path):
    for name in ("a.png", "b.png"):
        svg_to_png(EMPTY.format(WORD), tmp_path / name)
    assert (tmp_path / "a.png").read_bytes() == (tmp_path / "b.png").read_bytes()
