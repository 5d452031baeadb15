"""Instruments: scenes whose labels ask a pyramid to carry information across levels.

Every scene shows a cue (one of two plain digits, large, in a corner), one large eight
and a few small ones, far from the cue. All eights of a scene are one and the same
glyph, so what class an eight has can only be told by something else:

- `down`: a small eight's class is the cue's. A head on the finest level does not see so
  far, so only a pyramid that carries coarse maps to fine ones can know it.
- `up`: a large eight's class is how a bar of a few pixels lies on it. Coarse maps have
  lost that, so only a pyramid that carries fine maps to coarse ones can know it.
- `both`: both at once. `none`: the same scenes of plain digits 0..9, nothing to carry.

Which cue and which bar are drawn apart from everything else, and change nothing in the
scene but the cue's square and the bar's pixels. The cue is an object itself, of a class
that its own pixels tell: a network is taught to read it, and what is asked of a pyramid
is to carry what was read. What is asked is one cue, never a rule over two.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view
from numpy.typing import NDArray

from fpnbench.graph.errors import UserError
from fpnbench.train.compose import Box, Scene, ground, ink_box, paint, place, scaled
from fpnbench.train.data import DetectionSet, Part
from fpnbench.train.digits import NAMES, compose_side

Context = Literal["none", "down", "up", "both"]
CUES = (0, 1)  # the two digits least like each other, and none like an eight
GLYPH = 8
BARS = ("-", "|")
LONG, THICK, DARK = 6, 2, 80  # the bar: pixels and grey
CELL = 16  # a bar never leaves a cell, so both leave the same image at 1/16
JITTER = 8  # how far a cue's square stands off its corner, at most, pixels


@dataclass(frozen=True, slots=True)
class Layout:
    """What every scene holds; sizes are long sides in pixels, all equally likely.

    Attributes:
        side: of the scene, pixels.
        small_sizes: of the small digits.
        cue_sizes: of the cue.
        large_sizes: of the large digit.
        smalls: fewest and most small digits; fewer where they find no place.
        gap: least distance in x or y between the cue's square and a small digit, px.
    """

    side: int
    small_sizes: Sequence[int]
    cue_sizes: Sequence[int]
    large_sizes: Sequence[int]
    smalls: tuple[int, int]
    gap: int

    def check(self) -> None:
        """Refuse what cannot be drawn.

        Raises:
            UserError: names the key and what is allowed.
        """
        for name in ("small_sizes", "cue_sizes", "large_sizes"):
            sizes = list(getattr(self, name))
            if not sizes or not all(4 <= size <= self.side for size in sizes):
                raise UserError(f"data.{name}={sizes}: 4 to {self.side} pixels allowed")
        if len(self.smalls) != 2 or not 1 <= self.smalls[0] <= self.smalls[1]:
            raise UserError(
                f"data.smalls={list(self.smalls)}: [fewest, most] with 1 <= fewest "
                f"<= most"
            )
        room = self.side - JITTER - max(self.cue_sizes)
        if not 0 <= self.gap <= room - max(self.small_sizes):
            raise UserError(
                f"data.gap={self.gap}: 0 to {room - max(self.small_sizes)} pixels "
                f"leave room for a small digit beside the largest cue"
            )
        if max(self.large_sizes) > room:
            raise UserError(
                f"data.large_sizes={list(self.large_sizes)}: {room} pixels are left "
                f"beside the largest cue"
            )


class ContextDigits:
    """Scenes of digits with a known order of pyramids, made on demand.

    Forms, sides and groups are those of `Digits`.

    Args:
        name: for messages and run folders.
        context: what tells the class of an eight, see the module.
        seed: draws the scenes; where everything stands is the same in every context
            but `none`.
        image_px: side of the scenes, pixels.
        images: number of scenes of train, val and test.
        small_sizes: see `Layout`, likewise the rest.
        cue_sizes: of the cue.
        large_sizes: of the large digit.
        smalls: fewest and most small digits.
        gap: between the cue and a small digit.

    Raises:
        UserError: a layout that cannot be drawn.
    """

    def __init__(
        self,
        name: str,
        context: Context,
        seed: int,
        image_px: int,
        images: Mapping[Part, int],
        small_sizes: Sequence[int],
        cue_sizes: Sequence[int],
        large_sizes: Sequence[int],
        smalls: tuple[int, int],
        gap: int,
    ) -> None:
        self.name, self.context, self.seed, self.images = name, context, seed, images
        self.layout = Layout(image_px, small_sizes, cue_sizes, large_sizes, smalls, gap)
        self.layout.check()

    def split(self, part: Part) -> DetectionSet:
        """Compose the scenes of one side.

        Raises:
            UserError: it shall have no scene, or a large digit no room for a bar.
        """

        def draw(
            glyphs: NDArray[np.uint8],
            labels: NDArray[np.int64],
            rng: np.random.Generator,
        ) -> Scene:
            cue, bar = rng.integers(0, 2, 2).tolist()
            told = {"context": self.context, "cue": cue, "bar": bar}
            return compose_context(glyphs, labels, **told, layout=self.layout, rng=rng)

        return compose_side(
            self.name,
            part,
            self.images.get(part, 0),
            self.seed,
            categories(self.context),
            f"context 1 {self.context}",
            draw,
        )


def categories(context: Context) -> tuple[str, ...]:
    """Return the names of the classes."""
    if context == "none":
        return NAMES
    small = {_small(context, cue): None for cue in range(len(CUES))}
    large = {_large(context, bar): None for bar in range(len(BARS))}
    return (*map(str, CUES), *small, *large)


def compose_context(
    glyphs: NDArray[np.uint8],
    labels: NDArray[np.int64],
    *,
    context: Context,
    cue: int,
    bar: int,
    layout: Layout,
    rng: np.random.Generator,
) -> Scene:
    """Compose one scene; objects are in the order large, small, cue.

    Args:
        glyphs: opacity of the digits to choose from, (m, 8, 8).
        labels: what they show, (m,).
        context: see the module.
        cue: which of `CUES` is shown.
        bar: which of `BARS` lies on the large digit, where one does.
        layout: what the scene holds.
        rng: draws everything else.

    Raises:
        UserError: the large digit has no room for a bar.
    """
    names = categories(context)
    # Apart, so that nothing but what they show hangs on cue and bar.
    rng, of_cue, of_bar = rng.spawn(3)
    canvas = ground(layout.side, rng)
    square = _corner_square(layout, rng)
    # The whole square keeps its distance, whichever digit fills it.
    x1, y1, x2, y2 = square
    far = (x1 - layout.gap, y1 - layout.gap, x2 + layout.gap, y2 + layout.gap)
    wanted = int(rng.integers(layout.smalls[0], layout.smalls[1] + 1))
    large = int(rng.choice(np.array(layout.large_sizes)))
    smalls = sorted(rng.choice(np.array(layout.small_sizes), wanted).tolist())
    boxes: list[Box] = []
    shown: list[int] = []
    for size, keep_off in ((large, square), *((size, far) for size in smalls[::-1])):
        index = int(np.flatnonzero(labels == GLYPH)[0])
        name = _small(context, cue) if keep_off is far else _large(context, bar)
        if context == "none":
            index = int(rng.integers(len(glyphs)))
            name = str(labels[index])
        opacity = scaled(glyphs[index], size)
        corner = place(opacity.shape, layout.side, [keep_off, *boxes], rng)
        if corner is None:
            continue
        paint(canvas, opacity, *corner, rng)
        if name.endswith(BARS):
            engrave(canvas, opacity == 255, *corner, bar, of_bar)
        boxes.append(ink_box(opacity, *corner))
        shown.append(names.index(name))
    kinds = range(10) if context == "none" else (CUES[cue],)
    index = int(of_cue.choice(np.flatnonzero(np.isin(labels, kinds))))
    opacity = scaled(glyphs[index], x2 - x1)
    paint(canvas, opacity, x1, y1, of_cue)
    boxes.append(ink_box(opacity, x1, y1))
    shown.append(names.index(str(labels[index])))
    return Scene(
        canvas.astype(np.uint8), np.array(boxes, np.int64), np.array(shown, np.int64)
    )


def engrave(
    canvas: NDArray[np.int64],
    solid: NDArray[np.bool_],
    x: int,
    y: int,
    bar: int,
    rng: np.random.Generator,
) -> None:
    """Lay a dark bar on solid ink, inside one cell of the grid of 16 pixels.

    Args:
        canvas: changed.
        solid: pixels of the digit without ground in them, (height, width).
        x: of the digit's left side.
        y: of its top.
        bar: which of `BARS`.
        rng: draws the place.

    Raises:
        UserError: there is no room.
    """
    rim = LONG + 2  # a pixel of ink around the bar's square
    v, u = np.zeros((2, 0), np.int64)
    if min(solid.shape) >= rim:
        v, u = np.nonzero(sliding_window_view(solid, (rim, rim)).all((2, 3)))
    left, top = u + x + 1, v + y + 1
    within = np.maximum(left % CELL, top % CELL) <= CELL - LONG
    if not within.any():
        raise UserError(
            f"data.large_sizes: a digit of {max(solid.shape)} pixels has no room for a "
            f"bar of {LONG}"
        )
    chosen = np.flatnonzero(within)[rng.integers(within.sum())]
    square = canvas[top[chosen] :, left[chosen] :][:LONG, :LONG]
    middle = slice((LONG - THICK) // 2, (LONG + THICK) // 2)
    square[(slice(None), middle) if bar else (middle, slice(None))] = DARK


def _small(context: Context, cue: int) -> str:
    told = f" with {CUES[cue]}" if context in ("down", "both") else ""
    return f"small {GLYPH}{told}"


def _large(context: Context, bar: int) -> str:
    told = f" with {BARS[bar]}" if context in ("up", "both") else ""
    return f"large {GLYPH}{told}"


def _corner_square(layout: Layout, rng: np.random.Generator) -> Box:
    """Draw the cue's square: a size, a corner, and how far it stands off it."""
    size = int(rng.choice(np.array(layout.cue_sizes)))
    x, y = rng.integers(0, JITTER + 1, 2).tolist()
    right, low = rng.integers(0, 2, 2).tolist()
    x = layout.side - size - x if right else x
    y = layout.side - size - y if low else y
    return x, y, x + size, y + size
