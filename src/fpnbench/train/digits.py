"""The built-in data set: scenes of scikit-learn's real handwritten digits.

`load_digits` is the test part of UCI's optical digits: 1797 digits that, says UCI, 13
people wrote. The file does not name them, but its labels repeat one form of about 130
digits (0..9 three times, then 0 9 5 5 6 5 ...) 14 times with few gaps: 14 filled forms,
one writer having filled two, we do not know which. Sides share no form, and every train
scene takes its digits from one form, which is its group; so search-val shows hands that
search-train did not see, but for at most one pair of forms of one hand.

Source: E. Alpaydin, C. Kaynak, Optical Recognition of Handwritten Digits, UCI, 1998
(CC BY 4.0).
"""

import hashlib
from collections.abc import Callable, Mapping, Sequence
from functools import partial

import numpy as np
from numpy.typing import NDArray
from sklearn.datasets import load_digits

from fpnbench.graph.errors import UserError
from fpnbench.train.compose import Scene, compose
from fpnbench.train.data import DetectionSet, Part, Record

# First digit of each filled form, and the end: where 0 1 ... 9 begins anew.
FORMS = (0, 130, 256, 386, 516, 646, 776, 915, 1029, 1157, 1287, 1415, 1545, 1667, 1797)
SIDES: dict[Part, tuple[int, ...]] = {
    "train": (0, 1, 2, 3, 4, 5, 6, 7),
    "val": (8, 9, 10),
    "test": (11, 12, 13),
}
IDS: dict[Part, int] = {"train": 0, "val": 1_000_000, "test": 2_000_000}
NAMES = tuple(map(str, range(10)))
Draw = Callable[..., Scene]
"""Called with the glyphs and labels to choose from, and rng; see `compose`."""


class Digits:
    """Scenes of digits, made on demand; classes are the digits 0..9.

    Args:
        name: for messages and run folders.
        seed: draws the scenes.
        image_px: side of the scenes, pixels.
        images: number of scenes of train, val and test.
        sizes: long sides of the digits, pixels, all equally likely.
        objects: fewest and most digits of a scene.

    Raises:
        UserError: a number of scenes, a size or a count of objects that cannot be.
    """

    def __init__(
        self,
        name: str,
        seed: int,
        image_px: int,
        images: Mapping[Part, int],
        sizes: Sequence[int],
        objects: tuple[int, int],
    ) -> None:
        if not sizes or not all(4 <= size <= image_px for size in sizes):
            raise UserError(f"data.sizes={list(sizes)}: 4 to {image_px} pixels allowed")
        if len(objects) != 2 or not 1 <= objects[0] <= objects[1]:
            raise UserError(
                f"data.objects={list(objects)}: [fewest, most] with 1 <= fewest <= most"
            )
        self.name = name
        self.seed = seed
        self.image_px = image_px
        self.images = images
        self.sizes = tuple(sizes)
        self.objects = (objects[0], objects[1])

    def split(self, part: Part) -> DetectionSet:
        """Compose the scenes of one side; the digest covers their pixels and boxes.

        Raises:
            UserError: it shall have no scene.
        """
        draw = partial(
            compose, side=self.image_px, sizes=self.sizes, objects=self.objects
        )
        return compose_side(
            self.name,
            part,
            self.images.get(part, 0),
            self.seed,
            NAMES,
            "digits 1",
            draw,
        )


def compose_side(
    name: str,
    part: Part,
    count: int,
    seed: int,
    categories: tuple[str, ...],
    kind: str,
    draw: Draw,
) -> DetectionSet:
    """Compose one side: every scene from one of its forms, which is its group.

    Args:
        name: of the source.
        part: the side.
        count: number of scenes.
        seed: of the source; a scene's own generator is seeded by it and its id.
        categories: names of the classes.
        kind: of scenes, and its version; begins the digest.
        draw: composes a scene.

    Raises:
        UserError: there shall be no scene.
    """
    if count < 1:
        raise UserError(f"data={name}: {count} {part} images, an empty split")
    digits = load_digits()
    glyphs = (digits.images.astype(np.int64) * 255 // 16).astype(np.uint8)
    labels = digits.target.astype(np.int64)
    records, scenes = [], {}
    digest = hashlib.sha256(kind.encode())
    for number in range(count):
        form = SIDES[part][number % len(SIDES[part])]
        chosen = slice(FORMS[form], FORMS[form + 1])
        image_id = IDS[part] + number
        rng = np.random.default_rng((seed, image_id))
        scene = draw(glyphs[chosen], labels[chosen], rng=rng)
        scenes[image_id] = scene.pixels
        record = _record(image_id, part, form, scene)
        records.append(record)
        for array in (scene.pixels, scene.boxes_xyxy, scene.labels):
            digest.update(array.tobytes())
        digest.update(record.group.encode())
    return DetectionSet(
        name=f"{name} {part}",
        categories=categories,
        records=tuple(records),
        digest=digest.hexdigest(),
        notes=(),
        load=partial(_load, scenes),
    )


def _record(image_id: int, part: Part, form: int, scene: Scene) -> Record:
    side = scene.pixels.shape[0]
    boxes = scene.boxes_xyxy.astype(np.float32)
    return Record(
        image_id=image_id,
        file=f"{part}-{image_id - IDS[part]:05d}",
        width=side,
        height=side,
        boxes_xyxy=boxes,
        labels=scene.labels,
        crowd=np.zeros(len(boxes), np.bool_),
        areas=np.prod(boxes[:, 2:] - boxes[:, :2], axis=1, dtype=np.float64),
        group=f"form-{form:02d}",
    )


def _load(scenes: dict[int, NDArray[np.uint8]], record: Record) -> NDArray[np.uint8]:
    """Return a scene's grey as RGB, (side, side, 3)."""
    return np.repeat(scenes[record.image_id][..., None], 3, axis=2)
