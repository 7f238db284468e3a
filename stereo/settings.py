"""`MatcherSettings` and the presets. One set of constants for all data; each says where it comes from."""

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Annotated, Literal, get_args, get_origin, get_type_hints

from calib.errors import UsageError

MAX_P2 = 88
"""sums of two path costs are bytes: the largest matching cost, 39, plus p2 must not exceed 127"""


def _between(low: float, high: float) -> Callable[[float], str | None]:
    def check(value: float) -> str | None:
        return None if low <= value <= high else f"must be in [{low:g}, {high:g}]"

    return check


@dataclass(frozen=True, slots=True)
class MatcherSettings:
    """Constants of the semi-global matcher.

    Raises
    ------
    ValueError
        A value outside its limits, or p1 above p2.
    """

    rows: Literal["aligned", "as given"] = "aligned"
    """aligned: how far the rows of the images are from agreeing is measured and, where it matters, undone before matching"""
    cost: Literal["mix", "census"] = "mix"
    """matching cost: Hamming distance of a 5 x 5 census plus the x-gradient's, or the census alone (faster, coarser)"""
    paths: Literal[8, 4] = 8
    """directions from which costs are gathered; 4 leaves the diagonals out (faster, more streaks)"""
    p1: Annotated[int, _between(1, 32)] = 8
    """penalty of a disparity change by 1 px between neighbours; larger = smoother slanted surfaces. 6 to 12 measure alike"""
    p2: Annotated[int, _between(1, MAX_P2)] = 72
    """penalty of a larger change where the two neighbours look alike; larger = fewer, cleaner edges. 9 p1 measures best"""
    p2_contrast: Annotated[float, _between(1.0, math.inf)] = 15.0
    """grey levels (of 255) over which p2 falls towards p1 at an image edge: p1 + (p2 - p1) exp(-|dI| / this); inf = never"""
    uniqueness_percent: Annotated[float, _between(0.0, 50.0)] = 5.0
    """a pixel is ambiguous when the best costs more than (100 - this) % of another candidate that is not its neighbour"""
    left_right_px: Annotated[float, _between(0.5, 100.0)] = 2.0
    """largest difference between the left disparity and the right image's own best; smaller = fewer answers, fewer wrong ones"""
    speckle_pixels: Annotated[int, _between(0, 1_000_000)] = 100
    """patches with fewer pixels are dropped; 0 keeps all"""
    speckle_px: Annotated[float, _between(0.0, 100.0)] = 2.0
    """neighbours belong to one patch when their disparities differ by at most this"""
    refinement: Literal["plane", "photometric", "second pass"] = "photometric"
    """after the winner: a plane through the labels around; then a shift to where both images fit best; then a second pass"""
    confidence: Annotated[float, _between(0.0, 0.95)] = 0.6
    """answers that are right within 1 px with a smaller probability are dropped; 0 keeps all. 0.5 to 0.7 measure alike"""

    def __post_init__(self) -> None:
        for name, hint in get_type_hints(type(self), include_extras=True).items():
            value = getattr(self, name)
            if get_origin(hint) is Literal:
                if value not in get_args(hint):
                    raise ValueError(f"{name} must be one of {', '.join(map(str, get_args(hint)))}, got {value!r}")
                continue
            kind = hint.__origin__
            if isinstance(value, bool) or not isinstance(value, (int, float) if kind is float else int):
                raise ValueError(f"{name} must be {'a number' if kind is float else 'a whole number'}, got {value!r}")
            problem = hint.__metadata__[0](value)
            if problem is not None:
                raise ValueError(f"{name} {problem}, got {value!r}")
        if self.cost == "census" and self.refinement == "second pass":
            raise ValueError('refinement "second pass" needs the gradients of cost "mix"; use "photometric" with cost "census"')
        if self.p1 > self.p2:
            raise ValueError(f"p1 is {self.p1} and p2 {self.p2}; p1 must not exceed p2")


_PRESETS: dict[str, MatcherSettings] = {
    "fast": MatcherSettings(rows="as given", refinement="plane"),
    "balanced": MatcherSettings(),
    "accurate": MatcherSettings(refinement="second pass"),
}
DEFAULT_PRESET = "balanced"
PRESETS = tuple(_PRESETS)
"""names for `match(preset=...)`"""


def preset_settings(preset: str) -> MatcherSettings:
    """The settings behind a preset's name; an unknown name raises `UsageError`."""
    if preset not in _PRESETS:
        raise UsageError(f"preset {preset!r} is not known; use one of {', '.join(_PRESETS)}")
    return _PRESETS[preset]
