"""The dictionaries of square markers that OpenCV knows: their names, sizes and bits."""

import re
from functools import lru_cache

import cv2
import numpy as np
from numpy.typing import NDArray

from calib.errors import UsageError


@lru_cache(maxsize=1)
def dictionary_names() -> tuple[str, ...]:
    """Every dictionary, e.g. "DICT_5X5_100", "DICT_APRILTAG_36h11"; where OpenCV knows two spellings, the one of all versions."""
    names = [name for name in dir(cv2.aruco) if name.startswith("DICT_")]
    return tuple(name for name in names if not (re.search(r"\d+H\d+$", name) and name.replace("H", "h") in names))


def dictionary_name(text: str, *, what: str) -> str:
    """The full name of a dictionary from words such as `5x5_100`, `dict_5X5_100` or `AprilTag_36h11`.

    Raises
    ------
    UsageError
        An unknown one, with the closest known names; `what` starts the message.
    """
    from difflib import get_close_matches

    known = {name.lower(): name for name in dictionary_names()}
    wanted = text.strip().lower()
    for key in (
        wanted,
        f"dict_{wanted}",
        f"dict_apriltag_{wanted.removeprefix('t')}",
        wanted.replace("tag", "dict_apriltag_", 1),
    ):
        if key in known:
            return known[key]
    close = get_close_matches(wanted if wanted.startswith("dict") else f"dict_{wanted}", list(known), 3)
    advice = f"did you mean {' or '.join(known[key] for key in close)}?" if close else f"known: {', '.join(dictionary_names())}"
    raise UsageError(f"{what}: unknown dictionary of markers {text!r}; {advice}")


def dictionary(name: str) -> cv2.aruco.Dictionary:
    """OpenCV's dictionary by its full name, "DICT_" being optional."""
    full = name if name.startswith("DICT_") else f"DICT_{name}"
    return cv2.aruco.getPredefinedDictionary(getattr(cv2.aruco, full))


@lru_cache(maxsize=64)
def marker_count(name: str) -> int:
    """How many markers a dictionary holds."""
    return int(dictionary(name).bytesList.shape[0])


def marker_cells(name: str, number: int, *, border: int = 1) -> NDArray[np.bool_]:
    """The cells of one marker, True = dark, (n, n) with n = bits + 2 border, as OpenCV draws it upright."""
    book = dictionary(name)
    side = int(book.markerSize) + 2 * border
    return np.asarray(book.generateImageMarker(number, side, borderBits=border)) < 128
