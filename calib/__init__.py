"""Calibrate a stereo rig from photos of a board, and rectify its pairs.

Names are loaded on first use, so that `import calib` costs nothing.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from calib.camera import Camera as Camera
    from calib.detect import detect_pairs as detect_pairs
    from calib.images import read_image as read_image
    from calib.images import read_pair as read_pair
    from calib.rectification import rectify as rectify
    from calib.rig import RectifiedPair as RectifiedPair
    from calib.rig import StereoRig as StereoRig
    from calib.rig_files import load_rig as load_rig
    from calib.rig_files import save_rig as save_rig
    from calib.solve import solve_rig as solve_rig
    from calib.target import parse_target as parse_target

_HOME = {
    "Camera": "calib.camera",
    "detect_pairs": "calib.detect",
    "RectifiedPair": "calib.rig",
    "StereoRig": "calib.rig",
    "load_rig": "calib.rig_files",
    "parse_target": "calib.target",
    "read_image": "calib.images",
    "read_pair": "calib.images",
    "rectify": "calib.rectification",
    "save_rig": "calib.rig_files",
    "solve_rig": "calib.solve",
}
__all__ = sorted(_HOME)
__version__ = "0.1.0"


def __getattr__(name: str) -> Any:
    if name not in _HOME:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(_HOME[name]), name)


def __dir__() -> list[str]:
    return [*__all__, "__version__"]
