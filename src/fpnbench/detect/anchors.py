"""Where predictions stand: locations and anchors of feature levels, and who owns what.

Level l of a square image of p pixels has ceil(p / 2**l) cells a side; a cell's location
is its middle. Letters as in `targets`.
"""

import math
from collections.abc import Sequence
from itertools import pairwise

import torch
from torch import Tensor

from fpnbench.detect.boxes import area, iou_BNA
from fpnbench.detect.targets import BACKGROUND, IGNORED, Assignment, Targets
from fpnbench.graph.errors import UserError


def side_cells(level: int, image_px: int) -> int:
    """Return the number of cells along a side of a level."""
    return math.ceil(image_px / (1 << level))


def cells(level: int, image_px: int) -> int:
    """Return the number of cells of a level, both sides together."""
    return side_cells(level, image_px) ** 2


def locations_A2(levels: Sequence[int], image_px: int) -> Tensor:
    """Return the middle (x, y) of every cell in pixels, level by level, row by row.

    Source: Tian et al. 2019, section 3.1; Google's anchors stand there too.
    """
    rows = []
    for level in levels:
        side = side_cells(level, image_px)
        axis = (torch.arange(side, dtype=torch.float32) + 0.5) * 2**level
        y, x = torch.meshgrid(axis, axis, indexing="ij")
        rows.append(torch.stack((x, y), -1).reshape(-1, 2))
    return torch.cat(rows)


def anchors_A4(
    levels: Sequence[int],
    image_px: int,
    *,
    anchor_scale: float,
    octave_scales: int,
    ratios: Sequence[float],
) -> Tensor:
    """Return the anchors of all levels as corners in pixels.

    The anchors of a cell follow each other: all ratios of a size, then the next size.

    Args:
        levels: feature levels, fine to coarse.
        image_px: side of the square image.
        anchor_scale: side of the smallest anchor in strides.
        octave_scales: sizes per octave, each 2**(1 / octave_scales) times the last.
        ratios: width / height, at equal area.

    Source: Lin et al. 2017, section 4 (arXiv 1708.02002).
    """
    sizes = [anchor_scale * 2 ** (i / octave_scales) for i in range(octave_scales)]
    shapes = [(s * math.sqrt(r), s / math.sqrt(r)) for s in sizes for r in ratios]
    half_S2 = torch.tensor(shapes, dtype=torch.float32) / 2
    rows = []
    for level in levels:
        at_M12 = locations_A2([level], image_px).unsqueeze(1)
        reach_S2 = half_S2 * 2**level
        rows.append(torch.cat((at_M12 - reach_S2, at_M12 + reach_S2), -1).flatten(0, 1))
    return torch.cat(rows)


def ssd_anchors_MS4(
    levels: Sequence[int],
    image_px: int,
    *,
    min_scale: float,
    max_scale: float,
    ratios: Sequence[float],
    lowest: Sequence[tuple[float, float]],
) -> list[Tensor]:
    """Return SSD's default boxes as corners in pixels, S of them at each of M cells.

    The levels share the scales from the least to the greatest evenly. A cell has a box
    of its level's scale in each ratio, and one square between its scale and the next
    (1 after the last). Cells divide the image evenly.

    Args:
        levels: feature levels, fine to coarse.
        image_px: side of the square image.
        min_scale: root of a box's area on the finest level, in image sides.
        max_scale: likewise on the coarsest one.
        ratios: width / height, at equal area.
        lowest: scale and ratio of the finest level's boxes, instead of those above.

    Source: Liu et al. 2016, section 2.2 (arXiv 1512.02325), as in tensorflow/models,
        `multiple_grid_anchor_generator.py`.
    """
    step = (max_scale - min_scale) / max(len(levels) - 1, 1)
    scales = [min_scale + i * step for i in range(len(levels))]
    boxes = []
    for level, scale, following in zip(levels, scales, [*scales[1:], 1.0], strict=True):
        specs = [(scale, r) for r in ratios] + [(math.sqrt(scale * following), 1.0)]
        if level == levels[0]:
            specs = list(lowest)
        shapes = [(s * math.sqrt(r), s / math.sqrt(r)) for s, r in specs]
        half_S2 = torch.tensor(shapes, dtype=torch.float32) * image_px / 2
        stretch = image_px / (side_cells(level, image_px) * 2**level)
        at_M12 = locations_A2([level], image_px).unsqueeze(1) * stretch
        boxes.append(torch.cat((at_M12 - half_S2, at_M12 + half_S2), -1))
    return boxes


