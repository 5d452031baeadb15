"""Instruments: scenes whose labels ask a pyramid to carry information across levels.

Every scene shows a cue (one of two plain digits, the largest thing, in a corner), one
large eight and a few small ones, far from the cue. All eights of a scene are one and
the same glyph, so what class an eight has can only be told by something else:

- `down`: a small eight's class is the cue's. A head on the finest level does not see so
  far, so only a pyramid that carries coarse maps to fine ones can know it.
- `up`: a large eight's class is how the two stripes of a mark on it lie, a pixel wide.
  Coarser maps have lost that, so only a pyramid that carries fine maps up can know it.
- `both`: both at once. `none`: the same scenes of plain digits 0..9, nothing to carry.

Cue and mark are objects themselves, of classes that their own pixels tell: a network
is taught to read them on their own level, and what is asked of its pyramid is to carry
what was read. Each is one of two, drawn apart from everything else, and changes nothing
else in the scene: no rule over two cues, no companion by which one could guess.
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
CUES = ("0", "1")  # the two digits least like each other, and none like an eight
MARKS = ("-", "|")
GLYPH = 8
CELL, MARK = 8, 4  # px: a cell of the finest level, and a mark in the middle of one
DARK = 80  # grey of a mark's two stripes, one pixel wide
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
        small_sizes: see `Layout`; likewise `cue_sizes`, `large_sizes`, `smalls`, `gap`.

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
            UserError: it shall have no scene, or a large digit no room for a mark.
        """

        def draw(
            glyphs: NDArray[np.uint8],
            labels: NDArray[np.int64],
            rng: np.random.Generator,
        ) -> Scene:
            cue, mark = rng.integers(0, 2, 2).tolist()
            told = {"context": self.context, "cue": cue, "mark": mark}
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
    told = {
        "small": CUES if context in ("down", "both") else (),
        "large": MARKS if context in ("up", "both") else (),
    }
    eights = [
        name
        for size, tellers in told.items()
        for name in ([f"{size} with {by}" for by in tellers] or [size])
    ]
    return (*CUES, *told["large"], *eights)


def compose_context(
    glyphs: NDArray[np.uint8],
    labels: NDArray[np.int64],
    *,
    context: Context,
    cue: int,
    mark: int,
    layout: Layout,
    rng: np.random.Generator,
) -> Scene:
    """Compose one scene; objects are in the order large, small, cue, mark.

    Args:
        glyphs: opacity of the digits to choose from, (m, 8, 8).
        labels: what they show, (m,).
        context: see the module.
        cue: which of `CUES` is shown.
        mark: which of `MARKS` is on the large digit, where one is.
        layout: what the scene holds.
        rng: draws everything else.

    Raises:
        UserError: the large digit has no room for a mark.
    """
    plain = context == "none"
    names = categories(context)
    # Apart, so that nothing hangs on what cue and mark show.
    rng, of_cue, of_mark = rng.spawn(3)
    canvas = ground(layout.side, rng)
    square = _corner_square(layout, rng)
    boxes: list[Box] = []
    shown: list[str] = []
    eight = int(np.flatnonzero(labels == GLYPH)[0])
    marks: list[Box] = []
    for size, keep_off in _wanted(layout, square, rng):
        index = int(rng.integers(len(glyphs))) if plain else eight
        opacity = scaled(glyphs[index], size)
        corner = place(opacity.shape, layout.side, [keep_off, *boxes], rng)
        if corner is None:
            continue
        paint(canvas, opacity, *corner, rng)
        boxes.append(ink_box(opacity, *corner))
        is_small = keep_off is not square
        name = f"small with {CUES[cue]}" if is_small else f"large with {MARKS[mark]}"
        if plain:
            name = str(labels[index])
        elif name not in names:  # nothing tells it: one class of its size
            name = name.split()[0]
        elif not is_small:
            marks.append(engrave(canvas, opacity == 255, *corner, mark, of_mark))
        shown.append(name)
    allowed = labels >= 0 if plain else labels == int(CUES[cue])
    index = int(of_cue.choice(np.flatnonzero(allowed)))
    x, y, right, _ = square
    opacity = scaled(glyphs[index], right - x)
    paint(canvas, opacity, x, y, of_cue)
    boxes += [ink_box(opacity, x, y), *marks]
    shown += [str(labels[index]), *(MARKS[mark] for _ in marks)]
    return Scene(
        canvas.astype(np.uint8),
        np.array(boxes, np.int64),
        np.array([names.index(name) for name in shown], np.int64),
    )


def engrave(
    canvas: NDArray[np.int64],
    solid: NDArray[np.bool_],
    x: int,
    y: int,
    mark: int,
    rng: np.random.Generator,
) -> Box:
    """Lay a mark on solid ink and return its box, the same whichever it is.

    It stands in the middle of a cell of the finest level, so that this level has a
    location there, and both marks leave the same image at 1/16. The box has a pixel of
    ink around it.

    Args:
        canvas: changed.
        solid: pixels of the digit without ground in them, (height, width).
        x: of the digit's left side.
        y: of its top.
        mark: which of `MARKS`.
        rng: draws the place.

    Raises:
        UserError: there is no room.
    """
    rim = (CELL - MARK - 2) // 2
    side = CELL - 2 * rim
    tops, lefts = np.zeros((2, 0), np.int64)
    if min(solid.shape) >= side:
        tops, lefts = np.nonzero(sliding_window_view(solid, (side, side)).all((2, 3)))
    on_grid = ((lefts + x) % CELL == rim) & ((tops + y) % CELL == rim)
    if not on_grid.any():
        raise UserError(
            f"data.large_sizes: a digit of {max(solid.shape)} pixels has no room for a "
            f"mark"
        )
    chosen = rng.choice(np.flatnonzero(on_grid))
    left, top = int(lefts[chosen]) + x, int(tops[chosen]) + y
    inner = canvas[top + 1 : top + 1 + MARK, left + 1 : left + 1 + MARK]
    (inner.T if mark else inner)[::2] = DARK
    return left, top, left + side, top + side


def _wanted(
    layout: Layout, square: Box, rng: np.random.Generator
) -> list[tuple[int, Box]]:
    """Draw the sizes of the digits but the cue, and the place each keeps off.

    The large one comes first. The cue's whole square keeps its distance from the small
    ones, whichever digit fills it.
    """
    gap = layout.gap
    far = (square[0] - gap, square[1] - gap, square[2] + gap, square[3] + gap)
    count = int(rng.integers(layout.smalls[0], layout.smalls[1] + 1))
    large = int(rng.choice(np.array(layout.large_sizes)))
    smalls = sorted(rng.choice(np.array(layout.small_sizes), count).tolist())
    return [(large, square), *((size, far) for size in reversed(smalls))]


def _corner_square(layout: Layout, rng: np.random.Generator) -> Box:
    """Draw the cue's square: a size, a corner, and how far it stands off it."""
    size = int(rng.choice(np.array(layout.cue_sizes)))
    x, y = rng.integers(0, JITTER + 1, 2).tolist()
    right, low = rng.integers(0, 2, 2).tolist()
    x = layout.side - size - x if right else x
    y = layout.side - size - y if low else y
    return x, y, x + size, y + size
