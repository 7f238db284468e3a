"""Which left image belongs to which right one: folders, globs, lists of files, or what a shell made of globs."""

import re
from collections.abc import Sequence
from pathlib import Path

from calib import files
from calib.errors import InputError, UsageError
from calib.images import find_images

_MOST_NAMED = 5
_MOST_NUMBERS = 4  # of a name are looked at, from its end


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
        Of equal length, paired in natural order; where there are more of one side, by the numbers in their names.
    notes : list of str
        What looks odd; "missing pair: ..." names the images left out because their partner is missing.

    Raises
    ------
    UsageError
        Words from which left and right cannot be told.
    InputError
        No images, different counts where no numbers tell which partner is missing, or the same images on both sides.
    """
    if len(words) == 2:
        left, right = (_listed(word) for word in words)
    else:
        left, right = _halves(words)
    counts = len(left), len(right)
    notes: list[str] = []
    if counts[0] != counts[1]:  # of as many, each camera may have counted by itself: then only the order tells
        left, right, notes = _with_partner(left, right)
    if len(left) != len(right):
        raise InputError(
            f"{counts[0]} left and {counts[1]} right images, but each needs its partner, and no numbers in their names tell which"
            " ones belong together; remove those without a partner"
        )
    same = [a for a, b in zip(left, right, strict=True) if a == b or _is_same_file(a, b)]
    if same:
        raise InputError(f"{same[0]} is both left and right; give the images of the two cameras")
    return left, right, notes + _doubts(left, right)


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


def _with_partner(left: list[Path], right: list[Path]) -> tuple[list[Path], list[Path], list[str]]:
    """The images that have a partner of the same number, and a note on the others; all of them where numbers do not tell."""
    best: tuple[dict[int, Path], dict[int, Path]] = ({}, {})
    for place in range(1, _MOST_NUMBERS + 1):  # a name may hold several numbers: that of the camera, the date ...
        numbered = ({_number(path, place): path for path in left}, {_number(path, place): path for path in right})
        if any(None in side or len(side) < len(paths) for side, paths in zip(numbered, (left, right), strict=True)):
            continue  # not every image has a number of its own here
        sides = tuple({n: path for n, path in side.items() if n is not None} for side in numbered)
        if len(sides[0].keys() & sides[1].keys()) > len(best[0].keys() & best[1].keys()):
            best = (sides[0], sides[1])
    common = [number for number in best[0] if number in best[1]]
    if 2 * len(common) < min(len(left), len(right)) or not common:
        return left, right, []
    alone = [path.name for side, other in (best, best[::-1]) for number, path in side.items() if number not in other]
    more = f" and {len(alone) - _MOST_NAMED} more" if len(alone) > _MOST_NAMED else ""
    names = ", ".join(alone[:_MOST_NAMED]) if more or len(alone) == 1 else f"{', '.join(alone[:-1])} and {alone[-1]}"
    has, is_ = ("has", "is") if len(alone) == 1 else ("have", "are")
    note = f"missing pair: {names}{more} {has} no partner of the same number and {is_} left out"
    return [best[0][number] for number in common], [best[1][number] for number in common], [note]


def _number(path: Path, place: int = 1) -> int | None:
    """A number in the name, the last one for place 1."""
    numbers = re.findall(r"\d+", path.stem)
    return int(numbers[-place]) if len(numbers) >= place else None


def _doubts(left: Sequence[Path], right: Sequence[Path]) -> list[str]:
    """One warning where numbers contradict the order, unless another number of the names agrees throughout."""
    differ = []
    for place in range(1, _MOST_NUMBERS + 1):
        pairs = [(a, b) for a, b in zip(left, right, strict=True) if _number(a, place) != _number(b, place)]
        values = {_number(path, place) for path in left}
        if not pairs and len(values) == len(left) and None not in values:
            return []
        differ.append(pairs)
    for a, b in differ[0][:1]:
        return [f"the numbers of some pairs differ, such as {a.name} and {b.name}: make sure that they belong together"]
    return []
