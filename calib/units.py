"""Lengths with units, as people write them: `25mm`, `0.5 m`, `1in`."""

import re

from calib.errors import UsageError

UNITS_PER_METRE = {"m": 1.0, "cm": 100.0, "mm": 1000.0, "in": 1.0 / 0.0254}
"""every unit of length that is understood; metres = value / units per metre, which rounds once for the decimal ones"""

_LENGTH = re.compile(r"([+-]?(?:\d+\.?\d*|\.\d+)(?:e[+-]?\d+)?)\s*([a-zµ\"']*)")


def parse_length_m(text: str, *, what: str, example: str) -> float:
    """Metres from words such as `25mm`; the unit is compulsory, the case does not matter.

    Parameters
    ----------
    text : str
        a number and one of `UNITS_PER_METRE`; a sign is allowed, for the caller to judge
    what : str
        starts the message of an error: `target 'chessboard:9x6:25'`
    example : str
        ends it: `write e.g. chessboard:9x6:25mm`

    Returns
    -------
    float
        metres

    Raises
    ------
    UsageError
        Not a number, no unit, or an unknown one.
    """
    found = _LENGTH.fullmatch(text.strip().lower())
    if found is None:
        raise UsageError(f"{what}: {text!r} is no length; {example}")
    number, unit = found.groups()
    if unit not in UNITS_PER_METRE:
        problem = f"unknown unit {unit!r}" if unit else f"{text!r} has no unit"
        raise UsageError(f"{what}: {problem} (known: {', '.join(UNITS_PER_METRE)}); {example}")
    return float(number) / UNITS_PER_METRE[unit]
