"""`Fault`: one thing that is or may be wrong with a capture, with what shows it and what to do."""

from collections.abc import Mapping
from dataclasses import dataclass, field

SEVERITIES = ("refused", "warning", "mended", "mention")
"""no rig can be trusted | the rig suffers | repaired, and said | worth knowing, or invisible and worth checking"""

# Where several are found, earlier ones explain later ones: most harmful and least doubtful first.
ORDER = (
    "identical-images",
    "board-not-found",
    "wrong-dictionary",
    "mirrored-images",
    "rows-columns-swapped",
    "wrong-resolution",
    "mixed-resolutions",
    "too-few-pairs",
    "low-tilt",
    "shifted-pairs",
    "turned-images",
    "flipped-pairs",
    "wrong-lens-model",
    "interlaced",
    "camera-moved",
    "unsynchronised",
    "duplicate-views",
    "bent-board",
    "blurred",
    "glare",
    "shifted-row",
    "left-right-swapped",
    "missing-partner",
    "legacy-board",
    "colour-grey-mix",
    "oriented-images",
    "constant-lag",
    "square-size",
)
"""every name that a fault may have"""


@dataclass(frozen=True, slots=True)
class Fault:
    """Something wrong with a capture."""

    name: str
    """one of `ORDER`"""
    severity: str
    """one of `SEVERITIES`"""
    message: str
    """what is wrong, with values and limits"""
    advice: str
    """what to do"""
    evidence: Mapping[str, float | str] = field(default_factory=dict)
    """the figures on which the message rests"""
    pairs: tuple[int, ...] = ()
    """indices of the pairs concerned; empty for all"""

    def __post_init__(self) -> None:
        assert self.name in ORDER, self.name
        assert self.severity in SEVERITIES, self.severity

    def __str__(self) -> str:
        return f"{self.message}; {self.advice}"


def ranked(faults: list[Fault]) -> tuple[Fault, ...]:
    """Most harmful first; mere mentions last."""
    return tuple(sorted(faults, key=lambda fault: (fault.severity == "mention", ORDER.index(fault.name))))


def name_list(names: list[str], most: int = 4) -> str:
    """The first few of several pairs' names, for a message; of each pair the left image's."""
    names = [name.split(",")[0] for name in names]
    return ", ".join(names[:most]) + (f" and {len(names) - most} more" if len(names) > most else "")
