"""Data sets with one folder per kind of file: KITTI 2012 and 2015, SceneFlow, Sintel."""

from collections.abc import Iterator
from pathlib import Path

from stereo.datasets.entry import Entry, NonOcc, first
from stereo.encodings import Encoding

_PICTURES = (".png", ".webp", ".jpg")
_PASSES = ("frames_cleanpass", "RGB_cleanpass", "image_clean", "frames_finalpass", "RGB_finalpass", "image_final")
_OCCLUSIONS = ("occlusion", "disparity_occlusions")
HINT = (
    "KITTI 2012 (training/image_0, image_1 or colored_0, colored_1, disp_occ, disp_noc)",
    "KITTI 2015 (training/image_2, image_3, disp_occ_0, disp_noc_0)",
    "SceneFlow (frames_cleanpass/**/left, right and disparity/**/left)",
    "Sintel (training/clean_left, clean_right, disparities, occlusions, outofframe)",
)


def find(folder: Path, name: str) -> Iterator[Entry]:
    """The pairs of a data set whose tree starts here, or nothing."""
    for reader in (_kitti, _sceneflow, _sintel):
        entries = list(reader(folder, name))
        if entries:
            yield from entries
            return


def _kitti(folder: Path, name: str) -> Iterator[Entry]:
    """Frames `*_10`, the only ones with truth. Grey images where a 2012 set has both."""
    layouts = (
        ("kitti-2015", "image_2", "image_3", "disp_occ_0", "disp_noc_0", "calib_cam_to_cam"),
        ("kitti-2012", "image_0", "image_1", "disp_occ", "disp_noc", "calib"),
        ("kitti-2012", "colored_0", "colored_1", "disp_occ", "disp_noc", "calib"),
    )
    for dataset, left, right, truth, visible, calibration in layouts:
        if not ((folder / left).is_dir() and (folder / right).is_dir()):
            continue
        for image in sorted((folder / left).glob("*_10.png")):
            if (other := first(folder / right, image.name)) is None:
                continue
            noc = first(folder / visible, image.name)
            yield Entry(
                _join(name, image.stem),
                dataset,
                "kitti",
                image,
                other,
                first(folder / truth, image.name),
                Encoding("kitti"),
                None if noc is None else NonOcc("known", (noc,)),
                foreground=first(folder / "obj_map", image.name) if dataset == "kitti-2015" else None,
                calibration=first(folder / calibration, f"{image.stem.removesuffix('_10')}.txt"),
            )
        return


def _sceneflow(folder: Path, name: str) -> Iterator[Entry]:
    """FlyingThings3D, Driving and Monkaa in their own layout, their sample pack, and the FlyingThings3D subset."""
    images = next((folder / each for each in _PASSES if (folder / each).is_dir()), None)
    if images is None or not (folder / "disparity").is_dir():
        return
    for truth in sorted((folder / "disparity").rglob("*.pfm")):
        relative = truth.relative_to(folder / "disparity")
        if "left" not in relative.parts[:-1]:
            continue
        other = _swapped(relative)
        left, right = (_picture(images / each.with_suffix("")) for each in (relative, other))
        if left is None or right is None:
            continue
        hidden = next(
            (file for each in _OCCLUSIONS if (file := _picture((folder / each / relative).with_suffix(""))) is not None), None
        )
        right_truth = folder / "disparity" / other
        visible = NonOcc("right truth", (right_truth,)) if right_truth.is_file() else None
        yield Entry(
            _join(name, "/".join(part for part in relative.with_suffix("").parts if part != "left")),
            "sceneflow",
            "middlebury",
            left,
            right,
            truth,
            Encoding(),
            visible if hidden is None else NonOcc("occluded", (hidden,)),
        )


def _sintel(folder: Path, name: str) -> Iterator[Entry]:
    """MPI Sintel stereo; the clean pass where both are there."""
    images = next((each for each in ("clean", "final") if (folder / f"{each}_left").is_dir()), None)
    if images is None or not (folder / f"{images}_right").is_dir():
        return
    for left in sorted((folder / f"{images}_left").glob("*/*.png")):
        relative = left.relative_to(folder / f"{images}_left")
        if (right := first(folder / f"{images}_right", str(relative))) is None:
            continue
        hidden = tuple(file for each in ("occlusions", "outofframe") if (file := folder / each / relative).is_file())
        yield Entry(
            _join(name, relative.with_suffix("").as_posix()),
            "sintel",
            "middlebury",
            left,
            right,
            first(folder / "disparities", str(relative)),
            Encoding("sintel"),
            NonOcc("occluded", hidden) if hidden else None,
        )


def _swapped(relative: Path) -> Path:
    """The right view's path: the last folder `left` becomes `right`."""
    parts = list(relative.parts)
    place = len(parts) - 1 - parts[::-1].index("left")
    parts[place] = "right"
    return Path(*parts)


def _picture(stem: Path) -> Path | None:
    return first(stem.parent, *(stem.name + suffix for suffix in _PICTURES))


def _join(name: str, below: str) -> str:
    return f"{name}/{below}" if name else below
