"""Which left image belongs to which right one: folders, globs, lists of files, or what a shell made of globs."""

import re
from collections.abc import Sequence
from pathlib import Path

from calib import files
from calib.errors import InputError, UsageError
from calib.images import find_images

_MOST_NAMED = 5


def pair_up(words: Sequence[str]) -> tuple[list[Path], list[Path], list[str]]:
    """The left and right images that the words of a command line name.

    Parameters
    ----------
    words : sequence of str
        Two: LEFT and RIGHT, each a folder, a glob, an image, or a `.txt` with one file name in each line (relative to the list).
        More: a shell has expanded two unquoted globs; the first half is the left images.

    Returns
    -------
    left, right : lists of Path
        Of equal length, paired in natural order.
    notes : list of str
        What looks odd.

    Raises
    ------
    UsageError
        Words from which left and right cannot be told.
    InputError
        No images, different counts, or the same images on both sides.
    """
    if len(words) == 2:
        left, right = (_listed(word) for word in words)
    else:
        left, right = _halves(words)
    if len(left) != len(right):
        raise InputError(f"{len(left)} left and {len(right)} right images, but each needs its partner{_alone(left, right)}")
    same = [a for a, b in zip(left, right, strict=True) if a == b or _is_same_file(a, b)]
    if same:
        raise InputError(f"{same[0]} is both left and right; give the images of the two cameras")
    return left, right, _doubts(left, right)


def _is_same_file(a: Path, b: Path) -> bool:
    try:
        return a.samefile(b)
    except (OSError, ValueError):  # missing, or a name that no file can have: told by the reader
        return False


def _listed(word: str) -> list[Path]:
    if not word.lower().endswith(".txt"):
        return find_images(word)
    source = Path(word)
    text = files.read_bytes(source, kind="list of images", limit_bytes=10_000_000).decode("utf-8", errors="replace")
    lines = (line.strip() for line in text.splitlines())
    found = [source.parent / line for line in lines if line and not line.startswith("#")]
    if not found:
        raise InputError(f"{word}: names no images; write one file name in each line")
    return found


def _halves(words: Sequence[str]) -> tuple[list[Path], list[Path]]:
    advice = "give LEFT and RIGHT, each a folder or a pattern in quotes: 'left*.png' 'right*.png'"
    if len(words) < 2:
        raise UsageError(f"RIGHT is missing: only {words[0] if words else 'nothing'} is given; {advice}")
    half = len(words) // 2
    left, right = [[image for word in part for image in find_images(word)] for part in (words[:half], words[half:])]
    if len(words) % 2 or _shapes(left) & _shapes(right):
        raise UsageError(f"{len(words)} names are given, and which of them are the left ones cannot be told; {advice}")
    return left, right


def _shapes(paths: Sequence[Path]) -> set[tuple[Path, str]]:
    """Folders and names without their numbers."""
    return {(path.parent, re.sub(r"\d+", "#", path.stem)) for path in paths}


def _number(path: Path) -> int | None:
    numbers = re.findall(r"\d+", path.stem)
    return int(numbers[-1]) if numbers else None


def _alone(left: Sequence[Path], right: Sequence[Path]) -> str:
    """The images whose number the other side lacks, as far as numbers tell."""
    numbers = [[_number(path) for path in side] for side in (left, right)]
    if any(None in side or len(set(side)) < len(side) for side in numbers):
        return ""
    names = [path.name for path in left if _number(path) not in numbers[1]]
    names += [path.name for path in right if _number(path) not in numbers[0]]
    more = f" and {len(names) - _MOST_NAMED} more" if len(names) > _MOST_NAMED else ""
    return f"; without one: {', '.join(names[:_MOST_NAMED])}{more}" if names else ""


def _doubts(left: Sequence[Path], right: Sequence[Path]) -> list[str]:
    for a, b in zip(left, right, strict=True):
        if _number(a) != _number(b):
            return [f"the numbers of some pairs differ, such as {a.name} and {b.name}: make sure that they belong together"]
    return []
