"""A sheet as PNG whose resolution is a whole number of pixels per millimetre, so that its density is exact."""

from pathlib import Path

import numpy as np

from calib.board_drawing.page import Page
from calib.board_drawing.pattern import Pattern
from calib.board_drawing.raster import fill

_DENSITIES = (24, 20, 16, 12, 10, 8, 6, 5, 4, 3, 2, 1)  # px per mm; 24 = 609.6 dpi
_MOST_PIXELS = 60_000_000


def pixels_per_mm(page: Page) -> int:
    """The finest density that keeps the picture below 60 million pixels; if it can be, one that fills the sheet exactly."""
    area = page.size_mm[0] * page.size_mm[1]
    possible = [density for density in _DENSITIES if density**2 * area <= _MOST_PIXELS] or [1]
    whole = [each for each in possible if all(abs(each * side - round(each * side)) < 1e-6 for side in page.size_mm)]
    return whole[0] if whole and 2 * whole[0] >= possible[0] else possible[0]


def write_png(page: Page, path: Path) -> None:
    """Write the picture; its density (pHYs) makes programs print it at actual size. OSError is left to the caller."""
    from PIL import Image, ImageDraw, ImageFont
    from PIL.PngImagePlugin import PngInfo

    density = pixels_per_mm(page)
    width, height = (round(side * density) for side in page.size_mm)
    shapes = Pattern(np.concatenate([page.board.boxes, page.ruler]), page.board.discs)
    picture = Image.fromarray(fill(shapes.placed(density, 0.0, 0.0), width, height))
    pen = ImageDraw.Draw(picture)
    for words in page.words:
        font = ImageFont.load_default(size=words.size_mm * density)
        pen.text((words.x_mm * density, words.y_mm * density), words.text, fill=0, font=font, anchor="ls")
    about = PngInfo()
    about.add_text("Title", page.title)
    dpi = density * 25.4
    picture.save(path, dpi=(dpi, dpi), pnginfo=about)
