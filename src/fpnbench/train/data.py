"""Detection sets: what a source yields and how a part of train is held out.

A set is its records (sizes, boxes, labels: small, always in memory), a way to load a
record's pixels, and a digest of all that decides scores. Three roles of data are never
mixed: search-val is drawn from train by `search_split`, val and test are the source's.
"""

import hashlib
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Literal, Protocol

import numpy as np
from numpy.typing import NDArray

from fpnbench.graph.errors import UserError

Part = Literal["train", "val", "test"]


@dataclass(frozen=True, slots=True, eq=False)
class Record:
    """One image and its objects; n objects, in pixels of the stored image.

    Attributes:
        image_id: the source's own id.
        file: name by which messages call the image.
        width: of the stored image, pixels; likewise `height`.
        boxes_xyxy: corners, (n, 4) float32, inside the image, with a size.
        labels: category index 0..K-1, (n,) int64.
        crowd: objects that mark a region of many (COCO's iscrowd): never trained on,
            ignored in scoring by pycocotools' rule, (n,) bool.
        areas: what decides the size class in scoring, pixels squared, (n,) float64.
        group: images of one group stand on one side of every split.
    """

    image_id: int
    file: str
    width: int
    height: int
    boxes_xyxy: NDArray[np.float32]
    labels: NDArray[np.int64]
    crowd: NDArray[np.bool_]
    areas: NDArray[np.float64]
    group: str


@dataclass(frozen=True, slots=True, eq=False)
class DetectionSet:
    """One side of a data set.

    Attributes:
        name: for messages, such as "aquarium train".
        categories: names, in the order of the labels.
        records: the images.
        digest: hex digest of what decides scores, see the source.
        notes: what was repaired on reading, one line each, to be told once.
        load: pixels of a record, (height, width, 3) uint8 RGB.
    """

    name: str
    categories: tuple[str, ...]
    records: tuple[Record, ...]
    digest: str
    notes: tuple[str, ...]
    load: Callable[[Record], NDArray[np.uint8]]


class DataSource(Protocol):
    """A data set with up to three sides."""

    name: str

    def split(self, part: Part) -> DetectionSet:
        """Read one side.

        Raises:
            UserError: the data are missing or not as they must be.
        """
        ...


def subset(dataset: DetectionSet, indices: Sequence[int], name: str) -> DetectionSet:
    """Choose records of a set; the digest is that of the set and of the choice."""
    text = f"{dataset.digest} {' '.join(map(str, indices))}"
    return replace(
        dataset,
        name=name,
        records=tuple(dataset.records[i] for i in indices),
        digest=hashlib.sha256(text.encode()).hexdigest(),
    )


def search_split(
    train: DetectionSet, split_seed: int, held_out: float
) -> tuple[DetectionSet, DetectionSet]:
    """Divide train into search-train and search-val by whole groups.

    Groups are put into an order drawn by `split_seed` alone and taken until the number
    of their images is as near to the wanted one as it gets; records keep their order.

    Args:
        train: the source's train side.
        split_seed: draws the order of groups; no other seed matters.
        held_out: of search-val: below 1 the share of train's images, else their number
            (COCO: 7392, NAS-FPN section 4.1).

    Returns:
        Search-train and search-val.

    Raises:
        UserError: one of the two would be empty.
    """
    total = len(train.records)
    wanted = held_out * total if held_out < 1 else held_out
    if not 0 < wanted < total:
        raise UserError(
            f"data.held_out={held_out} of the {total} images of {train.name} leaves "
            "one side of the search split empty; give a share in (0, 1) or a number of "
            "images"
        )
    sizes = Counter(record.group for record in train.records)
    names = sorted(sizes)
    chosen: set[str] = set()
    count = 0
    for index in np.random.default_rng(split_seed).permutation(len(names)):
        larger = count + sizes[names[index]]
        if abs(larger - wanted) >= abs(count - wanted):
            break
        chosen.add(names[index])
        count = larger
    if not 0 < count < total:
        raise UserError(
            f"data.group leaves one side of the search split of {train.name} empty: "
            f"{len(names)} group(s), the largest of {max(sizes.values())} of {total} "
            f"images, for data.held_out={held_out}"
        )
    inside = [i for i, r in enumerate(train.records) if r.group in chosen]
    outside = [i for i, r in enumerate(train.records) if r.group not in chosen]
    return (
        subset(train, outside, f"{train.name} (search-train)"),
        subset(train, inside, f"{train.name} (search-val)"),
    )
