"""The sheet: where the board, the ruler and the words stand."""

import math
from dataclasses import dataclass, replace

import numpy as np

from calib.board_drawing.pattern import Pattern, pattern
from calib.errors import UsageError
from calib.geometry import Array
from calib.target import Target

FOOTER_MM = 11.0
"""height of the words and the ruler below the board"""
_GAP_MM = 4.0  # white between board and footer
_TEXT_MM = 3.2
_LETTER = 0.56  # mean width of a letter, in heights of the font; text that would be wider is made smaller
_LINE_MM, _TICK_MM = 0.3, 3.0


@dataclass(frozen=True, slots=True)
class Words:
    """A line of text."""

    x_mm: float
    """left end"""
    y_mm: float
    """base line"""
    size_mm: float
    """height of the font"""
    text: str


@dataclass(frozen=True, slots=True, eq=False)
class Page:
    """All that stands on a sheet; millimetres from its top left corner, y down."""

    size_mm: tuple[float, float]
    """width, height"""
    board: Pattern
    """dark shapes of the board, mm"""
    ruler: Array
    """(N, 4) boxes, the first one being the line: left, top, right, bottom"""
    ruler_mm: float
    """length of the line"""
    words: tuple[Words, ...]
    title: str
    """the board in words"""
    origin_mm: tuple[float, float]
    """where the origin of the board's frame lies"""


def lay_out(target: Target, paper_mm: tuple[float, float], *, margin_mm: float, paper: str) -> Page:
    """Place a board on a sheet, turned to the side on which more white is left around it.

    Raises
    ------
    UsageError
        The board does not fit; with the largest one of its kind that does.
    """
    low, high = outline_mm(target)
    extent = high - low
    room = {size: _room(size, margin_mm) for size in (paper_mm, paper_mm[::-1])}
    size = max(room, key=lambda each: float((room[each] - extent).min()))
    if (room[size] - extent).min() < -1e-6:
        raise UsageError(_too_large(target, extent, list(room.values()), paper))
    corner = margin_mm + 0.5 * (room[size] - extent)
    origin = corner - low
    base = size[1] - margin_mm - FOOTER_MM
    width = size[0] - 2.0 * margin_mm
    ruler, ruler_mm = _ruler(margin_mm, base + 6.0, width)
    return Page(
        size_mm=size,
        board=pattern(target).placed(1e3, *origin.tolist()),
        ruler=ruler,
        ruler_mm=ruler_mm,
        words=_words(target, ruler_mm, margin_mm, base, width),
        title=str(target),
        origin_mm=(float(origin[0]), float(origin[1])),
    )


def fits(target: Target, paper_mm: tuple[float, float], margin_mm: float) -> bool:
    """Whether `lay_out` finds a place for a board."""
    low, high = outline_mm(target)
    return any((_room(size, margin_mm) - (high - low)).min() >= -1e-6 for size in (paper_mm, paper_mm[::-1]))


def outline_mm(target: Target) -> tuple[Array, Array]:
    """Top left and bottom right corner of what is printed, mm in the board's frame."""
    outline = 1e3 * target.outline_m()
    return outline[0], outline[2]


def _room(size: tuple[float, float], margin_mm: float) -> Array:
    return np.array(size) - 2.0 * margin_mm - [0.0, FOOTER_MM + _GAP_MM]


def _too_large(target: Target, extent: Array, rooms: list[Array], paper: str) -> str:
    scale = max(float((room / extent).min()) for room in rooms)
    text = f"board: {target} measures {extent[0]:.4g} x {extent[1]:.4g} mm, too large for {paper}"
    # The size that is written in the text: rounded down, so that it fits.
    main_m = target.marker_m if target.kind == "aprilgrid" else target.square_m
    step_mm = 0.5 if 1e3 * main_m * scale >= 10.0 else 0.05
    smaller_mm = math.floor(1e3 * main_m * scale / step_mm + 1e-9) * step_mm
    if smaller_mm < 0.5:
        return f"{text}, at any size of square; take larger paper or fewer columns and rows"
    factor = smaller_mm * 1e-3 / main_m
    smaller = replace(target, square_m=target.square_m * factor, marker_m=_round_down(target.marker_m * factor, target, step_mm))
    name = {"aprilgrid": "tag", "circles": "distance", "acircles": "distance"}.get(target.kind, "square")
    return f"{text}; the largest {name} that fits is {smaller_mm:.4g} mm: {smaller}; or take larger paper"


def _round_down(marker_m: float, target: Target, step_mm: float) -> float:
    """Markers of a charuco are rounded, too, for a text that can be read; a tag is its own size."""
    if target.kind != "charuco":
        return marker_m
    rounded = math.floor(1e3 * marker_m / step_mm + 1e-9) * step_mm
    return max(rounded, step_mm) * 1e-3


def _ruler(left: float, y: float, width: float) -> tuple[Array, float]:
    """A line of 100 mm, or of 50 or 20 where the sheet is too narrow, with a tick each 10 mm inside its ends."""
    length = next((each for each in (100.0, 50.0, 20.0) if each <= 0.6 * width), 20.0)
    boxes = [[left, y, left + length, y + _LINE_MM]]
    for at in np.arange(0.0, length + 5.0, 10.0):
        start = left + min(max(at - 0.5 * _LINE_MM, 0.0), length - _LINE_MM)  # the ends are the outer edges of the last ticks
        tall = _TICK_MM if at in (0.0, 0.5 * length, length) else 0.6 * _TICK_MM
        boxes.append([start, y - tall, start + _LINE_MM, y])
    return np.array(boxes), length


def _words(target: Target, ruler_mm: float, left: float, base: float, width: float) -> tuple[Words, ...]:
    counted = {"chessboard": "inner corners", "charuco": "squares", "aprilgrid": "tags"}.get(target.kind, "circles")
    parts = [
        (left, base + 2.2, width, f"--target {target}    ({target.columns} x {target.rows} {counted})"),
        (left + ruler_mm + 2.0, base + 6.3, width - ruler_mm - 2.0, f"must measure {ruler_mm:g} mm"),
        (left, base + 10.2, width, "Print at actual size (100 %), not fitted to the page. Mount flat. Keep the rim white."),
    ]
    return tuple(Words(x, y, min(_TEXT_MM, room / (_LETTER * len(text))), text) for x, y, room, text in parts)
