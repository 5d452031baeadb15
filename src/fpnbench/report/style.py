"""One look for every figure: colours, axes, and how a figure is saved.

Figures are made through matplotlib's object API: nothing here touches pyplot, so
drawing changes no state that a user's own code would see.
"""

from pathlib import Path

from matplotlib.axes import Axes
from matplotlib.figure import Figure

INK, MUTED, FAINT = "#1f2933", "#6b7785", "#dfe4ea"
BLUE, AMBER, RED, GREEN, TEAL, VIOLET = (
    *("#3a6fb0", "#e39a1c", "#d0455c", "#6ba32d", "#1f9e94", "#7b5ea7"),
)
SERIES = (BLUE, AMBER, TEAL, RED, VIOLET, GREEN)
"""Colours of lines that are compared, in order."""
DASHES = ("-", "--", "-.", ":", "-", "--")
"""Line styles beside them: of two lines on each other both show, in grey print too."""
DOTS_PER_INCH = 160


def panels(
    columns: int, size: tuple[float, float], title: str, rows: int = 1
) -> tuple[Figure, list[Axes]]:
    """Return a figure with a title and `rows` x `columns` styled panels.

    Args:
        columns: panels beside each other.
        size: width and height of one panel, inches.
        title: stands above all of them; empty for none.
        rows: panels above each other.
    """
    figsize = (columns * size[0], rows * size[1] + 0.4 * bool(title))
    figure = Figure(figsize=figsize, layout="constrained")
    if title:
        figure.suptitle(title, fontsize=12, fontweight="bold", color=INK)
    axes = list(figure.subplots(rows, columns, squeeze=False).ravel())
    for axis in axes:
        dress(axis)
    return figure, axes


def dress(axis: Axes) -> None:
    """Give a panel the project's look."""
    axis.grid(color=FAINT, linewidth=0.8)
    axis.set_axisbelow(True)
    axis.tick_params(colors=MUTED, labelsize=9, length=0)
    axis.xaxis.label.set_color(INK)
    axis.yaxis.label.set_color(INK)
    for side, spine in axis.spines.items():
        spine.set_visible(side in ("left", "bottom"))
        spine.set_color(FAINT)


def save(figure: Figure, path: Path) -> None:
    """Write a figure as the suffix of `path` says (.png, .pdf), without a date."""
    dated = {"CreationDate": None} if path.suffix == ".pdf" else {}
    figure.savefig(path, dpi=DOTS_PER_INCH, facecolor="white", metadata=dated)