def range_bounds(
    ranges_px: Sequence[float], planned: Sequence[int], levels: Sequence[int]
) -> list[tuple[float, float]]:
    """Return (lower, upper) bound in pixels of each level that is there.

    The range of a planned level that is missing goes to the nearest one that is there,
    the finer at a tie, so that the ranges always cover everything.

    Args:
        ranges_px: upper bounds of all planned levels but the last, rising.
        planned: levels the ranges were made for, rising.
        levels: levels that are there, a subset of `planned`, rising.

    Raises:
        UserError: the ranges do not rise, or do not fit the levels.
    """
    if len(ranges_px) != len(planned) - 1:
        raise UserError(
            f"detector.ranges={list(ranges_px)}: levels {list(planned)} need "
            f"{len(planned) - 1} bounds"
        )
    if any(b <= a for a, b in pairwise((0.0, *ranges_px))):
        raise UserError(f"detector.ranges={list(ranges_px)} must be positive and rise")
    if not set(levels) <= set(planned):
        raise UserError(
            f"detector.ranges are for the levels {list(planned)}, not for "
            f"{list(levels)}"
        )
    edges = [0.0, *ranges_px, math.inf]
    owner = [min(levels, key=lambda here: (abs(here - p), here)) for p in planned]
    bounds = []
    for level in levels:
        own = [i for i, at in enumerate(owner) if at == level]
        bounds.append((edges[own[0]], edges[own[-1] + 1]))
    return bounds


def assign_locations(
    targets: Targets,
    points_A2: Tensor,
    radius_A: Tensor,
    low_A: Tensor,
    high_A: Tensor,
) -> Assignment:
    """Give each location the smallest object that it is central to and in range of.

    A location is central to an object within `radius` of its middle (a square, cut off
    by the object's box), and in range where its largest distance to a side is.

    Args:
        targets: the objects.
        points_A2: locations, pixels.
        radius_A: centre sampling radius, pixels.
        low_A: the largest distance must exceed this, pixels.
        high_A: and be at most this, pixels.

    Source: Tian et al. 2019, section 3.2 (arXiv 1904.01355), with the centre sampling
    of the authors' later release.
    """
    low_BN2 = targets.boxes_xyxy_BN4[..., :2]
    high_BN2 = targets.boxes_xyxy_BN4[..., 2:]
    half_BN21 = ((high_BN2 - low_BN2) / 2).unsqueeze(-1)
    middle_BN21 = ((high_BN2 + low_BN2) / 2).unsqueeze(-1)
    # With the object's middle as origin, all four distances need only |x| and |y|.
    x_BNA, y_BNA = (points_A2.T - middle_BN21).abs_().unbind(-2)
    half_w, half_h = half_BN21.unbind(-2)
    central = (x_BNA < half_w.minimum(radius_A)) & (y_BNA < half_h.minimum(radius_A))
    reach = torch.maximum(x_BNA + half_w, y_BNA + half_h)
    fits = central & (reach > low_A) & (reach <= high_A)
    area_BN1 = area(targets.boxes_xyxy_BN4).unsqueeze(-1)
    smallest = torch.where(fits, area_BN1, math.inf).min(dim=1)
    objects_BA = smallest.indices.masked_fill(smallest.values.isinf(), BACKGROUND)
    return Assignment(objects_BA, torch.zeros_like(objects_BA, dtype=torch.bool))


def assign_anchors(
    targets: Targets,
    anchors_A4: Tensor,
    *,
    positive_iou: float,
    negative_iou: float,
    force_match: bool,
) -> Assignment:
    """Give each anchor the object it overlaps most, if it overlaps enough.

    Args:
        targets: the objects.
        anchors_A4: corners, pixels.
        positive_iou: overlap from which an anchor is positive.
        negative_iou: overlap below which it is background; between, it is ignored.
        force_match: each object also gets the anchor that overlaps it most, however
            little (the first of equals; of objects that want the same one the first).

    Source: Lin et al. 2017, section 4 (arXiv 1708.02002); force matching as in Google's
    release (TensorFlow's `ArgMaxMatcher`).
    """
    overlap_BNA = iou_BNA(targets.boxes_xyxy_BN4, anchors_A4)
    best = overlap_BNA.max(dim=1)
    objects_BA = best.indices.masked_fill(best.values < positive_iou, IGNORED)
    objects_BA.masked_fill_(best.values < negative_iou, BACKGROUND)
    if not force_match:
        return Assignment(objects_BA, torch.zeros_like(objects_BA, dtype=torch.bool))
    N = overlap_BNA.shape[1]
    top = overlap_BNA.max(dim=2)
    order_N = torch.arange(N, device=objects_BA.device)
    asking_BN = torch.where(top.values > 0, order_N, N)  # padding asks for nothing
    asked_BA = torch.full_like(objects_BA, N)
    asked_BA.scatter_reduce_(1, top.indices, asking_BN, "amin")
    forced_BA = (asked_BA < N) & (asked_BA != objects_BA)
    return Assignment(torch.where(asked_BA < N, asked_BA, objects_BA), forced_BA)
