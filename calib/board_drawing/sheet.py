"""`draw_board`: a board to print, with a ruler, its own `--target` text and advice."""

import contextlib
import math
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

from calib import files, markers
from calib.board_drawing.page import fits, lay_out
from calib.board_drawing.paper import paper_size_mm
from calib.board_drawing.pdf import pdf_bytes
from calib.board_drawing.png import pixels_per_mm, write_png
from calib.board_drawing.svg import svg_text
from calib.errors import UsageError
from calib.target import APRILGRID_BORDER, AutoTarget, Target

_SUFFIXES = (".pdf", ".svg", ".png")
_LEAST_CELL_MM = 1.0  # smaller ones are lost at arm's length by most cameras


@dataclass(frozen=True, slots=True)
class DrawnBoard:
    """What was written."""

    path: Path
    size_mm: tuple[float, float]
    """width and height of the sheet, as it is turned"""
    notes: tuple[str, ...]
    """what to know before printing: a board that can be read from two ends, tiny markers ..."""


def draw_board(target: Target | AutoTarget, path: str | Path, *, paper: str = "A4", margin_mm: float = 5.0) -> DrawnBoard:
    """Draw a board for printing at exact scale.

    Below the board stand a ruler (a line that must measure 100 mm), the board's own `--target` text and how to print. The sheet
    is turned to the side on which more white is left.

    Parameters
    ----------
    target : Target
        what `calib.target.parse_target` gives
    path : str or Path
        .pdf and .svg are vectors in millimetres; .png has a whole number of pixels per millimetre, stored as its density
    paper : str
        "A4", "A3", "A2", "A1", "A0", "letter", "tabloid" or WIDTHxHEIGHT such as "600x400mm"
    margin_mm : float
        rim that the printer cannot reach, mm

    Returns
    -------
    DrawnBoard

    Raises
    ------
    UsageError
        An unknown suffix or paper, or a board that does not fit: with the largest square that does.
    OutputError
        The file cannot be written.
    """
    place = Path(path)
    suffix = place.suffix.lower()
    if suffix not in _SUFFIXES:
        raise UsageError(f"{place}: a board is drawn as {', '.join(_SUFFIXES)}, not {suffix or 'a name without suffix'!r}")
    if isinstance(target, AutoTarget):
        raise UsageError(f"board: {target} says neither kind nor counts; write e.g. chessboard:9x6:25mm or charuco:...")
    if not 0.0 <= margin_mm <= 25.0:
        raise UsageError(f"board: a margin of {margin_mm:g} mm; 0 to 25 mm are possible")
    paper_mm = paper_size_mm(paper)
    page = lay_out(target, paper_mm, margin_mm=margin_mm, paper=paper)
    notes = list(_notes(target, paper_mm, margin_mm))
    if suffix == ".pdf":
        files.write_bytes(place, pdf_bytes(page))
    elif suffix == ".svg":
        files.write_text(place, svg_text(page))
    else:
        with files.atomic_path(place) as temporary:
            write_png(page, temporary)
        if pixels_per_mm(page) < 12:
            notes.append(
                f"the picture has {pixels_per_mm(page)} pixels per mm, which is coarse for printing; PDF and SVG are exact"
            )
    return DrawnBoard(place, page.size_mm, tuple(notes))


def _notes(target: Target, paper_mm: tuple[float, float], margin_mm: float) -> Iterator[str]:
    if target.is_symmetric:
        proposal = asymmetric(target, paper_mm, margin_mm)
        why = {
            "chessboard": "a board does unless one of its counts is even and the other odd",
            "circles": "every plain grid of circles does",
        }.get(target.kind, "asymmetric circles do when the count of rows is even")
        yield (
            f"{target} looks the same upside down ({why}), so that two cameras may read it from opposite ends;"
            f" take {proposal or 'a charuco'} instead"
        )
    if target.has_ids:
        border = 1 if target.kind == "charuco" else APRILGRID_BORDER
        cells = len(markers.marker_cells(target.dictionary, 0, border=border))
        cell_mm = 1e3 * target.marker_m / cells
        gap_mm = (0.5 if target.kind == "charuco" else 1.0) * 1e3 * (target.square_m - target.marker_m)
        if cell_mm < _LEAST_CELL_MM:
            yield f"a marker's cells are only {cell_mm:.2g} mm wide (less than 1 mm); larger markers are seen from farther away"
        if gap_mm < 0.5 * cell_mm:
            yield (
                f"only {gap_mm:.2g} mm of white lie around a marker; half of one of its cells ({0.5 * cell_mm:.2g} mm) or more"
                " keeps it readable: make the markers smaller"
            )


def asymmetric(target: Target, paper_mm: tuple[float, float], margin_mm: float = 5.0) -> Target | None:
    """The next board of about the same size that cannot flip and fits on the paper; None if there is none."""
    if target.kind == "circles":
        choices = list(_asymmetric_circles(target))
    else:
        steps = [(0, 1), (1, 0), (0, -1), (-1, 0)] if target.kind == "chessboard" else [(0, 1), (0, -1)]
        choices = []
        for across, down in steps:
            with contextlib.suppress(UsageError):  # fewer than the least, or more than the most
                choices.append(replace(target, columns=target.columns + across, rows=target.rows + down))
    return next((each for each in choices if not each.is_symmetric and fits(each, paper_mm, margin_mm)), None)


def _asymmetric_circles(target: Target) -> Iterator[Target]:
    """Every grid of circles flips; asymmetric ones with an odd count of rows do not. Neighbours keep about their distance."""
    step = 0.5e-3 if target.square_m >= 5e-3 else 0.05e-3
    square_m = max(round(target.square_m / math.sqrt(2.0) / step), 2) * step
    columns = round(((target.columns - 1) * target.square_m / square_m + 1.0) / 2.0)
    rows = 2 * round((target.rows - 1) * target.square_m / square_m / 2.0) + 1
    for fewer in (0, 2):
        with contextlib.suppress(UsageError):  # more circles than possible
            yield Target("acircles", max(columns - fewer // 2, 2), max(rows - fewer, 3), square_m)
