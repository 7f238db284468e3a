"""Sheets of paper by name or size."""

import re

from calib.errors import UsageError
from calib.units import parse_length_m

PAPERS_MM = {
    "A4": (210.0, 297.0),
    "A3": (297.0, 420.0),
    "A2": (420.0, 594.0),
    "A1": (594.0, 841.0),
    "A0": (841.0, 1189.0),
    "letter": (215.9, 279.4),
    "tabloid": (279.4, 431.8),
}
"""width and height of a sheet held upright, mm"""

_LIMITS_MM = (60.0, 5000.0)  # a ruler must fit; PDF allows 5080


def paper_size_mm(text: str) -> tuple[float, float]:
    """Width and height of a paper such as "A4", "letter" or "600x400mm", in mm.

    Raises
    ------
    UsageError
        An unknown paper, or a side outside 60 to 5000 mm.
    """
    example = f"known: {', '.join(PAPERS_MM)}, or WIDTHxHEIGHT with a unit, e.g. 600x400mm"
    for name, size in PAPERS_MM.items():
        if name.lower() == text.strip().lower():
            return size
    found = re.fullmatch(r"([\d.]+)\s*x\s*([\d.]+)\s*(mm|cm|m|in)", text.strip().lower())
    if found is None:
        raise UsageError(f"paper: {text!r} is unknown ({example})")
    width, height = (
        1e3 * parse_length_m(side + found[3], what=f"paper {text!r}", example=example) for side in found.groups()[:2]
    )
    for side in (width, height):
        if not _LIMITS_MM[0] <= side <= _LIMITS_MM[1]:
            raise UsageError(f"paper: {text!r} has a side of {side:g} mm; {_LIMITS_MM[0]:g} to {_LIMITS_MM[1]:g} mm are possible")
    return width, height
