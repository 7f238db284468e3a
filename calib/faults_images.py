"""Faults that show in the image files themselves, before any corner is found."""

import re
import struct
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from calib.errors import InputError
from calib.faults_kinds import Fault, name_list
from calib.images import Image, read_image

_LOOKED_AT = 3  # images of each camera whose colours are compared
_HEAD_BYTES = 1 << 16  # EXIF stands in the first segment of a JPEG, which is no longer
_ORIENTATION = 0x0112
_UPRIGHT = (0, 1)


def check_images(left: Sequence[Path | str | Image], right: Sequence[Path | str | Image]) -> tuple[Fault, ...]:
    """Faults of the images as they are stored.

    Parameters
    ----------
    left, right : sequences of files or images

    Returns
    -------
    tuple of Fault
        "oriented-images" for EXIF tags that tell programs to turn some of the pictures; "colour-grey-mix" for one camera in
        colour and the other in grey.
    """
    found = []
    tagged = [str(Path(p).name) for p in (*left, *right) if not isinstance(p, np.ndarray) and orientation(p) not in _UPRIGHT]
    if tagged:
        found.append(
            Fault(
                "oriented-images",
                "mention",
                f"{len(tagged)} images carry an EXIF tag that turns or mirrors them in other programs ({name_list(tagged)});"
                " here it"
                " is ignored, for a calibration belongs to the sensor's rows and columns",
                "see that whatever uses the rig reads the pixels as they are stored, too",
                {"images": float(len(tagged))},
            )
        )
    colours = [{_is_colour(image) for image in images[:_LOOKED_AT]} - {None} for images in (left, right)]
    if len(colours[0]) == len(colours[1]) == 1 and colours[0] != colours[1]:
        kinds = ("colour", "grey") if True in colours[0] else ("grey", "colour")
        found.append(
            Fault(
                "colour-grey-mix",
                "mention",
                f"the left images are in {kinds[0]}, the right ones in {kinds[1]}: the calibration does not suffer, but"
                " matching will",
                "take both in colour or both in grey",
                {"left": kinds[0], "right": kinds[1]},
            )
        )
    return tuple(found)


def orientation(path: Path | str) -> int:
    """The EXIF orientation of a JPEG, 1 to 8; 0 where there is none (EXIF 2.3, section 4.6.4)."""
    try:
        with Path(path).open("rb") as file:
            data = file.read(_HEAD_BYTES)
    except OSError:
        return 0
    start = re.search(rb"\xff\xe1..Exif\x00\x00(II\*\x00|MM\x00\*)", data, re.DOTALL)
    if not data.startswith(b"\xff\xd8") or start is None:
        return 0
    tiff = data[start.start() + 10 :]
    order = "<" if tiff.startswith(b"II") else ">"
    try:
        (offset,) = struct.unpack_from(order + "I", tiff, 4)
        (count,) = struct.unpack_from(order + "H", tiff, offset)
        for i in range(count):
            tag, _, _, value = struct.unpack_from(order + "HHIH", tiff, offset + 2 + 12 * i)
            if tag == _ORIENTATION:
                return int(value) if value <= 8 else 0
    except struct.error:
        return 0
    return 0


def _is_colour(source: Path | str | Image) -> bool | None:
    """Whether an image has colours (three equal channels have none); None where it cannot be read or is a video."""
    try:
        image = source if isinstance(source, np.ndarray) else read_image(source)
    except InputError:
        return None
    return bool(image.ndim == 3 and np.ptp(image[::7, ::7].astype(np.float32), axis=2).max() > 0)
