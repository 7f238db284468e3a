"""report.html: one run on one page that needs no network. The same run gives the same bytes."""

import base64
from importlib import resources
from typing import Any, NamedTuple

import cv2
import numpy as np
from numpy.typing import NDArray

from calib.config import dump_config
from calib.errors import OutputError
from stereo.drawing import to_8_bit
from stereo.picture import disparity_picture, inverse_depth_picture, reason_picture, sigma_picture
from stereo.run_result import DepthRow, RunResult, depth_table, metres
from stereo.run_settings import printable

_WIDEST_PX = 1600
"""wider pictures are shrunk for the page; the maps beside it keep every pixel"""


class _Figure(NamedTuple):
    source: str
    """data URI"""
    width_percent: float
    """of the widest picture, so that all of them are shown at one scale"""
    title: str
    caption: str


def report_html(result: RunResult) -> str:
    """The report of a run with a rig, as one HTML file with everything inside.

    Parameters
    ----------
    result : RunResult

    Returns
    -------
    str
        Self-contained: pictures are inline, there are no scripts and no links to other files but its neighbours' names.
    """
    import jinja2

    template = resources.files("stereo").joinpath("templates", "report.html.j2").read_text("utf-8")
    environment = jinja2.Environment(autoescape=True, undefined=jinja2.StrictUndefined, trim_blocks=True, lstrip_blocks=True)
    return printable(environment.from_string(template).render(_content(result))) + "\n"


def _content(result: RunResult) -> dict[str, Any]:
    depth, rig = result.depth, result.pair.rig
    if depth is None or rig is None or result.cloud is None:
        raise ValueError("a report needs a run with a rig")
    record = result.run_file.record
    assert record is not None
    inputs = [
        (name, path.name, record.sha256[name])
        for name, path in (("left", result.run_file.left), ("right", result.run_file.right), ("rig", result.run_file.rig))
        if path is not None
    ]
    height, width = depth.depth_m.shape
    return {
        "inputs": inputs,
        "figures": _figures(result),
        "key_figures": [
            ("Measured", f"{100.0 * result.valid_share:.1f} %", "of the left image's pixels have a disparity"),
            ("Median depth", metres(result.median_depth_m), "half of the measured pixels are nearer"),
            ("Search range", f"{result.search.minimum} to {result.search.maximum - 1} px", result.search.evidence),
            ("Cloud", f"{len(result.cloud.points_xyz_m):,}".replace(",", "\u202f"), "points, coloured, in cloud.ply"),
        ],
        "depths": [(f"{row.percent} %", metres(row.depth_m), _bar(row)) for row in depth_table(depth)],
        "rig": [
            ("Images", f"{width} x {height} px"),
            ("Focal length", f"{rig.focal_px:.3f} px"),
            ("Principal point, left", f"({rig.left.centre_x_px:.3f}, {rig.left.centre_y_px:.3f}) px"),
            ("Baseline", f"{1000.0 * rig.baseline_m:.3f} mm"),
            ("doffs (cx right minus cx left)", f"{rig.doffs_px:.3f} px"),
            *((f"{key}", value) for key, value in sorted(rig.provenance.items())),
        ],
        "settings": dump_config(result.run_file.settings),
        "versions": ", ".join(f"{name} {version}" for name, version in record.versions.items()),
        "notes": result.notes,
    }


def _figures(result: RunResult) -> list[_Figure]:
    from stereo.cloud_picture import cloud_picture

    assert result.depth is not None
    assert result.cloud is not None
    left = to_8_bit(np.asarray(result.pair.left))
    pictures = [
        (left, "Left image", "rectified: its rows are epipolar lines; black where the camera saw nothing"),
        (inverse_depth_picture(result.depth), "Depth", "colours are linear in inverse depth; hatched: no answer"),
        (
            disparity_picture(result.disparity),
            "Disparity",
            "x left minus x right; white is zero, warm nearer, cold farther",
        ),
        (sigma_picture(result.disparity.sigma_px), "Error bar of the disparity", "one standard deviation"),
        (reason_picture(result.depth.reason, image=left), "Why pixels have no answer", "or carry a warning"),
    ]
    widest = max(picture.shape[1] for picture, _, _ in pictures)
    factor = min(1.0, _WIDEST_PX / widest)  # as wide as a map with its legend, as high as the left image
    size = [max(16, round(n * factor)) for n in (widest, left.shape[0])]
    cloud = cloud_picture(result.cloud, width=size[0], height=size[1])
    pictures.insert(2, (cloud, "Point cloud", "seen from above and beside the left camera"))
    figures = []
    for picture, title, caption in pictures:
        source = _jpeg(picture) if picture is left else _png(picture)
        share = 100.0 if title == "Point cloud" else 100.0 * picture.shape[1] / widest
        figures.append(_Figure(source, round(share, 2), title, caption))
    return figures


def _bar(row: DepthRow) -> str:
    if not np.isfinite(row.sigma_m):
        return "—"
    return f"± {1000.0 * row.sigma_m:.1f} mm" if row.sigma_m < 0.1 else f"± {row.sigma_m:.2g} m"


def _png(picture: NDArray[np.uint8]) -> str:
    return _data_uri(picture, ".png", "image/png", [cv2.IMWRITE_PNG_COMPRESSION, 6])


def _jpeg(picture: NDArray[np.uint8]) -> str:
    return _data_uri(picture, ".jpg", "image/jpeg", [cv2.IMWRITE_JPEG_QUALITY, 88])


def _data_uri(picture: NDArray[np.uint8], suffix: str, kind: str, options: list[int]) -> str:
    height, width = picture.shape[:2]
    if width > _WIDEST_PX:
        size = (_WIDEST_PX, max(1, round(height * _WIDEST_PX / width)))
        picture = np.asarray(cv2.resize(picture, size, interpolation=cv2.INTER_AREA), np.uint8)
    good, data = cv2.imencode(suffix, picture, options)
    if not good:
        raise OutputError(f"a picture of {width} x {height} px cannot be encoded as {suffix}")
    return f"data:{kind};base64,{base64.b64encode(data.tobytes()).decode('ascii')}"
