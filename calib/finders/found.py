"""What a search for a board brings back."""

import time
from dataclasses import dataclass

from calib.detection import Detection
from calib.target import Target

NOTHING = "no board found"


@dataclass(frozen=True, slots=True, eq=False)
class Found:
    """A board in one image, or why there is none."""

    detection: Detection | None
    reason: str
    """why nothing was found; empty otherwise"""
    target: Target
    """the board as it turned out to be; that which was asked for where nothing was found"""
    note: str = ""
    """in what the board differs from the one asked for, in words"""


def is_late(deadline: float | None) -> bool:
    """True when `time.monotonic()` has passed the deadline."""
    return deadline is not None and time.monotonic() > deadline
