"""A tiny COCO folder that the tests of data write, spoil and read."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from fpnbench.train.coco import CocoFolder

IMAGES = ((7, 40, 20, "a"), (3, 20, 40, "a"), (900, 32, 32, "b"))


@pytest.fixture
def content() -> dict[str, Any]:
    """Three images (40 x 20, 20 x 40, 32 x 32), sparse ids, one crowd, two scenes."""
    return {
        "images": [
            {"id": i, "file_name": f"{i}.png", "width": w, "height": h, "scene": s}
            for i, w, h, s in IMAGES
        ],
        "annotations": [
            {"id": 11, "image_id": 7, "category_id": 90, "bbox": [2, 4, 10, 8]},
            {"id": 12, "image_id": 7, "category_id": 5, "bbox": [20, 0, 20, 20]},
            {
                "id": 13,
                "image_id": 3,
                "category_id": 5,
                "bbox": [0, 0, 20, 30],
                "area": 123.5,
                "iscrowd": 1,
                "segmentation": {"counts": [0, 800], "size": [40, 20]},
            },
            {"id": 14, "image_id": 3, "category_id": 5, "bbox": [1, 2, 3, 4]},
        ],
        "categories": [{"id": 90, "name": "late"}, {"id": 5, "name": "early"}],
    }


@pytest.fixture
def write(tmp_path: Path, content: dict[str, Any]) -> Callable[..., Path]:
    """Write noise images and annotation files: write(train=CONTENT, val=...)."""

    def write_folder(**files: Any) -> Path:
        (tmp_path / "images").mkdir(exist_ok=True)
        generator = np.random.default_rng(0)
        for name, width, height, _ in IMAGES:
            pixels = generator.integers(0, 256, (height, width, 3), dtype=np.uint8)
            Image.fromarray(pixels).save(tmp_path / "images" / f"{name}.png")
        for part, value in (files or {"train": content}).items():
            text = value if isinstance(value, str) else json.dumps(value)
            (tmp_path / f"{part}.json").write_text(text)
        return tmp_path

    return write_folder


@pytest.fixture
def source() -> Callable[..., CocoFolder]:
    """Make a source of such a folder: source(root, group="scene", strict=True)."""

    def make(root: Path, group: str | None = None, strict: bool = False) -> CocoFolder:
        return CocoFolder(
            name="tiny",
            root=str(root),
            images={"train": "images", "val": "images", "test": None},
            annotations={"train": "train.json", "val": "val.json", "test": None},
            group=group,
            strict=strict,
        )

    return make
