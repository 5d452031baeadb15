"""SVG to PNG by resvg, with the font file that matplotlib brings along.

No system font is read, so a picture has the same bytes on every machine.
"""

from pathlib import Path

import matplotlib
from resvg_py import svg_to_bytes

_FONTS = Path(matplotlib.get_data_path()) / "fonts" / "ttf"


def svg_to_png(svg: str, path: Path, zoom: float = 2.0) -> None:
    """Render an SVG text into a PNG file.

    Args:
        svg: text of an SVG file whose font family is DejaVu Sans.
        path: file to write; its folder exists.
        zoom: pixels per unit of the SVG.
    """
    fonts = [str(_FONTS / name) for name in ("DejaVuSans.ttf", "DejaVuSans-Bold.ttf")]
    path.write_bytes(
        svg_to_bytes(
            svg_string=svg,
            skip_system_fonts=True,
            font_files=fonts,
            font_family="DejaVu Sans",
            sans_serif_family="DejaVu Sans",
            zoom=zoom,
        )
    )
