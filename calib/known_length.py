"""A length measured on the printed board, against which the size of its squares is checked: printers scale."""

import re
from dataclasses import dataclass, replace

import numpy as np

from calib.errors import CalibrationError, UsageError
from calib.target import Target
from calib.units import parse_length_m

_EXAMPLE = "write e.g. 250mm:10, the length measured over 10 squares"
_MOST_SQUARES = 1000
_RULER_M = 0.3e-3
"""what people read a ruler to"""
_LEAST_SHARE = 5e-4
_LEAST_COUNT = 5
_SETTLING_SHARE = 3e-3
"""of the length that the reading error may be; a coarser reading neither confirms nor corrects a scale"""
_CONTRADICTION = 0.1
"""a print scaled by more is a mistake in one of the two numbers"""
_UNITS = {"chessboard": "squares", "charuco": "squares", "aprilgrid": "tags with their gaps", "circles": "circle distances"}
_UNITS["acircles"] = "distances from row to row of circles"
"""of which an asymmetric grid's size is one: half the distance of neighbours in a row"""


@dataclass(frozen=True, slots=True)
class KnownLength:
    """A length over a number of squares of the printed board.

    Of tags with their gaps (aprilgrid), of distances of neighbours (circles), of distances from one row to the next (acircles).
    """

    length_m: float
    count: float

    def __post_init__(self) -> None:
        if not self.length_m > 0.0 or not 0.0 < self.count <= _MOST_SQUARES:
            raise UsageError(f"known length: {self.length_m:g} m over {self.count:g} squares; both must be > 0; {_EXAMPLE}")

    @property
    def square_m(self) -> float:
        """Side of one square, metres."""
        return self.length_m / self.count


def parse_known_length(text: str) -> KnownLength:
    """Read `250mm:10`: 250 mm over 10 squares.

    Raises
    ------
    UsageError
        With what is wrong and an example.
    """
    length, _, count = text.partition(":")
    if re.fullmatch(r"\d+(\.\d+)?", count.strip(), re.ASCII) is None:
        raise UsageError(f"known length {text!r}: {count!r} is no number of squares; {_EXAMPLE}")
    return KnownLength(parse_length_m(length, what=f"known length {text!r}", example=_EXAMPLE), float(count))


@dataclass(frozen=True, slots=True)
class Measured:
    """What a length on the board says of its scale."""

    target: Target
    """as large as it was measured; as given where ruler and target agree, or where the length is too short to tell"""
    note: str
    """what was found, for the user"""
    is_settled: bool
    """True where the size of the squares is confirmed or corrected"""


def scaled_to(target: Target, known: KnownLength) -> Measured:
    """The board as large as it was measured.

    A ruler is read to 0.3 mm. Only a length over at least 5 squares, of which that is 0.3 % or less, says anything of the scale.

    Parameters
    ----------
    target : Target
        As it is said to be.
    known : KnownLength

    Returns
    -------
    Measured
        Markers are scaled with the squares, as a printer does it.

    Raises
    ------
    CalibrationError
        The two differ by more than a tenth, or the board has not so many: one of the numbers is wrong.
    """
    said, measured = target.square_m, known.square_m
    share = measured / said - 1.0
    names = _UNITS[target.kind]
    over = f"{1e3 * known.length_m:g} mm over {known.count:g} {names}"
    if abs(share) > _CONTRADICTION:
        raise CalibrationError(
            f"--known-length says {over}, {1e3 * measured:.4g} mm each, but --target says {1e3 * said:.4g} mm: they differ by"
            f" {100.0 * abs(share):.0f} % (limit {100.0 * _CONTRADICTION:.0f} %); count the {names} and measure again"
        )
    longest = float(np.ptp(target.outline_m(), axis=0).max()) / said
    if known.count > longest * (1.0 + 1e-6):
        raise CalibrationError(
            f"--known-length says {over}, but the longer side of {target} has {longest:.3g} of them; count again"
        )
    reading = _RULER_M / known.length_m
    if known.count < _LEAST_COUNT or reading > _SETTLING_SHARE * (1.0 + 1e-9):
        return Measured(
            target,
            f"the measured length ({over}, {1e3 * measured:.4g} mm each) settles nothing: a ruler is read to"
            f" {1e3 * _RULER_M:g} mm, {100.0 * reading:.2g} % of it; the scale of --target is kept; measure at least"
            f" {1e3 * _RULER_M / _SETTLING_SHARE:.0f} mm over at least {_LEAST_COUNT} {names}",
            False,
        )
    certain = max(_LEAST_SHARE, reading)
    if abs(share) <= certain:
        note = f"the measured length ({over}) agrees with the target to {100.0 * certain:.2g} %: the scale is confirmed"
        return Measured(target, note, True)
    factor = measured / said
    scaled = replace(target, square_m=measured, marker_m=target.marker_m * factor)
    note = (
        f"{names} are {1e3 * measured:.5g} mm, not {1e3 * said:.5g} ({over}); scale corrected by {100.0 * share:+.2f} %,"
        f" certain to about {100.0 * reading:.2g} %"
    )
    return Measured(scaled, note, True)
