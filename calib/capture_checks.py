"""Images that cannot take part in a calibration: of another size than the others, or the same picture twice."""

from collections.abc import Sequence
from dataclasses import replace

from calib.detection_cache import Searched
from calib.errors import InputError

_CLEAR_MAJORITY = 3  # times as many of one size as of all others
_NAMED = 3
_SIDES = ("left", "right")

Size = tuple[int, int]


def leave_out(names: Sequence[str], found: Sequence[Searched]) -> tuple[list[Searched], tuple[Size, Size], list[str]]:
    """What was found without the images that do not belong to the others.

    Parameters
    ----------
    names : sequence of str
    found : sequence of Searched
        left, right, left, right ...

    Returns
    -------
    found : list of Searched
        Without the detections of images that are left out; their reasons say why.
    sizes : ((width, height), (width, height))
        Of the left and right images, px.
    notes : list of str
        "mixed resolutions: ...", "duplicate images: ...", each at most once for a camera.

    Raises
    ------
    InputError
        The images of one camera differ in size, and no size has a clear majority; or none could be read.
    """
    kept, sizes, notes = list(found), [], []
    for side in (0, 1):
        places = range(side, len(found), 2)
        size, odd = _common_size([names[i] for i in places], [found[i].size for i in places])
        sizes.append(size)
        for i, reason in odd.items():
            place = places[i]
            kept[place] = replace(kept[place], detection=None, reason=reason)
        if odd:
            notes.append(
                f"mixed resolutions: {_listed([names[places[i]] for i in odd])} not {size[0]} x {size[1]} px like the other"
                f" {_SIDES[side]} images, left out"
            )
        notes += _drop_copies(names, kept, side)
    pictures = [found[i].digest for i in range(0, len(found), 2)]
    same = [names[2 * i] for i, digest in enumerate(pictures) if digest and digest == found[2 * i + 1].digest]
    if same:
        count = f"{len(same)} pair{'s' * (len(same) != 1)}"
        notes.append(f"identical images: the left and the right image are one picture in {count}, such as {same[0]}")
    return kept, (sizes[0], sizes[1]), notes


def _common_size(names: Sequence[str], sizes: Sequence[Size | None]) -> tuple[Size, dict[int, str]]:
    """The size of one camera's images, and why some are left out; a calibration belongs to one size."""
    known = [size for size in sizes if size is not None]
    if not known:
        raise InputError(f"none of the images such as {names[0]} could be read in time; give them more time or smaller images")
    most = max(known, key=known.count)
    odd = {i: size for i, size in enumerate(sizes) if size is not None and size != most}
    if odd and known.count(most) < _CLEAR_MAJORITY * len(odd):
        i, size = next(iter(odd.items()))
        raise InputError(
            f"{names[i]} is {size[0]} x {size[1]} px, but other images of this camera are {most[0]} x {most[1]} px; all images of"
            f" one camera need one size: leave it out or take it again{_turned(size, most)}"
        )
    return most, {
        i: f"{size[0]} x {size[1]} px instead of {most[0]} x {most[1]} px{_turned(size, most)}" for i, size in odd.items()
    }


def _turned(size: Size, most: Size) -> str:
    """What exchanged sides mean."""
    return " (turned by 90 degrees, by hand or by a program that obeys EXIF)" if size == most[::-1] else ""


def _drop_copies(names: Sequence[str], kept: list[Searched], side: int) -> list[str]:
    """Take away what was found in an image that is the same as an earlier one of this camera."""
    first: dict[str, int] = {}
    copies = []
    for i in range(side, len(kept), 2):
        digest = kept[i].digest
        if digest and digest in first:
            kept[i] = replace(kept[i], detection=None, reason=f"the same picture as {names[first[digest]]}")
            copies.append(names[i])
        elif digest:
            first[digest] = i
    if not copies:
        return []
    what = "repeats an earlier picture" if len(copies) == 1 else "repeat earlier pictures"
    return [f"duplicate images: {', '.join(copies[:_NAMED])}{_more(copies)} of the {_SIDES[side]} camera {what}, counted once"]


def _listed(names: Sequence[str]) -> str:
    return f"{', '.join(names[:_NAMED])}{_more(names)} {'is' if len(names) == 1 else 'are'}"


def _more(names: Sequence[str]) -> str:
    return f" and {len(names) - _NAMED} more" if len(names) > _NAMED else ""
