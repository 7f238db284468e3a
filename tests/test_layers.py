"""Imports run downwards only: each room may use those below it. The test names any line that runs upwards."""

import ast
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]

# Bottom to top. A folder is one room; its own files are ordered in turn.
ROOMS = {
    "calib": "errors units files config_write config_read config console image_checks images video image_lists sources"
    " geometry kannala_brandt lens camera covariance rig rig_files markers kalibr_board target board_drawing"
    " detection corners finders workers detection_cache frame_choice capture_checks board_search detect"
    " corner_order fit sensitivity depth_sigma coverage residual_structure residual_tables quality next_poses"
    " board_shape bundle robust usable single readings joint joint_fit held_out model_choice plausible model_search"
    " faults_evidence faults_kinds faults_motion faults_corners faults_capture faults_told faults_images faults"
    " known_length solve rectification_checks rectification synthetic"
    " describe plots rig_picture residual_plots quality_plots report report_text report_page cli",
    "calib.rig_files": "parts storage native opencv middlebury kitti __init__",
    "calib.finders": "found prepare fitting saddle markers neighbours chessboard marked discs circles guess __init__",
    "calib.board_drawing": "pattern raster paper page pdf svg png sheet __init__",
    "calib.synthetic": "texture scene render board rigs capture spoil demo __init__",
    "stereo": "maps drawing picture map_files encodings settings kernels memory workspace arena threads matcher_input"
    " aggregation selection speckles second_pass subpixel confidence dense row_residual"
    " filling"
    " sparse_matches sparse_range coarse_range search_range"
    " matcher depth open3d_loader cloud cloud_picture cloud_files"
    " score datasets scoring"
    " run_settings run_warnings run_result run_log report pipeline demo_truth demo cli",
    "stereo.datasets": "entry scenes trees __init__",
    "stereo.kernels": "__init__ simd lanes progress block winners floats narrow planes select clean surface second_pass sweeps"
    " rows confide fill",
}


def imports(path: Path) -> Iterator[tuple[int, str]]:
    """Line and dotted name of everything a file imports, wherever in the file."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from ((node.lineno, alias.name) for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            assert node.level == 0, f"{path}:{node.lineno}: relative import; write the whole name"
            yield from ((node.lineno, f"{node.module}.{alias.name}") for alias in node.names)


def upward(path: Path, order: dict[str, list[str]]) -> Iterator[str]:
    """The imports of one file that run upwards, as `file:line: ...`."""
    parts = path.relative_to(ROOT).with_suffix("").parts
    for line, name in imports(path):
        target = name.split(".")
        if target[0] == "stereo" and parts[0] == "calib":
            yield f"{path.relative_to(ROOT)}:{line}: {'.'.join(parts)} imports {name}; calib must know nothing of stereo"
        for depth in range(1, min(len(parts), len(target))):
            package = ".".join(parts[:depth])
            if package not in order or parts[:depth] != tuple(target[:depth]) or parts[depth] == target[depth]:
                continue
            rooms = order[package]
            here, there = parts[depth], target[depth]
            if here == "__init__" and "__init__" not in rooms:
                continue  # a lazy front may name everything
            if there in rooms and rooms.index(there) > rooms.index(here):
                yield f"{path.relative_to(ROOT)}:{line}: {'.'.join(parts)} imports {name}, which lies above it"
            break


def test_imports_run_downwards() -> None:
    order = {package: rooms.split() for package, rooms in ROOMS.items()}
    files = [path for package in ("calib", "stereo") for path in sorted((ROOT / package).rglob("*.py"))]
    for path in files:
        parts = path.relative_to(ROOT).with_suffix("").parts
        for depth in range(1, len(parts)):
            rooms = order.get(".".join(parts[:depth]), [])
            assert parts[depth] in rooms or parts[depth:] == ("__init__",), f"{path}: give this room a place in ROOMS"
    assert len(files) > 40
    assert [line for path in files for line in upward(path, order)] == []


def test_an_upward_import_is_named() -> None:
    order = {package: rooms.split() for package, rooms in ROOMS.items()}
    file = ROOT / "calib" / "camera.py"
    source = file.read_text(encoding="utf-8")
    tree = ast.parse(source + "\nfrom calib.rig import StereoRig\nimport stereo.maps\n")
    last = len(source.splitlines())
    original = ast.parse
    try:
        ast.parse = lambda *_, **__: tree  # type: ignore[assignment]
        found = list(upward(file, order))
    finally:
        ast.parse = original
    assert found == [
        f"calib/camera.py:{last + 2}: calib.camera imports calib.rig.StereoRig, which lies above it",
        f"calib/camera.py:{last + 3}: calib.camera imports stereo.maps; calib must know nothing of stereo",
    ]


def test_only_kernels_compile() -> None:
    for path in sorted((ROOT / "calib").rglob("*.py")) + sorted((ROOT / "stereo").glob("*.py")):
        for line, name in imports(path):
            assert not name.startswith(("numba", "llvmlite")), f"{path}:{line}: numba belongs in stereo/kernels"
