"""Layouts of the benchmarks: tiny trees made here, and the real folders where they are present."""

from pathlib import Path

import numpy as np
import pytest

from calib.errors import InputError
from calib.images import read_image, to_grey, write_image
from stereo.datasets import Entry, find_pairs, load_foreground, load_nonocc, load_truth
from stereo.encodings import write_pfm

CALIB = "cam0=[50 0 4; 0 50 3; 0 0 1]\ncam1=[50 0 4; 0 50 3; 0 0 1]\ndoffs=0\nbaseline=100\nwidth=8\nheight=6\n"
SHAPE = (6, 8)


def picture(path: Path, shape: tuple[int, ...] = SHAPE, dtype: type[np.generic] = np.uint8, value: int = 7) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    write_image(path, np.full(shape, value, dtype))
    return path


def pfm(path: Path, value: float = 2.0) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    values = np.full(SHAPE, value, np.float32)
    values[0, 0] = np.nan
    write_pfm(path, values)


def only(folder: Path) -> Entry:
    (entry,) = find_pairs(folder)
    return entry


def mask(path: Path) -> None:
    values = np.full(SHAPE, 255, np.uint8)
    values[:, 4:] = 128
    write_image(path, values)


@pytest.mark.parametrize(
    ("scene", "width", "dataset", "scale"),
    [
        ("venus", 434, "middlebury-2001", 8),
        ("Tsukuba", 384, "middlebury-2001", 16),
        ("cones", 450, "middlebury-2003", 4),
        ("teddyH", 900, "middlebury-2003", 2),
        ("conesF", 1800, "middlebury-2003", 1),
    ],
)
def test_middlebury_2001_and_2003(tmp_path: Path, scene: str, width: int, dataset: str, scale: int) -> None:
    for name in ("im2.png", "im6.png"):
        picture(tmp_path / scene / name, (3, width))
    for name in ("disp2.png", "disp6.png"):
        picture(tmp_path / scene / name, (3, width), value=48)
    entry = only(tmp_path)
    assert (entry.name, entry.dataset, entry.benchmark) == (scene, dataset, "middlebury")
    assert entry.left.name == "im2.png"
    assert entry.search_range == (0, 256 // scale)
    truth = load_truth(entry)
    assert np.all(truth == 48 / scale)
    visible = load_nonocc(entry, truth)
    assert visible is not None
    assert not visible[:, : 48 // scale].any(), "the match lies outside the right image"
    assert visible[:, 48 // scale :].all()


@pytest.mark.parametrize(("width", "scale"), [(1390, 1), (695, 2), (463, 3)])
def test_middlebury_2005_and_2006(tmp_path: Path, width: int, scale: int) -> None:
    for name in ("view1.png", "view5.png"):
        picture(tmp_path / "Art" / name, (3, width))
    picture(tmp_path / "Art" / "disp1.png", (3, width), value=30)
    entry = only(tmp_path / "Art")
    assert (entry.name, entry.dataset) == ("Art", "middlebury-2005-2006")
    assert np.all(load_truth(entry) == np.float32(30 / scale))
    assert load_nonocc(entry, load_truth(entry)) is None
    assert entry.search_range is not None
    assert entry.search_range[1] * scale >= 256


def scene(folder: Path, calib: str) -> None:
    picture(folder / "im0.png")
    picture(folder / "im1.png")
    (folder / "calib.txt").write_text(CALIB + calib)


def test_middlebury_2014(tmp_path: Path) -> None:
    folder = tmp_path / "Pipes-perfect"
    scene(folder, "ndisp=5\nisint=0\nvmin=1\nvmax=4\n")
    pfm(folder / "disp0.pfm")
    pfm(folder / "disp1.pfm")
    entry = only(tmp_path)
    assert (entry.name, entry.dataset, entry.benchmark) == ("Pipes-perfect", "middlebury-2014-2021", "middlebury")
    assert (entry.search_range, entry.limits) == ((0, 5), (0.0, 5.0))
    assert entry.calibration == folder / "calib.txt"
    truth = load_truth(entry)
    visible = load_nonocc(entry, truth)
    assert visible is not None
    assert visible.sum() == 6 * 6 - 1  # two columns have no match; (0, 0) of the right truth is unknown
    assert not visible[0, 2]


def test_middlebury_v3_and_eth3d_are_told_apart(tmp_path: Path) -> None:
    for name, calib in (("Piano", "ndisp=5\nisint=0\nvmin=1\nvmax=4\n"), ("forest_1s", "ndisp=8\n")):
        scene(tmp_path / "training" / name, calib)
        pfm(tmp_path / "training" / name / "disp0GT.pfm")
        mask(tmp_path / "training" / name / "mask0nocc.png")
    piano, forest = find_pairs(tmp_path)
    assert (piano.name, piano.dataset, piano.benchmark, piano.search_range) == ("Piano", "middlebury-v3", "middlebury", (0, 5))
    assert (forest.name, forest.dataset, forest.benchmark, forest.search_range) == ("forest_1s", "eth3d", "eth3d", None)
    for entry in (piano, forest):
        visible = load_nonocc(entry, load_truth(entry))
        assert visible is not None
        assert visible[:, :4].all()
        assert not visible[:, 4:].any()


def test_eth3d_with_its_truth_in_a_folder_beside(tmp_path: Path) -> None:
    scene(tmp_path / "two_view_training" / "forest_1s", "ndisp=8\n")
    pfm(tmp_path / "two_view_training_gt" / "forest_1s" / "disp0GT.pfm", -3.0)
    mask(tmp_path / "two_view_training_gt" / "forest_1s" / "mask0nocc.png")
    entry = only(tmp_path)
    truth = load_truth(entry)
    assert np.nanmax(truth) == -3.0
    assert np.isnan(truth[0, 0])
    assert entry.nonocc is not None


@pytest.mark.parametrize("year", [2012, 2015])
@pytest.mark.parametrize("above", ["", "training"])
def test_kitti(tmp_path: Path, year: int, above: str) -> None:
    root = tmp_path / "data" / above
    views, suffix, calib = (
        (("image_2", "image_3"), "_0", "calib_cam_to_cam") if year == 2015 else (("image_0", "image_1"), "", "calib")
    )
    for view in views:
        for frame in ("000000_10.png", "000000_11.png", "000004_10.png"):
            picture(root / view / frame)
    stored = np.full(SHAPE, 2560, np.uint16)
    stored[0] = 0
    (root / f"disp_occ{suffix}").mkdir()
    (root / f"disp_noc{suffix}").mkdir()
    write_image(root / f"disp_occ{suffix}" / "000004_10.png", stored)
    stored[1] = 0
    write_image(root / f"disp_noc{suffix}" / "000004_10.png", stored)
    picture(root / "obj_map" / "000004_10.png", value=1)
    (root / calib).mkdir()
    (root / calib / "000004.txt").write_text("P0: 1\n")
    test, entry = find_pairs(tmp_path / "data")
    assert (entry.name, entry.dataset, entry.benchmark) == ("000004_10", f"kitti-{year}", "kitti")
    assert (entry.left.parent.name, entry.right.parent.name) == views
    assert entry.calibration == root / calib / "000004.txt"
    truth = load_truth(entry)
    assert np.isnan(truth[0]).all()
    assert np.all(truth[1:] == 10.0)
    visible = load_nonocc(entry, truth)
    assert visible is not None
    assert not visible[:2].any()
    assert visible[2:].all()
    objects = load_foreground(entry)
    assert objects is None if year == 2012 else objects is not None and objects.all()
    with pytest.raises(InputError, match="000000_10: has no truth"):
        load_truth(test)


@pytest.mark.parametrize(
    ("frames", "hidden", "where", "sign"),
    [
        ("frames_cleanpass", None, "TRAIN/A/0000", 1.0),
        ("frames_finalpass", None, "35mm_focallength/scene_forwards/fast", 1.0),
        ("RGB_cleanpass", "occlusion", "", 1.0),
        ("image_clean", "disparity_occlusions", "", -1.0),
    ],
)
def test_sceneflow(tmp_path: Path, frames: str, hidden: str | None, where: str, sign: float) -> None:
    for side in ("left", "right"):
        picture(tmp_path / frames / where / side / "0006.png", (*SHAPE, 3))
        pfm(tmp_path / "disparity" / where / side / "0006.pfm", sign * 2.0)
    if hidden:
        values = np.zeros(SHAPE, np.uint8)
        values[2] = 255
        (tmp_path / hidden / where / "left").mkdir(parents=True)
        write_image(tmp_path / hidden / where / "left" / "0006.png", values)
    entry = only(tmp_path)
    assert (entry.name, entry.dataset) == (f"{where}/0006".lstrip("/"), "sceneflow")
    assert entry.right == tmp_path / frames / where / "right" / "0006.png"
    truth = load_truth(entry)
    assert np.nanmin(truth) == 2.0
    visible = load_nonocc(entry, truth)
    assert visible is not None
    assert visible[3, 2:].all()
    assert visible[2].any() == (hidden is None)


def test_sceneflow_with_two_signs_is_refused(tmp_path: Path) -> None:
    for side in ("left", "right"):
        picture(tmp_path / "frames_cleanpass" / side / "0006.png")
    (tmp_path / "disparity" / "left").mkdir(parents=True)
    write_pfm(tmp_path / "disparity" / "left" / "0006.pfm", np.array([[-1.0, 2.0]], np.float32))
    with pytest.raises(InputError, match="runs from -1 to 2 px"):
        load_truth(only(tmp_path))


def test_sintel(tmp_path: Path) -> None:
    root = tmp_path / "training"
    for folder in ("clean_left", "clean_right", "final_left", "final_right"):
        picture(root / folder / "alley_1" / "frame_0001.png", (*SHAPE, 3))
    packed = np.zeros((*SHAPE, 3), np.uint8)
    packed[..., 2], packed[..., 1] = 3, 32  # B, G, R
    (root / "disparities" / "alley_1").mkdir(parents=True)
    write_image(root / "disparities" / "alley_1" / "frame_0001.png", packed)
    for folder, row in (("occlusions", 1), ("outofframe", 4)):
        values = np.zeros(SHAPE, np.uint8)
        values[row] = 255
        (root / folder / "alley_1").mkdir(parents=True)
        write_image(root / folder / "alley_1" / "frame_0001.png", values)
    entry = only(tmp_path)
    assert (entry.name, entry.dataset) == ("alley_1/frame_0001", "sintel")
    assert entry.left.parent.parent.name == "clean_left"
    truth = load_truth(entry)
    assert np.all(truth == 12.5)
    visible = load_nonocc(entry, truth)
    assert visible is not None
    assert np.flatnonzero(~visible.any(1)).tolist() == [1, 4]


def test_refusals(tmp_path: Path) -> None:
    def refused(words: str, folder: Path) -> None:
        with pytest.raises(InputError, match=words):
            find_pairs(folder)

    refused("not found", tmp_path / "absent")
    (tmp_path / "file").write_text("x")
    refused("is a file; give the folder", tmp_path / "file")
    refused(r"looks like none of the data sets .* expected one of: Middlebury 2001", tmp_path)
    for name in ("im2.png", "im6.png", "disp2.png"):
        picture(tmp_path / "chair" / name, (3, 500))
    refused(r"chair: .* cannot be told from its name and width \(500 px", tmp_path)


def test_names_are_unique(tmp_path: Path) -> None:
    for above in ("train", "test"):
        scene(tmp_path / above / "forest_1s", "ndisp=8\n")
    with pytest.raises(InputError, match="two pairs named forest_1s"):
        find_pairs(tmp_path)


def test_the_real_folders(data_folder: Path) -> None:
    """Counts, and that a truth fits its images: few visible pixels differ much from their match."""
    found = {entry.name: entry for entry in find_pairs(data_folder)}
    datasets = [entry.dataset for entry in found.values()]
    assert {name: datasets.count(name) for name in sorted(set(datasets))} == {
        "eth3d": 3,
        "middlebury-2001": 5,
        "middlebury-2003": 2,
        "middlebury-2005-2006": 2,
        "sceneflow": 1,
    }
    for name in ("mb2001/venus", "mb2001/tsukuba", "mb2003/teddy", "mb2005_06/Cloth3", "sceneflow_sample/A-0032-0006"):
        entry = found[name]
        truth = load_truth(entry)
        visible = load_nonocc(entry, truth)
        visible = np.isfinite(truth) if visible is None else visible & np.isfinite(truth)
        left, right = _grey(entry.left), _grey(entry.right)
        rows, columns = np.nonzero(visible)
        x_right = np.round(columns - truth[rows, columns]).astype(int)
        inside = (x_right >= 0) & (x_right < truth.shape[1])
        rows, columns, x_right = rows[inside], columns[inside], x_right[inside]
        differs = np.abs(left[rows, columns] - right[rows, x_right])
        unmoved = np.abs(left[rows, columns] - right[rows, columns])
        assert np.median(differs) < 5.0, name
        assert np.mean(differs) < 0.6 * np.mean(unmoved), name


def _grey(path: Path) -> np.ndarray[tuple[int, ...], np.dtype[np.float32]]:
    return np.asarray(to_grey(read_image(path)), np.float32)
