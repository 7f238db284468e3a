"""Cloud files: exact round trips, damage refused, other readers understand them."""

import ctypes
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import plyfile
import pytest
from numpy.typing import NDArray

from calib.errors import InputError, OutputError, QualityError, ResourceError, UsageError
from stereo import open3d_loader
from stereo.cloud_files import load_cloud, save_cloud
from stereo.maps import PointCloud
from stereo.open3d_loader import APT_PACKAGES, load_open3d


@pytest.fixture
def cloud(rng: np.random.Generator) -> PointCloud:
    pixels = np.sort(rng.choice(30 * 20, 100, replace=False))
    return PointCloud(
        rng.normal(0.0, 3.0, (100, 3)).astype(np.float32),
        np.stack([pixels % 30, pixels // 30], -1).astype(np.int32),
        (30, 20),
        rng.integers(0, 256, (100, 3), dtype=np.uint8),
        rng.random(100).astype(np.float32),
    )


def bits(array: NDArray[Any] | None) -> tuple[Any, ...] | None:
    return None if array is None else (array.dtype, array.shape, array.tobytes())


def assert_same(a: PointCloud, b: PointCloud) -> None:
    for name in ("points_xyz_m", "pixel_uv", "colour_bgr", "sigma_m"):
        assert bits(getattr(a, name)) == bits(getattr(b, name)), name
    assert a.image_size == b.image_size


@pytest.mark.parametrize("without", [(), ("colour_bgr",), ("sigma_m",), ("colour_bgr", "sigma_m")])
def test_round_trip_is_exact(tmp_path: Path, cloud: PointCloud, without: tuple[str, ...]) -> None:
    fields: dict[str, Any] = dict.fromkeys(without)
    sent = replace(cloud, **fields)
    save_cloud(tmp_path / "cloud.ply", sent)
    assert_same(load_cloud(tmp_path / "cloud.ply"), sent)
    assert [path.name for path in tmp_path.iterdir()] == ["cloud.ply"]


def test_sigma_may_be_nan_and_text_paths_work(tmp_path: Path, cloud: PointCloud) -> None:
    sent = replace(cloud, sigma_m=np.full(100, np.nan, np.float32))
    save_cloud(str(tmp_path / "CLOUD.PLY"), sent)
    assert_same(load_cloud(str(tmp_path / "CLOUD.PLY")), sent)


def test_header_states_units_frame_and_size(tmp_path: Path, cloud: PointCloud) -> None:
    save_cloud(tmp_path / "cloud.ply", cloud)
    header = (tmp_path / "cloud.ply").read_bytes().split(b"end_header\n")[0].decode("ascii")
    assert header.startswith("ply\nformat binary_little_endian 1.0\n")
    assert "comment units metres\n" in header
    assert "x right, y down, z forward\n" in header
    assert "comment image_size 30 20\n" in header
    assert "property float sigma\n" in header


def test_plyfile_reads_every_property(tmp_path: Path, cloud: PointCloud) -> None:
    assert cloud.colour_bgr is not None
    save_cloud(tmp_path / "cloud.ply", cloud)
    vertices = plyfile.PlyData.read(str(tmp_path / "cloud.ply"), mmap=False)["vertex"]
    np.testing.assert_array_equal(np.stack([vertices[n] for n in "xyz"], -1), cloud.points_xyz_m)
    np.testing.assert_array_equal(np.stack([vertices[n] for n in ("blue", "green", "red")], -1), cloud.colour_bgr)
    np.testing.assert_array_equal(np.stack([vertices[n] for n in "uv"], -1), cloud.pixel_uv)
    np.testing.assert_array_equal(vertices["sigma"], cloud.sigma_m)


def test_open3d_reads_it_with_colours(tmp_path: Path, cloud: PointCloud) -> None:
    try:
        open3d = load_open3d()
    except ResourceError as error:
        pytest.skip(str(error))
    assert cloud.colour_bgr is not None
    save_cloud(tmp_path / "cloud.ply", cloud)
    read = open3d.io.read_point_cloud(str(tmp_path / "cloud.ply"))
    np.testing.assert_array_equal(np.asarray(read.points), cloud.points_xyz_m.astype(np.float64))
    np.testing.assert_allclose(np.asarray(read.colors)[:, ::-1] * 255.0, cloud.colour_bgr, atol=1e-9)


@pytest.mark.parametrize("kind", ["text", "big-endian"])
def test_the_same_cloud_in_another_ply_flavour_is_read(tmp_path: Path, cloud: PointCloud, kind: str) -> None:
    save_cloud(tmp_path / "cloud.ply", cloud)
    data = plyfile.PlyData.read(str(tmp_path / "cloud.ply"), mmap=False)
    data.text, data.byte_order = (True, "=") if kind == "text" else (False, ">")
    data.write(str(tmp_path / "other.ply"))
    again = load_cloud(tmp_path / "other.ply")
    np.testing.assert_allclose(again.points_xyz_m, cloud.points_xyz_m, rtol=1e-6)
    np.testing.assert_array_equal(again.pixel_uv, cloud.pixel_uv)


def test_a_cloud_without_points_is_refused_and_leaves_no_file(tmp_path: Path) -> None:
    empty = PointCloud(np.zeros((0, 3), np.float32), np.zeros((0, 2), np.int32), (30, 20))
    with pytest.raises(QualityError, match="no points, so no file is written"):
        save_cloud(tmp_path / "cloud.ply", empty)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("name", ["cloud.xyz", "cloud"])
def test_unknown_formats_are_refused(tmp_path: Path, cloud: PointCloud, name: str) -> None:
    with pytest.raises(UsageError, match=r"use one of \.ply"):
        save_cloud(tmp_path / name, cloud)
    with pytest.raises(UsageError, match=r"use one of \.ply"):
        load_cloud(tmp_path / name)


def test_a_place_that_cannot_be_written_is_an_error(tmp_path: Path, cloud: PointCloud) -> None:
    with pytest.raises(OutputError, match="folder does not exist"):
        save_cloud(tmp_path / "missing" / "cloud.ply", cloud)


def test_a_writer_that_loses_data_is_found_out(tmp_path: Path, cloud: PointCloud, monkeypatch: pytest.MonkeyPatch) -> None:
    write = plyfile.PlyData.write

    def half(self: Any, stream: str) -> None:
        write(self, stream)
        data = Path(stream).read_bytes()
        Path(stream).write_bytes(data[: len(data) // 2])

    monkeypatch.setattr(plyfile.PlyData, "write", half)
    with pytest.raises(OutputError, match="instead of"):
        save_cloud(tmp_path / "cloud.ply", cloud)
    assert not list(tmp_path.iterdir())


def _half(data: bytes) -> bytes:
    return data[: len(data) // 2 + 100]


def _swap(old: bytes, new: bytes) -> Any:
    return lambda data: data.replace(old, new)


@pytest.mark.parametrize(
    ("damage", "words"),
    [
        (_half, "truncated or corrupt"),
        (lambda data: data + b"more", "truncated or corrupt"),
        (lambda data: data[:60], "does not fit the file"),
        (lambda data: b"", "empty"),
        (lambda data: b"ply\n\n", "no PLY point cloud"),
        (lambda data: bytes(range(256)), "no PLY point cloud"),
        (_swap(b"vertex 100", b"vertex 99999999999"), "does not fit the file"),
        (_swap(b"vertex 100", b"vertex 99"), "truncated or corrupt"),
        (_swap(b"property int u", b"property int q"), "lacks the properties u"),
        (_swap(b"property int u", b"property foo u"), "truncated or corrupt"),
        (_swap(b"property int u", b"property list uchar int u"), "corrupt"),
        (_swap(b"comment image_size 30 20\n", b""), 'lacks the comment "image_size'),
        (_swap(b"image_size 30", b"image_size 12"), "inside the image of 12 x 20 px"),
        (_swap(b"end_header\n", b"end_header\n\x00\x00\xc0\x7f"), "corrupt"),
        (
            lambda data: data.split(b"end_header\n")[0] + b"end_header\n" + b"\xff" * (len(data.split(b"end_header\n", 1)[1])),
            "not finite",
        ),
    ],
)
def test_damaged_files_are_refused(tmp_path: Path, cloud: PointCloud, damage: Any, words: str) -> None:
    path = tmp_path / "cloud.ply"
    save_cloud(path, cloud)
    path.write_bytes(damage(path.read_bytes()))
    with pytest.raises(InputError, match=words) as caught:
        load_cloud(path)
    assert str(path) in str(caught.value)


def test_missing_files_and_folders_are_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="not found"):
        load_cloud(tmp_path / "cloud.ply")
    (tmp_path / "folder.ply").mkdir()
    with pytest.raises(InputError, match="is a folder"):
        load_cloud(tmp_path / "folder.ply")


@pytest.mark.parametrize(
    ("error", "words"),
    [
        (ImportError("libEGL.so.1: cannot open shared object file"), rf"libEGL\.so\.1.*apt-get install .*{APT_PACKAGES}"),
        (OSError("libGL.so.1: cannot open shared object file"), APT_PACKAGES),
        (ModuleNotFoundError("No module named 'open3d'"), "pip install open3d"),
    ],
)
def test_the_loader_explains_itself(monkeypatch: pytest.MonkeyPatch, error: Exception, words: str) -> None:
    def fail(name: str) -> Any:
        if name == "libusb_package":
            raise ImportError(name)
        raise error

    monkeypatch.setattr(open3d_loader, "import_module", fail)
    with pytest.raises(ResourceError, match=words):
        load_open3d()


def test_the_usb_library_comes_first(monkeypatch: pytest.MonkeyPatch) -> None:
    order: list[str] = []

    class Usb:
        @staticmethod
        def get_library_path() -> str:
            return "/usb.so"

    def load(name: str) -> Any:
        order.append(name)
        return Usb

    monkeypatch.setattr(open3d_loader, "import_module", load)
    monkeypatch.setattr(ctypes, "CDLL", lambda path, mode: order.append(f"{path} {mode == ctypes.RTLD_GLOBAL}"))
    load_open3d()
    assert order == ["libusb_package", "/usb.so True", "open3d"]
