"""Data sets with one folder per scene: Middlebury 2001 to 2021 and its benchmark v3, ETH3D two-view."""

import re
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

from calib.errors import InputError
from calib.files import read_bytes
from calib.images import read_image
from stereo.datasets.entry import Entry, NonOcc, first
from stereo.encodings import Encoding

SCENES_2001 = {"barn1": 8, "barn2": 8, "bull": 8, "poster": 8, "sawtooth": 8, "venus": 8, "tsukuba": 16}
"""stored units per px, of the sets' readmes"""
_WIDTHS_2003 = {450: 4, 900: 2, 1800: 1}
"""quarter, half and full size"""
_BYTE = 256
_GREY = (".png", ".pgm", ".ppm")
HINT = (
    "Middlebury 2001 / 2003 (SCENE/im2, im6, disp2)",
    "Middlebury 2005 / 2006 (SCENE/view1, view5, disp1)",
    "Middlebury 2014 / 2021 (SCENE/im0.png, im1.png, disp0.pfm, calib.txt)",
    "Middlebury v3 and ETH3D (SCENE/im0.png, im1.png, disp0GT.pfm, mask0nocc.png, calib.txt)",
)


def find(folder: Path, name: str) -> Iterator[Entry]:
    """The pair of one scene's folder, or nothing."""
    for reader in (_im2_im6, _view1_view5, _im0_im1):
        entry = reader(folder, name)
        if entry is not None:
            yield entry
            return


def _im2_im6(folder: Path, name: str) -> Entry | None:
    """Middlebury 2001 (d 8, Tsukuba d 16) and 2003 (d 4 at a quarter of the full size, 2 at a half, 1 at full size)."""
    left, right, truth, right_truth = (_any(folder, stem) for stem in ("im2", "im6", "disp2", "disp6"))
    if left is None or right is None:
        return None
    scene = folder.name.lower()
    if scene in SCENES_2001:
        year, scale = 2001, SCENES_2001[scene]
    else:
        width = read_image(left).shape[1]
        if width not in _WIDTHS_2003:
            known = ", ".join([*SCENES_2001, *(f"any {w} px wide" for w in _WIDTHS_2003)])
            raise InputError(
                f"{folder}: has the files of Middlebury 2001 / 2003, but the scale of its truth cannot be told from its name and"
                f" width ({width} px; known: {known}); rename the folder, or score its files one by one with --scale"
            )
        year, scale = 2003, _WIDTHS_2003[width]
    visible = None if right_truth is None or truth is None else NonOcc("right truth", (right_truth,))
    if truth is not None and (mask := first(folder, "nonocc.png")) is not None:
        visible = NonOcc("mask", (mask,))
    return Entry(
        name,
        f"middlebury-{year}",
        "middlebury",
        left,
        right,
        truth,
        Encoding("scaled", scale),
        visible,
        search_range=(0, _BYTE // scale),
    )


def _view1_view5(folder: Path, name: str) -> Entry | None:
    """Middlebury 2005 and 2006: d 1 at full size (1240 to 1396 px wide), 2 at a half and 3 at a third of it."""
    left, right, truth, right_truth = (_any(folder, stem) for stem in ("view1", "view5", "disp1", "disp5"))
    if left is None or right is None:
        return None
    width = read_image(left).shape[1]
    scale = 3 if width < 520 else 2 if width < 900 else 1
    visible = None if right_truth is None or truth is None else NonOcc("right truth", (right_truth,))
    return Entry(
        name,
        "middlebury-2005-2006",
        "middlebury",
        left,
        right,
        truth,
        Encoding("scaled", scale),
        visible,
        search_range=(0, -(-_BYTE // scale)),
    )


def _im0_im1(folder: Path, name: str) -> Entry | None:
    """Middlebury 2014 and 2021, Middlebury v3, ETH3D: told apart by the truth's name and by what calib.txt states."""
    left, right = first(folder, "im0.png"), first(folder, "im1.png")
    calibration = first(folder, "calib.txt")
    if left is None or right is None or calibration is None:
        return None
    stated = _calib_numbers(calibration)
    width, disparities = stated.get("width"), stated.get("ndisp")
    # ETH3D states the image's width as ndisp, which limits nothing, and has none of Middlebury's other entries.
    if "vmin" not in stated and "isint" not in stated and disparities == width:
        where = first(folder, "disp0GT.pfm") or first(
            folder.parent.with_name(f"{folder.parent.name}_gt") / folder.name, "disp0GT.pfm"
        )
        mask = None if where is None else first(where.parent, "mask0nocc.png")
        entry = Entry(name, "eth3d", "eth3d", left, right, where, Encoding(), calibration=calibration)
        return replace(entry, nonocc=None if mask is None else NonOcc("mask", (mask,)))
    truth = first(folder, "disp0GT.pfm", "disp0.pfm")
    dataset = "middlebury-2014-2021" if truth is not None and truth.name == "disp0.pfm" else "middlebury-v3"
    visible = None
    if (mask := first(folder, "mask0nocc.png")) is not None:
        visible = NonOcc("mask", (mask,))
    elif truth is not None and (other := first(folder, truth.name.replace("0", "1", 1))) is not None:
        visible = NonOcc("right truth", (other,))
    entry = Entry(name, dataset, "middlebury", left, right, truth, Encoding(), visible, calibration=calibration)
    if disparities is not None and disparities >= 1:
        entry = replace(entry, search_range=(0, int(disparities)), limits=(0.0, float(disparities)))
    return entry


def _any(folder: Path, stem: str) -> Path | None:
    return first(folder, *(stem + suffix for suffix in _GREY))


def _calib_numbers(path: Path) -> dict[str, float]:
    """The plain `name=number` lines of a calib.txt."""
    text = read_bytes(path, kind="calibration file", limit_bytes=100_000).decode("utf-8", "replace")
    return {name: float(value) for name, value in re.findall(r"^\s*(\w+)\s*=\s*(-?\d+(?:\.\d*)?)\s*$", text, re.MULTILINE)}
