"""How our plots look, and figures as SVG text or PNG bytes: the same figure gives the same bytes."""

import io
import re
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import ArrayLike

from calib.geometry import Array

if TYPE_CHECKING:
    from matplotlib.figure import Figure

INK, SOFT, LINE, ACCENT = "#1d2329", "#5c6670", "#dfe3e7", "#b3541e"
SIDES = ("#1f6aa5", "#c2571a")
"""colours of the left and the right camera"""
GOOD, BAD, GREY = "#2e7d4f", "#b3261e", "#9aa4ad"
MOST_VECTOR_MARKS = 20_000
"""plots of more marks hold them as a picture: a page of a hundred pairs stays small"""

_STYLE: dict[str, Any] = {
    "font.family": ["DejaVu Sans"],
    "font.size": 9.0,
    "axes.titlesize": 10.0,
    "axes.titleweight": "normal",
    "axes.labelsize": 9.0,
    "axes.edgecolor": "#8a949d",
    "axes.labelcolor": SOFT,
    "axes.titlecolor": INK,
    "axes.linewidth": 0.8,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": False,
    "xtick.color": SOFT,
    "ytick.color": SOFT,
    "xtick.labelsize": 8.5,
    "ytick.labelsize": 8.5,
    "grid.color": LINE,
    "grid.linewidth": 0.8,
    "legend.frameon": False,
    "legend.fontsize": 8.5,
    "svg.hashsalt": "calib",
    "svg.fonttype": "path",
    "path.simplify": True,
}


def new_figure(
    width_in: float,
    height_in: float,
    *,
    columns: int = 1,
    rows: int = 1,
    margins_in: tuple[float, float, float, float] = (0.62, 0.12, 0.48, 0.3),
    gaps_in: tuple[float, float] = (0.75, 0.6),
) -> "Figure":
    """An empty figure for a grid of plots; make it, fill it and draw it inside `style()`.

    Margins (left, right, bottom, top) and gaps (across, down) are fixed: to find them by drawing, as matplotlib can, takes as
    long as all the rest.
    """
    from matplotlib.figure import Figure

    figure = Figure(figsize=(width_in, height_in), facecolor="white")
    left, right, bottom, top = margins_in
    across, down = gaps_in
    column = (width_in - left - right - (columns - 1) * across) / columns
    row = (height_in - bottom - top - (rows - 1) * down) / rows
    figure.subplots_adjust(
        left=left / width_in,
        right=1.0 - right / width_in,
        bottom=bottom / height_in,
        top=1.0 - top / height_in,
        wspace=across / column,
        hspace=down / row,
    )
    return figure


def style() -> Any:
    """A context in which figures take our fonts, colours and line widths, whatever the user's own settings are."""
    import matplotlib

    # "backend" stays what it is: to look at it makes matplotlib load its interface for windows
    settings: dict[Any, Any] = {**matplotlib.rcParamsDefault, **_STYLE}
    del settings["backend"]
    return matplotlib.rc_context(settings)


def svg(figure: "Figure", *, prefix: str = "") -> str:
    """A figure as an `<svg>` element without header, date and fixed size.

    Parameters
    ----------
    figure : matplotlib.figure.Figure
    prefix : str
        Put before every identifier, so that several figures can stand on one page.
    """
    from matplotlib.backends.backend_svg import FigureCanvasSVG

    stream = io.StringIO()
    with style():
        canvas: Any = FigureCanvasSVG(figure)
        canvas.print_svg(stream, metadata={"Date": None, "Creator": None, "Format": None, "Type": None})
    text = stream.getvalue()
    text = text[text.index("<svg") :]
    if prefix:
        text = re.sub(r'\bid="', f'id="{prefix}', text)
        text = re.sub(r'href="#', f'href="#{prefix}', text)
        text = text.replace("url(#", f"url(#{prefix}")
    return re.sub(r"\n\s*", "\n", text)


def png(figure: "Figure", *, dpi: float = 150.0) -> bytes:
    """A figure as the bytes of a PNG file."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg

    stream = io.BytesIO()
    figure.set_dpi(dpi)
    with style():
        canvas: Any = FigureCanvasAgg(figure)
        canvas.print_png(stream, metadata={"Software": None}, pil_kwargs={"compress_level": 9})
    return stream.getvalue()


def error_colours(errors_px: Sequence[float]) -> list[str]:
    """Colours from pale (0.7 of the median and less) to dark (2.5 medians and more); grey where unknown."""
    import matplotlib
    from matplotlib.colors import to_hex

    known = [e for e in errors_px if np.isfinite(e)]
    median = (float(np.median(known)) if known else 0.0) or 1.0
    shade = matplotlib.colormaps["viridis_r"]
    places = [0.25 + 0.75 * min(max((e / median - 0.7) / 1.8, 0.0), 1.0) for e in errors_px]
    return [to_hex(shade(place)) if np.isfinite(e) else GREY for place, e in zip(places, errors_px, strict=True)]


def round_up(value: float) -> float:
    """The next of 1, 2, 5 times a power of ten."""
    if not (np.isfinite(value) and value > 0.0):
        return 1.0
    power = 10.0 ** np.floor(np.log10(value))
    return float(power * next(n for n in (1.0, 2.0, 5.0, 10.0) if n * power >= value * (1.0 - 1e-9)))


def finite(values: ArrayLike) -> Array:
    """The finite ones of some numbers."""
    array = np.asarray(values, np.float64).ravel()
    return array[np.isfinite(array)]
