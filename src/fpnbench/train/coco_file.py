"""Reads one annotation file in COCO's detection format and refuses what is wrong in it.

Every mistake is a `UserError` of one line with the file and the value; what is returned
can be used without another check.

Source: https://cocodataset.org/#format-data.
"""

import json
import math
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from fpnbench.graph.errors import UserError

Entry = dict[str, Any]


@dataclass(frozen=True, slots=True, eq=False)
class CocoFile:
    """A checked annotation file.

    Attributes:
        path: where it was read.
        raw: its bytes.
        names: category names by rising category id.
        labels: category id -> label 0..K-1.
        images: image entries by image id, in the file's order.
        objects: annotation entries by image id, for every image.
    """

    path: Path
    raw: bytes
    names: tuple[str, ...]
    labels: dict[int, int]
    images: dict[int, Entry]
    objects: dict[int, list[Entry]]


def read_coco(path: Path) -> CocoFile:
    """Read an annotation file.

    Raises:
        UserError: unreadable, not JSON, a missing key, an unknown or repeated id, a
            value of a wrong kind, no images.
    """
    try:
        raw = path.read_bytes()
    except OSError as error:
        raise UserError(
            f"annotations {path} cannot be read: {error.strerror}"
        ) from None
    content = _parse(path, raw)
    names, labels = _categories(path, content["categories"])
    images = _images(path, content["images"])
    objects = _objects(path, content["annotations"], images, labels)
    return CocoFile(path, raw, names, labels, images, objects)


def _parse(path: Path, raw: bytes) -> dict[str, list[Any]]:
    """Decode the file and see that its three lists are there."""
    try:
        content = json.loads(raw)
    except (ValueError, RecursionError) as error:
        raise UserError(f"{path} is not JSON: {error}") from None
    if not isinstance(content, dict):
        raise UserError(f"{path} is not in COCO format: no object at its top level")
    for key in ("images", "annotations", "categories"):
        if not isinstance(content.get(key), list):
            raise UserError(f"{path} lacks the list '{key}'")
    return content


def _categories(
    path: Path, entries: list[Any]
) -> tuple[tuple[str, ...], dict[int, int]]:
    """Return category names, and labels 0..K-1 by rising id."""
    if not entries:
        raise UserError(f"{path} has no categories")
    for entry in entries:
        _demand(path, "category", entry, ("id", "name"))
    _unique(path, "category id", (entry["id"] for entry in entries))
    ordered = sorted(entries, key=lambda entry: int(entry["id"]))
    labels = {entry["id"]: label for label, entry in enumerate(ordered)}
    return tuple(str(entry["name"]) for entry in ordered), labels


def _images(path: Path, entries: list[Any]) -> dict[int, Entry]:
    """Return the image entries by id."""
    if not entries:
        raise UserError(f"{path} has no images: an empty split")
    for entry in entries:
        _demand(path, "image", entry, ("id", "file_name", "width", "height"))
        width, height = entry["width"], entry["height"]
        if not all(isinstance(side, int) and side > 0 for side in (width, height)):
            raise UserError(
                f"{path}: image {entry['file_name']} has the size {width} x {height}"
            )
    _unique(path, "image id", (entry["id"] for entry in entries))
    return {entry["id"]: entry for entry in entries}


def _objects(
    path: Path, entries: list[Any], images: dict[int, Entry], labels: dict[int, int]
) -> dict[int, list[Entry]]:
    """Return the annotation entries of every image."""
    objects: dict[int, list[Entry]] = {image_id: [] for image_id in images}
    for entry in entries:
        _demand(path, "annotation", entry, ("image_id", "category_id", "bbox"))
        name = f"annotation {entry.get('id', _short(entry))}"
        if not _known(entry["category_id"], labels):
            raise UserError(
                f"{path}: {name} names the unknown category {entry['category_id']!r}"
            )
        if not _known(entry["image_id"], objects):
            raise UserError(
                f"{path}: {name} names the unknown image {entry['image_id']!r}"
            )
        if not _is_box(entry["bbox"]):
            raise UserError(
                f"{path}: {name} has the bbox {_short(entry['bbox'])}, not "
                "[x, y, width, height]"
            )
        objects[entry["image_id"]].append(entry)
    _unique(path, "annotation id", (e["id"] for e in entries if "id" in e))
    return objects


def _demand(path: Path, kind: str, entry: Any, keys: Iterable[str]) -> None:
    """See that an entry is an object with these keys."""
    if not isinstance(entry, dict):
        raise UserError(f"{path}: {kind} entry {_short(entry)} is not an object")
    for key in keys:
        if key not in entry:
            raise UserError(
                f"{path}: {kind} entry {_short(entry)} lacks the key '{key}'"
            )


def _unique(path: Path, kind: str, values: Iterable[Any]) -> None:
    """See that ids are integers and none stands twice."""
    seen: set[int] = set()
    for value in values:
        if not isinstance(value, int):
            raise UserError(f"{path}: {kind} {_short(value)} is not an integer")
        if value in seen:
            raise UserError(f"{path}: {kind} {value} stands twice")
        seen.add(value)


def _known(value: Any, ids: dict[int, Any]) -> bool:
    return isinstance(value, int) and value in ids


def _is_box(value: Any) -> bool:
    """Tell whether a value is a list of four finite numbers."""
    return (
        isinstance(value, list)
        and len(value) == 4
        and all(isinstance(v, int | float) and math.isfinite(v) for v in value)
    )


def _short(value: Any) -> str:
    """Return a value as it may stand in a message of one line."""
    text = repr(value)
    return text if len(text) <= 80 else f"{text[:80]}..."
