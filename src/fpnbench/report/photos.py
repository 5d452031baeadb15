"""Detections on photos, so that a person sees what an AP means."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from matplotlib.axes import Axes
from matplotlib.patches import Rectangle
from numpy.typing import NDArray

from fpnbench.report.style import AMBER, BLUE, panels, save

COLUMNS = 3


@dataclass(frozen=True, slots=True, eq=False)
class Photo:
    """One image with what is there and what was found.

    Attributes:
        pixels: (H, W, 3) uint8 RGB.
        truth_xyxy: corners of the objects, pixels.
        found_xyxy: corners of the detections that are shown, pixels.
        labels: of each detection, `fish .83`.
    """

    pixels: NDArray[np.uint8]
    truth_xyxy: NDArray[np.float32]
    found_xyxy: NDArray[np.float32]
    labels: Sequence[str]


def photos_figure(photos: Sequence[Photo], path: Path, title: str) -> None:
    """Draw photos in rows of three; objects dashed blue, detections amber.

    Args:
        photos: at least one.
        path: suffix .png or .pdf.
        title: stands above.
    """
    rows = -(-len(photos) // COLUMNS)
    figure, axes = panels(COLUMNS, (3.6, 3.6), title, rows)
    for axis, photo in zip(axes, photos, strict=False):
        axis.imshow(photo.pixels)
        for box in photo.truth_xyxy:
            _outline(axis, box, BLUE, "--")
        for box, label in zip(photo.found_xyxy, photo.labels, strict=True):
            _outline(axis, box, AMBER, "-")
            axis.text(
                *(float(box[0]), float(box[1]) - 2),
                label,
                fontsize=7,
                color="white",
                bbox={"facecolor": AMBER, "edgecolor": "none", "pad": 0.8},
                clip_on=True,
            )
    for axis in axes:
        axis.axis("off")
    save(figure, path)


def _outline(axis: Axes, box: NDArray[np.float32], colour: str, style: str) -> None:
    (x1, y1, x2, y2) = (float(value) for value in box)
    axis.add_patch(
        Rectangle(
            *((x1, y1), x2 - x1, y2 - y1),
            fill=False,
            edgecolor=colour,
            linestyle=style,
            linewidth=1.3,
        )
    )
