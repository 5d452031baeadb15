"""Composes scenes of handwritten digits: integers in, the same bytes everywhere.

All arithmetic is on integers (Pillow resizes 8-bit images in fixed point), and each
scene draws from a generator of its own, so that one more scene changes no other.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from PIL import Image

TRIES = 40  # places tried for an object before it is left out
CLOUDS = 4  # bright and dark places along a side
INK = 96  # opacity from which a pixel belongs to the digit; decides its box
SOFT, STEEP = 80, 4  # opacity below which nothing is drawn, and its slope above
Box = tuple[int, int, int, int]
"""Left, top, right, bottom, pixels."""


@dataclass(frozen=True, slots=True, eq=False)
class Scene:
    """One composed image, grey.

    Attributes:
        pixels: (side, side) uint8.
        boxes_xyxy: tight boxes of the digits, (n, 4) int64, pixels.
        labels: of the classes, (n,) int64; of plain scenes the digits 0..9.
    """

    pixels: NDArray[np.uint8]
    boxes_xyxy: NDArray[np.int64]
    labels: NDArray[np.int64]


def compose(
    glyphs: NDArray[np.uint8],
    labels: NDArray[np.int64],
    *,
    side: int,
    sizes: Sequence[int],
    objects: tuple[int, int],
    rng: np.random.Generator,
) -> Scene:
    """Compose one scene: bright digits, none over another, on a cloudy ground.

    Args:
        glyphs: opacity of the digits to choose from, (m, 8, 8).
        labels: what they show, (m,).
        side: of the scene, pixels.
        sizes: long side of a digit, pixels, all equally likely.
        objects: fewest and most digits; fewer where they find no place.
        rng: draws everything.
    """
    canvas = ground(side, rng)
    boxes: list[Box] = []
    shown: list[int] = []
    wanted = int(rng.integers(objects[0], objects[1] + 1))
    # Large ones first: they would find no place among the small.
    for size in sorted(rng.choice(np.array(sizes), wanted).tolist(), reverse=True):
        index = int(rng.integers(len(glyphs)))
        opacity = scaled(glyphs[index], size)
        corner = place(opacity.shape, side, boxes, rng)
        if corner is None:
            continue
        x, y = corner
        paint(canvas, opacity, x, y, rng)
        boxes.append(ink_box(opacity, x, y))
        shown.append(int(labels[index]))
    return Scene(
        canvas.astype(np.uint8),
        np.array(boxes, np.int64).reshape(-1, 4),
        np.array(shown, np.int64),
    )


def scaled(glyph: NDArray[np.uint8], size: int) -> NDArray[np.int64]:
    """Crop a digit to its ink and enlarge it to a long side of `size` pixels."""
    rows, columns = np.nonzero(glyph)
    ink = glyph[rows.min() : rows.max() + 1, columns.min() : columns.max() + 1]
    height, width = ink.shape
    longest = max(height, width)
    target = max(1, width * size // longest), max(1, height * size // longest)
    image = Image.fromarray(ink).resize(target, Image.Resampling.BICUBIC)
    # Eight pixels enlarged have no edges; steeper opacity gives the strokes some.
    return ((np.asarray(image).astype(np.int64) - SOFT) * STEEP).clip(0, 255)


def ground(side: int, rng: np.random.Generator) -> NDArray[np.int64]:
    """Return dim clouds with fine noise, (side, side), within 58..133."""
    grid = rng.integers(0, 256, (CLOUDS, CLOUDS), dtype=np.uint8)
    clouds = Image.fromarray(grid).resize((side, side), Image.Resampling.BILINEAR)
    noise = rng.integers(-6, 7, (side, side))
    dim: NDArray[np.int64] = 64 + np.asarray(clouds).astype(np.int64) // 4 + noise
    return dim


def place(
    shape: tuple[int, ...],
    side: int,
    taken: Sequence[Box],
    rng: np.random.Generator,
) -> tuple[int, int] | None:
    """Find a free corner (x, y) for an object of (height, width), or None."""
    height, width = shape
    for _ in range(TRIES):
        x = int(rng.integers(0, side - width + 1))
        y = int(rng.integers(0, side - height + 1))
        if all(
            x >= x2 or x + width <= x1 or y >= y2 or y + height <= y1
            for x1, y1, x2, y2 in taken
        ):
            return x, y
    return None


def paint(
    canvas: NDArray[np.int64],
    opacity: NDArray[np.int64],
    x: int,
    y: int,
    rng: np.random.Generator,
) -> None:
    """Lay a digit over the canvas in bright ink."""
    ink = int(rng.integers(216, 256))
    height, width = opacity.shape
    under = canvas[y : y + height, x : x + width]
    under[:] = (under * (255 - opacity) + ink * opacity) // 255


def ink_box(opacity: NDArray[np.int64], x: int, y: int) -> Box:
    """Return the box around the visible ink of a digit laid at (x, y)."""
    rows, columns = np.nonzero(opacity >= min(INK, int(opacity.max())))
    return (
        x + int(columns.min()),
        y + int(rows.min()),
        x + int(columns.max()) + 1,
        y + int(rows.max()) + 1,
    )
