"""A sheet as SVG: one user unit is a millimetre."""

from html import escape

from calib.board_drawing.page import Page


def svg_text(page: Page) -> str:
    """The file."""
    width, height = (_number(side) for side in page.size_mm)
    board = "".join(_box(box) for box in page.board.boxes.tolist()) + "".join(_disc(*disc) for disc in page.board.discs.tolist())
    ruler = "".join(_box(box) for box in page.ruler.tolist())
    words = "\n".join(
        f'<text x="{_number(each.x_mm)}" y="{_number(each.y_mm)}" font-size="{_number(each.size_mm)}"'
        f' font-family="Helvetica, Arial, sans-serif" xml:space="preserve">{escape(each.text)}</text>'
        for each in page.words
    )
    return f"""<?xml version="1.0" encoding="UTF-8"?>
<svg xmlns="http://www.w3.org/2000/svg" width="{width}mm" height="{height}mm" viewBox="0 0 {width} {height}">
<title>{escape(page.title)}</title>
<rect width="100%" height="100%" fill="white"/>
<path id="board" fill="black" d="{board}"/>
<path id="ruler" fill="black" d="{ruler}"/>
{words}
</svg>
"""


def _box(box: list[float]) -> str:
    left, top, right, bottom = (_number(value) for value in box)
    return f"M{left} {top}H{right}V{bottom}H{left}Z"


def _disc(x: float, y: float, radius: float) -> str:
    r, left, right, middle = _number(radius), _number(x - radius), _number(x + radius), _number(y)
    return f"M{left} {middle}A{r} {r} 0 0 1 {right} {middle}A{r} {r} 0 0 1 {left} {middle}Z"


def _number(value: float) -> str:
    """Decimals without exponent, exact to 1e-6 mm."""
    return f"{value:.6f}".rstrip("0").rstrip(".")
