"""Data sets in COCO's detection format, COCO itself included.

Boxes that real sets get wrong are repaired, counted and told once; everything else that
is wrong is a `UserError` before anything is trained.
"""

import hashlib
from collections.abc import Mapping
from functools import partial
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from fpnbench.graph.errors import UserError
from fpnbench.train.coco_file import CocoFile, Entry, read_coco
from fpnbench.train.data import DetectionSet, Part, Record

# Published boxes are rounded to hundredths of a pixel: one that sticks out by no more
# than the rounding of its corner and its size is clipped without a word.
ROUNDING_PX = 0.02

PILLOW_ERRORS = (OSError, SyntaxError, ValueError, Image.DecompressionBombError)


class CocoFolder:
    """A folder with images and one annotation file for each side.

    Args:
        name: for messages and run folders.
        root: the folder.
        images: sub folder of the images of train, val and test.
        annotations: annotation file of each, relative to `root`; null where a side does
            not exist.
        group: field of the image entries whose equal values belong together; null:
            every image is a group of its own.
        strict: make boxes that stick out of their image or have no size an error.

    Raises:
        UserError: no root is given.
    """

    def __init__(
        self,
        name: str,
        root: str | None,
        images: Mapping[str, str | None],
        annotations: Mapping[str, str | None],
        group: str | None,
        strict: bool,
    ) -> None:
        if root is None:
            raise UserError(f"data={name} needs data.root=FOLDER")
        self.name = name
        self.root = Path(root)
        self.images = images
        self.annotations = annotations
        self.group = group
        self.strict = strict
        self._first: tuple[Path, tuple[str, ...]] | None = None

    def split(self, part: Part) -> DetectionSet:
        """Read the annotations of one side and see that its images are there.

        The digest covers the bytes of the annotation file, the group field, and every
        image's name and size in bytes: to read 118 000 images would take minutes.

        Raises:
            UserError: a missing folder, file or key, an unknown id, no images,
                categories that are not those of the side read first.
        """
        annotations, images = self.annotations.get(part), self.images.get(part)
        if annotations is None or images is None:
            raise UserError(f"data={self.name} has no {part} split")
        folder = self.root / images
        for path in (self.root, folder):
            if not path.is_dir():
                raise UserError(
                    f"data={self.name}: no folder {path} "
                    "(set FPNBENCH_DATA or data.root)"
                )
        file = read_coco(self.root / annotations)
        self._check_categories(file)
        records, notes = _records(file, self.group, self.strict)
        digest = hashlib.sha256(f"1 {self.group} ".encode() + file.raw)
        for record in records:
            digest.update(f"{record.file} {_bytes(folder / record.file)} ".encode())
        return DetectionSet(
            name=f"{self.name} {part}",
            categories=file.names,
            records=records,
            digest=digest.hexdigest(),
            notes=notes,
            load=partial(load_image, folder),
        )

    def _check_categories(self, file: CocoFile) -> None:
        """See that all sides name the same categories: labels are indices into them."""
        first, names = self._first or (file.path, file.names)
        if names != file.names:
            raise UserError(f"the categories of {file.path} are not those of {first}")
        self._first = (first, names)


def load_image(folder: Path, record: Record) -> NDArray[np.uint8]:
    """Decode an image to RGB, (height, width, 3) uint8.

    Raises:
        UserError: it is missing, broken, or not of the size its annotation states.
    """
    path = folder / record.file
    try:
        with Image.open(path) as image:
            pixels = np.asarray(image.convert("RGB"))
    except PILLOW_ERRORS as error:
        raise UserError(f"image {path} cannot be read: {error}") from None
    height, width, _ = pixels.shape
    if (width, height) != (record.width, record.height):
        raise UserError(
            f"image {path} is {width} x {height} pixels, its annotation says "
            f"{record.width} x {record.height}"
        )
    return pixels


def _bytes(path: Path) -> int:
    """Return a file's size in bytes."""
    try:
        return path.stat().st_size
    except OSError as error:
        raise UserError(f"image {path} cannot be read: {error.strerror}") from None


def _records(
    file: CocoFile, group: str | None, strict: bool
) -> tuple[tuple[Record, ...], tuple[str, ...]]:
    """Make the records of a checked file, and the notes on what was repaired."""
    records, clipped, dropped = [], 0, 0
    for image_id, entry in file.images.items():
        objects = file.objects[image_id]
        given, boxes = _boxes(entry, objects)
        keep: NDArray[np.bool_] = np.all(boxes[:, 2:] > boxes[:, :2], axis=1)
        outside = keep & (np.abs(given - boxes).max(1, initial=0.0) > ROUNDING_PX)
        if strict and (outside.any() or not keep.all()):
            first = int(np.argmax(outside | ~keep))
            raise UserError(
                f"{file.path}: bbox {objects[first]['bbox']} of image "
                f"{entry['file_name']} sticks out of its {entry['width']} x "
                f"{entry['height']} pixels or has no size (data.strict=true)"
            )
        clipped += int(outside.sum())
        dropped += int((~keep).sum())
        kept = [obj for obj, k in zip(objects, keep.tolist(), strict=True) if k]
        records.append(
            Record(
                image_id=image_id,
                file=str(entry["file_name"]),
                width=entry["width"],
                height=entry["height"],
                boxes_xyxy=boxes[keep].astype(np.float32),
                labels=np.array(
                    [file.labels[o["category_id"]] for o in kept], np.int64
                ),
                crowd=np.array([bool(o.get("iscrowd", 0)) for o in kept], np.bool_),
                areas=_areas(kept, boxes[keep]),
                group=_group(file.path, entry, group),
            )
        )
    notes = []
    if clipped:
        notes.append(f"{file.path}: {clipped} boxes that stuck out were clipped")
    if dropped:
        notes.append(f"{file.path}: {dropped} boxes without a size were dropped")
    return tuple(records), tuple(notes)


def _boxes(
    entry: Entry, objects: list[Entry]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return an image's boxes as corners, as given and clipped to the image, (n, 4)."""
    boxes = np.array([o["bbox"] for o in objects], np.float64).reshape(-1, 4)
    boxes[:, 2:] += boxes[:, :2]
    limits = np.array([entry["width"], entry["height"]] * 2, np.float64)
    return boxes, np.clip(boxes, 0.0, limits)


def _areas(objects: list[Entry], boxes: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the stated areas (COCO's are of masks), else the boxes', (n,)."""
    sizes = boxes[:, 2:] - boxes[:, :2]
    stated = [o.get("area") for o in objects]
    return np.array(
        [
            a if isinstance(a, int | float) else w * h
            for a, (w, h) in zip(stated, sizes, strict=True)
        ],
        np.float64,
    )


def _group(path: Path, entry: Entry, field: str | None) -> str:
    """Return the group of an image, by default its own id."""
    name = "id" if field is None else field
    if entry.get(name) is None:
        raise UserError(
            f"{path}: image {entry['file_name']} has no field '{field}', which "
            "data.group names (null makes every image its own group)"
        )
    return str(entry[name])
