"""Match rectified pairs, measure depth, export point clouds.

Names are loaded on first use, so that `import stereo` costs nothing.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from stereo.cloud import to_cloud as to_cloud
    from stereo.cloud_files import load_cloud as load_cloud
    from stereo.cloud_files import save_cloud as save_cloud
    from stereo.depth import to_depth as to_depth
    from stereo.filling import fill as fill
    from stereo.maps import DepthMap as DepthMap
    from stereo.maps import DisparityMap as DisparityMap
    from stereo.maps import PointCloud as PointCloud
    from stereo.maps import Reason as Reason
    from stereo.matcher import match as match
    from stereo.settings import MatcherSettings as MatcherSettings

_HOME = {
    "DepthMap": "stereo.maps",
    "DisparityMap": "stereo.maps",
    "MatcherSettings": "stereo.settings",
    "PointCloud": "stereo.maps",
    "Reason": "stereo.maps",
    "fill": "stereo.filling",
    "load_cloud": "stereo.cloud_files",
    "match": "stereo.matcher",
    "save_cloud": "stereo.cloud_files",
    "to_cloud": "stereo.cloud",
    "to_depth": "stereo.depth",
}
__all__ = sorted(_HOME)
__version__ = "0.1.0"


def __getattr__(name: str) -> Any:
    if name not in _HOME:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(_HOME[name]), name)


def __dir__() -> list[str]:
    return [*__all__, "__version__"]
